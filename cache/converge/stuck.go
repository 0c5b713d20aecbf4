package converge

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// FileError is a key and why what is to be sent there cannot be: the bucket refuses it, or this machine has no room for it.
type FileError struct {
	Key string
	Err error
}

// RefusedError is what Sync ends with when nothing that is left can be sent before somebody does something about it. It stays here, and is
// tried again.
type RefusedError struct {
	Files   []FileError // what cannot be sent, by name
	Waiting int         // further keys that wait for one of them
}

// Error names one of the files.
func (e *RefusedError) Error() string {
	what := fmt.Sprintf("%q is not in the bucket", e.Files[0].Key)
	if more := len(e.Files) - 1; more > 0 {
		what = fmt.Sprintf("%q and %d more are not in the bucket", e.Files[0].Key, more)
	}
	if e.Waiting > 0 {
		what += fmt.Sprintf(", for which %d wait", e.Waiting)
	}
	return what + ": " + e.Files[0].Err.Error()
}

// Unwrap is why it refuses them.
func (e *RefusedError) Unwrap() []error {
	list := make([]error, len(e.Files))
	for n := range e.Files {
		list[n] = e.Files[n].Err
	}
	return list
}

// refusedAll returns a *RefusedError when each goal was refused since the Sync began, or waits for a key that is refused.
func (c *Converger) refusedAll(w *waiter) error {
	e := &RefusedError{}
	on := map[string]string{}
	for key := range w.goals {
		if why := c.refusedSince(key, w.begun); why != nil {
			e.Files = append(e.Files, FileError{key, why})
			continue
		}
		if first, err := c.stuckOn(key, on); err != nil || first == "" {
			return err
		}
		e.Waiting++
	}
	if len(e.Files) == 0 && e.Waiting > 0 {
		e.Files = c.refusals()
	}
	if len(e.Files) == 0 {
		return nil
	}
	slices.SortFunc(e.Files, func(a, b FileError) int { return strings.Compare(a.Key, b.Key) })
	return e
}

// sureTries is how often the bucket must refuse a key before Sync gives it up: permissions that were just given take a moment.
const sureTries = 3

// refusedSince is why a key is refused, and it alone, by answers that came after a moment; nil when it is not. What stands in the place of
// a file is looked at again when its request can no longer be executed.
func (c *Converger) refusedSince(key string, since time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.retries[key]
	if errors.Is(r.refused, errAlien) || r.when.After(since) && r.times >= sureTries {
		return r.why()
	}
	return nil
}

// refusals are all keys that are refused alone.
func (c *Converger) refusals() []FileError {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []FileError
	for key, r := range c.retries {
		if r.hopeless() && !isParkKey(key) {
			list = append(list, FileError{key, r.why()})
		}
	}
	return list
}

// hopeless reports whether what is to be sent to a key will not be for now.
func (c *Converger) hopeless(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.retries[key]
	return r.hopeless()
}

// stuckOn finds the refused key that another one waits for, if need be through others; empty when there is none. found has those that were
// looked at before, or are being looked at.
func (c *Converger) stuckOn(key string, found map[string]string) (on string, err error) {
	if on, known := found[key]; known {
		return on, nil
	}
	found[key] = ""
	a, _, err := c.plan(key)
	if err != nil || a.Kind != Wait || a.Settle {
		return "", err
	}
	for _, other := range a.Keys {
		if other != key && c.hopeless(other) {
			on = other
		}
	}
	for _, other := range a.Keys {
		if on == "" && err == nil {
			on, err = c.stuckOn(other, found)
		}
	}
	found[key] = on
	return on, err
}
