package body

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// ensure makes sure that chunks [from, to) are here or on their way and returns the flight of the first; one that is done
// when it is here.
func (r *remote) ensure(from, to int64) *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ensureLocked(from, to)
}

func (r *remote) ensureLocked(from, to int64) *flight {
	first := r.flights[from]
	for c := from; c < to; {
		if r.have[c] || r.flights[c] != nil {
			c++
			continue
		}
		end := c
		for end < to && !r.have[end] && r.flights[end] == nil {
			r.flights[end] = &flight{done: make(chan struct{})}
			end++
		}
		if r.s.begin() {
			r.wg.Add(1)
			go r.run(c, end)
		} else {
			r.endLocked(c, end, ErrClosed)
		}
		c = end
	}
	if first == nil {
		first = r.flights[from]
	}
	if first == nil {
		first = &flight{done: make(chan struct{})}
		close(first.done)
	}
	return first
}

// errMoved says that a request failed because its home is another now.
var errMoved = errors.New("content has moved in the bucket")

// errCut says that an answer began and did not end well: asked again, it may.
var errCut = errors.New("answer broke off")

// brokenOff is the error of an answer that ended early, unless it ended because its bytes were refused.
func brokenOff(err error) error {
	if object.ReasonOf(err) != object.ReasonNone {
		return err
	}
	return fmt.Errorf("%w: %w", errCut, err)
}

// run fetches chunks [from, to) with one request and tells those who wait for them.
func (r *remote) run(from, to int64) {
	defer r.s.wg.Done()
	defer r.wg.Done()
	ctx, cancel := context.WithTimeout(r.ctx, time.Duration(to-from)*r.s.o.ReadTimeout)
	defer cancel()
	at := from
	r.makeRoom(ctx, to-from)
	err := errMoved
	for try := 0; try < 3 && (errors.Is(err, errMoved) || errors.Is(err, errCut)); try++ {
		err = r.get(ctx, at, to, func(c int64) { r.arrived(c); at = c + 1 })
	}
	if err == nil && at < to {
		err = io.ErrUnexpectedEOF
	}
	err = untrusted(err)
	r.mu.Lock()
	if errors.Is(err, ErrUntrusted) {
		r.bad = err
	}
	r.endLocked(at, to, err)
	whole := int64(len(r.have)) == r.chunks()
	r.mu.Unlock()
	if whole {
		if err := r.s.keepWhole(r); err != nil {
			r.s.o.Logger.Warn("cache: a fetched file cannot be kept", "inode", r.ino, "error", err)
		}
	}
}

// endLocked ends the flights of chunks that did not come.
func (r *remote) endLocked(from, to int64, err error) {
	for c := from; c < to; c++ {
		fl := r.flights[c]
		delete(r.flights, c)
		fl.err = err
		close(fl.done)
	}
}

// arrived notes that chunk c is in the file.
func (r *remote) arrived(c int64) {
	_, n := r.span(c)
	r.s.growRemote(r.file, n)
	r.mu.Lock()
	defer r.mu.Unlock()
	if n = min(n, r.reserved); n > 0 { // it was counted before
		r.reserved -= n
		r.s.space.add(-n)
	}
	r.have[c] = true
	r.order = append(r.order, c)
	fl := r.flights[c]
	delete(r.flights, c)
	close(fl.done)
}

// get asks the home for chunks [from, to) and writes them to the file, calling each for every one.
func (r *remote) get(ctx context.Context, from, to int64, each func(c int64)) error {
	h, d, err := r.request(ctx, from, to)
	if err != nil {
		return err
	}
	defer d.Body.Close()
	f, err := r.s.files.get(r.file)
	if err != nil {
		return err
	}
	defer r.s.files.put(f)
	buf := r.s.buffer(chunkSize)
	defer r.s.recycle(buf)
	for c := from; c < to; c++ {
		start, k := r.span(c)
		if _, err := io.ReadFull(d.Body, buf[:k]); err != nil {
			return fmt.Errorf("fetch %q at %d: %w", h.key, start, brokenOff(err))
		}
		if err := f.write(buf[:k], start); err != nil {
			return err
		}
		each(c)
	}
	return nil
}

// request opens the home for chunks [from, to). The first request runs alone until it has brought the content key: an object
// that was never encrypted comes under a fresh one each time, unless we name it.
func (r *remote) request(ctx context.Context, from, to int64) (home, *object.Download, error) {
	r.first.Lock()
	r.mu.Lock()
	h, key := r.home, r.content
	r.mu.Unlock()
	if key != nil {
		r.first.Unlock()
	} else {
		defer r.first.Unlock()
	}
	off := from * chunkSize
	req := object.GetRequest{Key: h.key, ETag: h.etag, Off: off, Len: min(to*chunkSize, r.size) - off, Generation: h.generation}
	if h.etag != "" {
		req.Content = key
	}
	d, err := r.s.o.Remote.Get(ctx, req)
	if err != nil {
		return h, nil, r.failed(h, err)
	}
	if d.TotalSize != r.size {
		err = fmt.Errorf("inode %d: %q has %d bytes, not %d: %w", r.ino, h.key, d.TotalSize, r.size, ErrStale)
	} else if !r.agree(originOf(d)) {
		err = fmt.Errorf("inode %d: %q came under another key: %w", r.ino, h.key, ErrStale)
	}
	if err != nil {
		return h, nil, errors.Join(err, d.Body.Close())
	}
	return h, d, nil
}

// agree makes the content key the one of the chunks, unless there is another already, and notes the volume key that vouched for them: some, where
// there were several.
func (r *remote) agree(from origin) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.content == nil {
		r.content = from.key
	}
	switch {
	case len(r.have) == 0 && r.volume == (index.ID{}):
		r.volume = from.volume
	case r.volume != from.volume:
		r.volume = index.ID(object.SomeVolume)
	}
	return r.content == from.key || r.content.Equal(from.key)
}

// failed looks after a refused request whether the content has another home now.
func (r *remote) failed(h home, err error) error {
	if !errors.Is(err, object.ErrNotFound) && !errors.Is(err, object.ErrPrecondition) {
		return fmt.Errorf("fetch %q: %w", h.key, err)
	}
	now, lookErr := r.s.lookHome(r.ino, r.gen)
	if lookErr != nil || now.key == h.key && now.etag == h.etag {
		if object.ReasonOf(err) != object.ReasonNone {
			return fmt.Errorf("fetch %q: %w", h.key, err)
		}
		return fmt.Errorf("fetch %q: %w: %w", h.key, ErrStale, err)
	}
	r.mu.Lock()
	r.home = now
	r.mu.Unlock()
	return errMoved
}
