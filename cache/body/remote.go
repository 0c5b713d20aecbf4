package body

import (
	"context"
	"errors"
	"fmt"
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
	wg     sync.WaitGroup // requests under way and callers that read

	keep  sync.Mutex   // one attempt to keep the whole file at a time
	punch sync.RWMutex // held for reading while a chunk is read, for writing while one is thrown away

	first sync.Mutex // held by the request that brings the content key

	mu       sync.Mutex // guards the fields below
	bad      error      // the file does not match its digest, or the object is refused
	home     home
	content  *object.ContentKey // nil until the first answer
	volume   index.ID           // that vouched for the chunks, or object.SomeVolume; zero until then, or none
	users    int                // callers that read chunks
	claims   int                // callers that need all chunks, so that none is given back
	reserved int64              // bytes of chunks that are not here for which room is counted
	wanted   map[int64]int      // chunks by how many wait to read them, so that they are not given back
	have     map[int64]bool
	order    []int64 // chunks in the order they came
	flights  map[int64]*flight
	next     int64 // offset at which a sequential reader goes on
	window   int64 // how far to fetch ahead of it
	ahead    int64 // first chunk that is not fetched ahead
	kept     bool  // the file is the inode's base now
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

// openRemote returns the fetched chunks of b, which is not here as a whole; done must follow.
func (s *Store) openRemote(b *body, in index.Inode) (*remote, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.away; r != nil && r.gen == in.Gen {
		if r.counts() {
			r.use()
			return r, nil
		}
		s.dropRemote(b)
	}
	if b.rec.gen != in.Gen {
		return nil, fmt.Errorf("inode %d: %w", b.ino, ErrStale)
	}
	h, err := s.lookHome(b.ino, in.Gen)
	if err == nil {
		err = h.refused
	}
	if err != nil {
		return nil, err
	}
	id, d, err := s.newFile()
	if err != nil {
		return nil, err
	}
	s.files.put(d)
	r := &remote{s: s, ino: b.ino, gen: in.Gen, size: in.Size, file: id, home: h,
		have: map[int64]bool{}, flights: map[int64]*flight{}, wanted: map[int64]int{}}
	if b.base != nil {
		r.content = b.base.key
	}
	r.ctx, r.cancel = context.WithCancel(s.ctx)
	s.registerRemote(r)
	r.use()
	b.away = r
	return r, nil
}

// counts reports whether the volume keys count that vouched for the chunks.
func (r *remote) counts() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.s.counts(r.volume)
}

// use counts a caller that reads chunks; body.mu is held, so that dropRemote has not begun to wait.
func (r *remote) use() {
	r.wg.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.users++
}

// done ends one use.
func (r *remote) done() {
	r.mu.Lock()
	r.users--
	r.mu.Unlock()
	r.wg.Done()
}

// quiet reports whether nobody reads chunks and none are on their way.
func (r *remote) quiet() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.users == 0 && len(r.flights) == 0
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
	defer r.done()
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
	r.want(c, 1)
	defer r.want(c, -1)
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

// want counts n more who wait to read chunk c.
func (r *remote) want(c int64, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wanted[c] += n; r.wanted[c] == 0 {
		delete(r.wanted, c)
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
