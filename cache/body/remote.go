package body

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// chunkSize is the unit in which a remote file is fetched and remembered.
const chunkSize = 1 << 20

// maxGet is the longest range of one request, maxAhead how far a sequential reader is run ahead of.
const (
	maxGet   = 8 << 20
	maxAhead = 8 * maxGet
)

// remote is the part of a remote file that is here: some of its chunks, in a sparse file.
type remote struct {
	s    *Store
	ino  index.Ino
	gen  uint64
	size int64
	file uint64

	ctx    context.Context // ends when the content is dropped
	cancel context.CancelFunc
	wg     sync.WaitGroup // requests under way

	keep  sync.Mutex   // one attempt to keep the whole file at a time
	punch sync.RWMutex // held for reading while a chunk is read, for writing while one is thrown away

	first sync.Mutex // held by the request that brings the content key

	mu      sync.Mutex // guards the fields below
	bad     error      // the file is whole and does not match its digest
	home    home
	content *object.ContentKey // nil until the first answer
	have    map[int64]bool
	order   []int64 // chunks in the order they came
	flights map[int64]*flight
	next    int64 // offset at which a sequential reader goes on
	window  int64 // how far to fetch ahead of it
	ahead   int64 // first chunk that is not fetched ahead
	kept    bool  // the file is the inode's base now
}

// flight is a chunk that is on its way.
type flight struct {
	done chan struct{} // closed at its end
	err  error         // why it did not come; set before done is closed
}

func chunkOf(off int64) int64 { return off / chunkSize }

// chunks is how many chunks the file has.
func (r *remote) chunks() int64 { return (r.size + chunkSize - 1) / chunkSize }

// span is the range of bytes of chunk c.
func (r *remote) span(c int64) (off, n int64) {
	off = c * chunkSize
	return off, min(chunkSize, r.size-off)
}

// openRemote returns the fetched chunks of b, which is not here as a whole.
func (s *Store) openRemote(b *body, in index.Inode) (*remote, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.away; r != nil && r.gen == in.Gen {
		return r, nil
	}
	if b.rec.gen != in.Gen {
		return nil, fmt.Errorf("inode %d: %w", b.ino, ErrStale)
	}
	h, err := s.lookHome(b.ino, in.Gen)
	if err != nil {
		return nil, err
	}
	id, d, err := s.newFile()
	if err != nil {
		return nil, err
	}
	s.files.put(d)
	r := &remote{s: s, ino: b.ino, gen: in.Gen, size: in.Size, file: id, home: h,
		have: map[int64]bool{}, flights: map[int64]*flight{}}
	if b.base != nil {
		r.content = b.base.key
	}
	r.ctx, r.cancel = context.WithCancel(s.ctx)
	s.registerRemote(r)
	b.away = r
	return r, nil
}

// dropRemote throws the fetched chunks away; body.mu is held for writing. Requests that are under way end by themselves.
func (s *Store) dropRemote(b *body) {
	r := b.away
	b.away = nil
	r.cancel()
	if !s.begin() {
		return // Open removes the file
	}
	go func() {
		defer s.wg.Done()
		r.wg.Wait()
		s.removeFile(r.file)
	}()
}

// readAway fills p from a file that is not here as a whole. Small files are fetched whole first: then, or when the file has
// become local meanwhile, done is false and the caller looks again.
func (s *Store) readAway(ctx context.Context, b *body, in index.Inode, off int64, p []byte) (done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.ReadTimeout)
	defer cancel()
	if in.Size <= chunkSize {
		return false, s.fetch(ctx, b)
	}
	r, err := s.openRemote(b, in)
	if err != nil {
		return false, err
	}
	r.readAhead(off, int64(len(p)))
	for len(p) > 0 {
		c := chunkOf(off)
		start, n := r.span(c)
		k := min(int64(len(p)), start+n-off)
		if err := r.read(ctx, c, p[:k], off); err != nil {
			return false, err
		}
		p, off = p[k:], off+k
	}
	s.touchFile(r.file)
	return true, nil
}

// read fills p, which lies within chunk c, fetching the chunk when it is not here. A chunk whose request failed is asked for
// once more, since the home may have moved.
func (r *remote) read(ctx context.Context, c int64, p []byte, off int64) error {
	for try := 0; ; try++ {
		if ok, err := r.readHere(c, p, off); ok || err != nil {
			return err
		}
		fl := r.ensure(c, c+1)
		select {
		case <-fl.done:
		case <-ctx.Done():
			return fmt.Errorf("inode %d: waiting for the bucket: %w", r.ino, ctx.Err())
		}
		if fl.err != nil && (try >= 2 || !errors.Is(fl.err, errMoved)) {
			return fl.err
		}
		if try > 8 {
			return fmt.Errorf("inode %d: fetched chunks do not stay: %w", r.ino, ErrNoSpace)
		}
	}
}

// readHere reads from a chunk that is here; ok is false when it is not.
func (r *remote) readHere(c int64, p []byte, off int64) (ok bool, err error) {
	r.punch.RLock()
	defer r.punch.RUnlock()
	r.mu.Lock()
	ok, key, bad := r.have[c], r.content, r.bad
	r.mu.Unlock()
	if !ok || bad != nil {
		return false, bad
	}
	if err := r.s.fileRead(r.file, p, off); err != nil {
		return false, err
	}
	key.XORKeyStreamAt(p, p, off)
	return true, nil
}

