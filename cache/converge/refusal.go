package converge

import (
	"errors"
	"slices"

	"github.com/ossencfs/ossencfs/object"
)

// refusals are what the bucket and KMS say that somebody has to do something about.
var refusals = []error{
	object.ErrDenied, object.ErrCredentials, object.ErrQuota, object.ErrImmutable, object.ErrArchived, object.ErrNoSuchBucket, object.ErrKMSDenied,
}

// Refusal is why the bucket refuses what is to be sent to a key; nil when it does not. That the bucket is out of reach or busy is no
// refusal, nor that content changed while it was being sent. once answers each refusal one time, until something else has become of
// the key.
func (c *Converger) Refusal(key string, once bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, failed := c.retries[key]
	if !failed || once && r.told || !slices.ContainsFunc(refusals, func(e error) bool { return errors.Is(r.err, e) }) {
		return nil
	}
	if once {
		r.told = true
		c.retries[key] = r
	}
	return r.err
}
