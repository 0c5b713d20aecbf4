package body

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// Reader reads the ciphertext of one sealed generation. The bytes stay until it is closed, whatever happens to the file. It
// is safe for concurrent use; close it once nobody reads any more.
type Reader struct {
	s    *Store
	base *base
	size int64
	once sync.Once
}

var (
	_ io.ReaderAt = (*Reader)(nil)
	_ io.Closer   = (*Reader)(nil)
)

// Size is the length of the ciphertext in bytes, which is that of the content.
func (r *Reader) Size() int64 { return r.size }

// Stage is where the begin of the body is, which the reader does not have; nil: it has all.
func (r *Reader) Stage() *object.Stage {
	if g := r.base.rowCopy().stage; g != nil {
		return &g.Stage
	}
	return nil
}

// ReadAt implements io.ReaderAt.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at %d: %w", off, ErrTooLarge)
	}
	if off >= r.size {
		return 0, io.EOF
	}
	n := min(int64(len(p)), r.size-off)
	if err := r.s.readSealed(r.base, p[:n], off); err != nil {
		return 0, err
	}
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}

// Close lets the bytes go.
func (r *Reader) Close() error {
	r.once.Do(func() { r.s.unref(r.base) })
	return nil
}

// OpenSealed opens the ciphertext of a sealed generation for upload, with the keys and digests that describe it: always the
// same for one generation. The sealed generation before the present one can be opened as long as the working copy lies over
// it. ErrNotFound: it is not (whole) in the cache, or not sealed.
func (s *Store) OpenSealed(ino index.Ino, gen uint64) (*Reader, *object.Sealed, error) {
	b := s.acquire(ino)
	defer s.release(b)
	ctx := s.ctx
	if _, err := s.readLock(b); err != nil {
		return nil, nil, err
	}
	a := b.base
	row := a.rowCopy()
	b.mu.RUnlock()
	if a == nil {
		if err := s.sealEmpty(ctx, b, gen); err != nil {
			return nil, nil, err
		}
		return s.openBaseOf(b, gen)
	}
	if row.gen == gen && len(row.digest) == 0 && row.local() {
		if err := s.digest(ctx, b, a, gen); err != nil {
			return nil, nil, err
		}
	}
	return s.openBaseOf(b, gen)
}

// openBaseOf returns a reader of b's base if it is the sealed body of gen.
func (s *Store) openBaseOf(b *body, gen uint64) (*Reader, *object.Sealed, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	missing := fmt.Errorf("inode %d, generation %d: %w", b.ino, gen, ErrNotFound)
	a := b.base
	if a == nil {
		return nil, nil, missing
	}
	a.mu.RLock()
	row, sealed := a.row, a.sealed
	a.mu.RUnlock()
	if row.gen != gen || sealed == nil || !row.local() {
		return nil, nil, missing
	}
	s.mu.Lock()
	a.refs++
	s.mu.Unlock()
	s.touchBase(a)
	return &Reader{s: s, base: a, size: row.size}, sealed, nil
}

// unref ends one use of a base. The last one frees what is no longer current.
func (s *Store) unref(a *base) {
	s.mu.Lock()
	a.refs--
	r := a.doomed
	if a.refs > 0 {
		r = nil
	}
	if r != nil {
		a.doomed = nil
	}
	s.mu.Unlock()
	if r != nil {
		s.retire(r)
	}
	s.space.wake()
}

// sealEmpty gives an empty sealed file a sealed body: empty objects have an envelope, too.
func (s *Store) sealEmpty(ctx context.Context, b *body, gen uint64) error {
	in, err := s.writeLock(ctx, b)
	if err != nil {
		return err
	}
	defer b.mu.Unlock()
	if b.base != nil || in.Gen != gen || in.Size != 0 {
		return nil
	}
	if !in.Sealed {
		return fmt.Errorf("inode %d, generation %d is not sealed: %w", b.ino, gen, ErrNotFound)
	}
	return s.sealSmallLocked(b, in, sealJob{})
}