// readAhead learns from a read at off how the file is read, and fetches what will come next.
func (r *remote) readAhead(off, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := chunkOf(off)
	near := off >= r.next-chunkSize && off <= r.next+chunkSize
	r.next = off + n
	if !near || off == 0 && r.window == 0 {
		r.window, r.ahead = chunkSize, c
		if n > 0 && off%chunkSize+n <= chunkSize {
			return // a single chunk: read asks for it
		}
	} else {
		r.window = min(r.window*2, r.s.ahead64)
	}
	r.ahead = max(r.ahead, c)
	limit := min(chunkOf(off+n-1)+1+r.window/chunkSize, r.chunks())
	if limit-r.ahead < r.window/chunkSize/2 && limit < r.chunks() {
		return // enough is under way
	}
	step := min(max(r.window/8, chunkSize), maxGet) / chunkSize
	for c := r.ahead; c < limit; c += step {
		r.ensureLocked(c, min(c+step, limit))
	}
	r.ahead = max(r.ahead, limit)
}

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

// run fetches chunks [from, to) with one request and tells those who wait for them.
func (r *remote) run(from, to int64) {
	defer r.s.wg.Done()
	defer r.wg.Done()
	ctx, cancel := context.WithTimeout(r.ctx, r.s.o.ReadTimeout)
	defer cancel()
	at := from
	r.makeRoom(ctx, to-from)
	err := errMoved
	for try := 0; try < 3 && errors.Is(err, errMoved); try++ {
		err = r.get(ctx, at, to, func(c int64) { r.arrived(c); at = c + 1 })
	}
	if err == nil && at < to {
		err = io.ErrUnexpectedEOF
	}
	r.mu.Lock()
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

// makeRoom makes room for n chunks: other content goes first, then the file's own earliest chunks behind its reader. When
// nothing can go the chunks are taken over the limit, since a reader must not wait for writers.
func (r *remote) makeRoom(ctx context.Context, n int64) {
	want := n * chunkSize
	if r.s.space.over(want) <= 0 {
		return
	}
	r.giveBack(r.s.space.over(want))
	r.s.ahead(ctx, want)
}

// giveBack throws away chunks of at least n bytes, those that came first before others, but none that the reader is at.
func (r *remote) giveBack(n int64) {
	r.punch.Lock()
	defer r.punch.Unlock()
	f, err := r.s.files.get(r.file)
	if err != nil {
		return
	}
	defer r.s.files.put(f)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kept {
		return
	}
	var keep []int64
	for i, c := range r.order {
		if n <= 0 {
			keep = append(keep, r.order[i:]...)
			break
		}
		if near := c >= chunkOf(r.next)-1 && c <= r.ahead; near {
			keep = append(keep, c)
			continue
		}
		off, k := r.span(c)
		delete(r.have, c)
		f.punch(off, chunkSize)
		r.s.growRemote(r.file, -k)
		n -= k
	}
	r.order = keep
}

// arrived notes that chunk c is in the file.
func (r *remote) arrived(c int64) {
	_, n := r.span(c)
	r.s.growRemote(r.file, n)
	r.mu.Lock()
	defer r.mu.Unlock()
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
			return fmt.Errorf("fetch %q at %d: %w", h.key, start, err)
		}
		if err := f.writeAt(buf[:k], start); err != nil {
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
	req := object.GetRequest{Key: h.key, ETag: h.etag, Off: off, Len: min(to*chunkSize, r.size) - off}
	if h.etag != "" {
		req.Content = key
	}
	d, err := r.s.o.Remote.Get(ctx, req)
	if err != nil {
		return h, nil, r.failed(h, err)
	}
	if d.TotalSize != r.size {
		err = fmt.Errorf("inode %d: %q has %d bytes, not %d: %w", r.ino, h.key, d.TotalSize, r.size, ErrStale)
	} else if !r.agree(d.Content) {
		err = fmt.Errorf("inode %d: %q came under another key: %w", r.ino, h.key, ErrStale)
	}
	if err != nil {
		return h, nil, errors.Join(err, d.Body.Close())
	}
	return h, d, nil
}

// agree makes key the one of the chunks, unless there is another already.
func (r *remote) agree(key *object.ContentKey) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.content == nil {
		r.content = key
	}
	return r.content == key || r.content.Equal(key)
}

// failed looks after a refused request whether the content has another home now.
func (r *remote) failed(h home, err error) error {
	if !errors.Is(err, object.ErrNotFound) && !errors.Is(err, object.ErrPrecondition) {
		return fmt.Errorf("fetch %q: %w", h.key, err)
	}
	now, lookErr := r.s.lookHome(r.ino, r.gen)
	if lookErr != nil || now.key == h.key && now.etag == h.etag {
		return fmt.Errorf("fetch %q: %w: %w", h.key, ErrStale, err)
	}
	r.mu.Lock()
	r.home = now
	r.mu.Unlock()
	return errMoved
}
