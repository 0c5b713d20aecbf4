package object

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/ossencfs/ossencfs/oss"
)

// visit is one key to look at.
type visit struct {
	key   string
	entry oss.Entry // as it was listed; zero for a key that was not
	gone  bool      // it is known and was not listed
	mark  bool      // an earlier run has verified it: only its generation is asked for
	done  bool      // guarded by frontier.mu
}

// walk looks at all keys, in parallel.
func (v *verification) walk(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	visits := make(chan *visit)
	for range v.o.Workers {
		g.Go(func() error {
			for n := range visits {
				if err := v.visit(ctx, n); err != nil {
					return err
				}
				v.front.finish(n)
			}
			return nil
		})
	}
	g.Go(func() error {
		defer close(visits)
		return v.feed(ctx, visits)
	})
	err := g.Wait()
	v.front.tell()
	return err
}

// feed lists the bucket side by side with what is known of it, in the order of the keys.
func (v *verification) feed(ctx context.Context, visits chan<- *visit) error {
	send := func(n *visit) error {
		if err := v.front.begin(ctx, n); err != nil {
			return err
		}
		select {
		case visits <- n:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	known := &knownKeys{v: v, after: v.o.After}
	if err := v.named(ctx, known, send); err != nil {
		return err
	}
	o := oss.ListOptions{Prefix: v.dir}
	if len(v.leaves) == 0 && v.o.After != "" {
		o.StartAfter = v.b.prefix + v.o.After
	}
	err := v.b.oss.ListAll(ctx, o, func(p oss.Page) error {
		for _, e := range p.Objects {
			n := &visit{key: strings.TrimPrefix(e.Key, v.b.prefix), entry: e}
			if n.mark = v.o.After != "" && n.key <= v.o.After; n.mark && e.Size <= largeSize {
				continue
			}
			if !n.mark {
				if err := known.upTo(n.key, send); err != nil {
					return err
				}
			}
			if err := send(n); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list what is to be verified: %w", err)
	}
	return known.rest(send)
}

// named looks for an object that has the very name of the path. It is not listed with what is below, since whoever may list a directory
// need not be allowed to list its neighbours.
func (v *verification) named(ctx context.Context, known *knownKeys, send func(*visit) error) error {
	if v.o.Path == "" || v.o.After >= v.o.Path {
		return nil
	}
	got, err := v.b.oss.Head(ctx, v.b.prefix+v.o.Path)
	if isGone(err) || errors.Is(err, ErrDenied) || errors.Is(err, ErrInvalid) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := known.upTo(v.o.Path, send); err != nil {
		return err
	}
	return send(&visit{key: v.o.Path, entry: oss.Entry{Key: got.Key, Size: got.Size, ETag: got.ETag, LastModified: got.LastModified, Type: got.Type}})
}

// knownKeys walks the keys that the memory has something known of.
type knownKeys struct {
	v     *verification
	after string
	page  []string
	begun bool
	ended bool
}

// knownPage is how many keys are asked for at a time.
const knownPage = 1000

// upTo sends the known keys before a listed one.
func (k *knownKeys) upTo(listed string, send func(*visit) error) error {
	for {
		key, ok, err := k.peek()
		if err != nil || !ok || key > listed {
			return err
		}
		k.page = k.page[1:]
		if key == listed {
			return nil
		}
		if err := send(&visit{key: key, gone: true}); err != nil {
			return err
		}
	}
}

// rest sends all that are left.
func (k *knownKeys) rest(send func(*visit) error) error {
	for {
		key, ok, err := k.peek()
		if err != nil || !ok {
			return err
		}
		k.page = k.page[1:]
		if err := send(&visit{key: key, gone: true}); err != nil {
			return err
		}
	}
}

// peek is the next known key.
func (k *knownKeys) peek() (key string, ok bool, err error) {
	path := k.v.o.Path
	for {
		for len(k.page) > 0 && !k.v.within(k.page[0]) {
			k.ended = k.ended || k.page[0] > path && !strings.HasPrefix(k.page[0], path)
			k.page = k.page[1:]
		}
		switch {
		case len(k.page) > 0:
			return k.page[0], true, nil
		case k.ended || k.v.o.Memory == nil:
			return "", false, nil
		}
		if err := k.more(path); err != nil {
			return "", false, fmt.Errorf("look for what is known: %w", err)
		}
	}
}

// more fetches a page; the first one begins with the path itself.
func (k *knownKeys) more(path string) error {
	if !k.begun {
		k.begun = true
		if k.after < path {
			k.after = path
			_, ok, err := k.v.o.Memory.Known(path)
			if ok {
				k.page = append(k.page, path)
			}
			return err
		}
	}
	page, err := k.v.o.Memory.KnownAfter(k.after, knownPage)
	if len(page) == 0 {
		k.ended = true
		return err
	}
	k.page, k.after = page, page[len(page)-1]
	return err
}

const (
	maxAhead        = 4096 // visits that may be begun behind one that takes long
	checkpointEvery = 100  // visits between checkpoints
)

// frontier knows up to which key all visits are done, in the order in which they began.
type frontier struct {
	checkpoint func(string)
	room       chan struct{} // one for each visit in queue

	mu    sync.Mutex // guards the fields below
	queue []*visit
	last  string // everything up to it is done
	told  string
	fresh int // visits since it was told
}

func newFrontier(after string, checkpoint func(string)) *frontier {
	return &frontier{checkpoint: checkpoint, room: make(chan struct{}, maxAhead), last: after, told: after}
}

// begin puts a visit at the end, and waits when the first one is too far behind.
func (f *frontier) begin(ctx context.Context, n *visit) error {
	select {
	case f.room <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = append(f.queue, n)
	return nil
}

// finish ends a visit.
func (f *frontier) finish(n *visit) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n.done = true
	for len(f.queue) > 0 && f.queue[0].done {
		f.last = max(f.last, f.queue[0].key)
		f.queue = f.queue[1:]
		<-f.room
		f.fresh++
	}
	if f.fresh >= checkpointEvery {
		f.tellLocked()
	}
}

// tell passes on how far it is.
func (f *frontier) tell() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tellLocked()
}

func (f *frontier) tellLocked() {
	f.fresh = 0
	if f.checkpoint != nil && f.last != f.told {
		f.told = f.last
		f.checkpoint(f.last)
	}
}
