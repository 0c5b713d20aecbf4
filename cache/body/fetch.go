package body

import (
	"context"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"strconv"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// origin is what bytes came under: their content key, and the volume key that vouched for them.
type origin struct {
	key    *object.ContentKey
	volume index.ID
}

func originOf(d *object.Download) origin { return origin{d.Content, index.ID(d.Info.Volume)} }

// Fetch brings the whole content into the cache; CachedGen = Gen of the inode afterwards. Nothing happens when it is here.
// Callers that come together share the requests. Errors: ErrNoSpace when the file is larger than the cache, ErrStale,
// ErrDamaged, the context's, the Remote's.
func (s *Store) Fetch(ctx context.Context, ino index.Ino) error {
	if s.ctx.Err() != nil {
		return ErrClosed
	}
	b := s.acquire(ino)
	defer s.release(b)
	return s.fetchHeld(ctx, b)
}

func (s *Store) fetch(ctx context.Context, b *body) error {
	var last error
	for try := 0; try < 4; try++ {
		in, err := s.readLock(b)
		if err != nil {
			return err
		}
		here := b.hereLocked(in)
		b.mu.RUnlock()
		switch {
		case here:
			return nil
		case in.Size > s.o.Limit:
			return tooLarge(in.Size, s.o.Limit)
		case in.Size <= chunkSize:
			err = s.fetchOnce(ctx, b.ino)
		default:
			err = s.fetchChunks(ctx, b, in)
		}
		if err != nil && !errors.Is(err, errMoved) && !errors.Is(err, errCut) {
			return err
		}
		last = err
	}
	if errors.Is(last, errCut) {
		return last
	}
	return fmt.Errorf("inode %d: content keeps moving in the bucket: %w", b.ino, ErrStale)
}

// fetchOnce fetches a small file whole; calls for one inode that come together make one request.
func (s *Store) fetchOnce(ctx context.Context, ino index.Ino) error {
	done := s.gets.DoChan(strconv.FormatUint(uint64(ino), 16), func() (any, error) {
		if !s.begin() {
			return nil, ErrClosed
		}
		defer s.wg.Done()
		ctx, cancel := context.WithTimeout(s.ctx, s.o.ReadTimeout)
		defer cancel()
		b := s.acquire(ino)
		defer s.release(b)
		return nil, s.fetchSmall(ctx, b)
	})
	select {
	case r := <-done:
		return r.Err
	case <-ctx.Done():
		return fmt.Errorf("inode %d: waiting for the bucket: %w", ino, ctx.Err())
	}
}

func (s *Store) fetchSmall(ctx context.Context, b *body) error {
	in, err := s.readLock(b)
	if err != nil {
		return err
	}
	here, a := b.hereLocked(in), b.base
	b.mu.RUnlock()
	if here {
		return nil
	}
	h, err := s.lookHome(b.ino, in.Gen)
	if err == nil {
		err = h.refused
	}
	if err != nil {
		return err
	}
	s.ahead(ctx, in.Size)
	data, from, err := s.getWhole(ctx, in, h, a)
	if err != nil {
		if now, lookErr := s.lookHome(b.ino, in.Gen); lookErr == nil && (now.key != h.key || now.etag != h.etag) {
			return errMoved
		}
		if err = untrusted(err); !errors.Is(err, ErrUntrusted) && (errors.Is(err, object.ErrNotFound) || errors.Is(err, object.ErrPrecondition)) {
			err = fmt.Errorf("%w: %w", ErrStale, err)
		}
		return fmt.Errorf("fetch %q: %w", h.key, err)
	}
	defer s.recycle(data)
	return s.keepSmall(b, in, data, from)
}

// getWhole fetches an object of at most chunkSize bytes and checks it against what is known of the generation.
func (s *Store) getWhole(ctx context.Context, in index.Inode, h home, a *base) ([]byte, origin, error) {
	req := object.GetRequest{Key: h.key, ETag: h.etag, Generation: h.generation}
	if a != nil && h.etag != "" {
		req.Content = a.key
	}
	d, err := s.o.Remote.Get(ctx, req)
	if err != nil {
		return nil, origin{}, err
	}
	defer d.Body.Close()
	if d.TotalSize != in.Size {
		return nil, origin{}, fmt.Errorf("%d bytes instead of %d: %w", d.TotalSize, in.Size, ErrStale)
	}
	data := s.buffer(int(in.Size))
	if _, err = io.ReadFull(d.Body, data); err == nil {
		// The end of the body is where its checksum is compared.
		if n, e := d.Body.Read(make([]byte, 1)); n > 0 {
			err = fmt.Errorf("more than %d bytes: %w", in.Size, ErrStale)
		} else if e != nil && !errors.Is(e, io.EOF) {
			err = brokenOff(e)
		}
	} else {
		err = brokenOff(err)
	}
	if err == nil {
		err = checkDigest(a, crc64.Checksum(data, crcTable))
	}
	if err != nil {
		s.recycle(data)
		return nil, origin{}, err
	}
	return data, originOf(d), nil
}

var crcTable = crc64.MakeTable(crc64.ECMA)

// checkDigest compares the CRC-64 of a whole ciphertext with that of the generation, where it is known.
func checkDigest(a *base, crc uint64) error {
	if a == nil {
		return nil
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	if a.sealed != nil && a.sealed.CRC64() != crc {
		return fmt.Errorf("ciphertext has CRC-64 %016x, sealed was %016x: %w", crc, a.sealed.CRC64(), ErrDamaged)
	}
	return nil
}

// keepSmall makes fetched ciphertext the content of b, if it still belongs to the inode's generation.
func (s *Store) keepSmall(b *body, in index.Inode, data []byte, from origin) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	now, err := s.currentLocked(b)
	if err != nil {
		return err
	}
	if now.Gen != in.Gen || b.hereLocked(now) {
		return nil
	}
	return s.keepLocked(b, now, data, from, nil)
}

// keepLocked makes fetched ciphertext the content of b, which is not here, unless check refuses that.
func (s *Store) keepLocked(b *body, in index.Inode, data []byte, from origin, check func(*index.Tx) error) error {
	e := b.editLocked(in)
	e.check = check
	s.adoptFetched(e, in.Gen, from.key)
	e.row.size = 0
	if err := s.place(e, data, 0); err != nil {
		s.unreserve(e)
		s.undo(e, b.base.rowCopy(), b.rec.log)
		return err
	}
	e.row.size = int64(len(data))
	return s.commitFetched(b, e, in.Gen, from.volume)
}

// adoptFetched prepares e for content of a generation that was fetched under key. What is known of it from before stays.
func (s *Store) adoptFetched(e *edit, gen uint64, key *object.ContentKey) {
	old, was := e.row, e.base
	e.base = &base{key: key}
	e.row = baseRow{gen: gen, secret: s.sealKey(key)}
	if was != nil && was.sealed != nil && old.gen == gen && was.key.Equal(key) {
		e.row.secret, e.row.digest, e.digests = old.secret, old.digest, was.sealed
	}
}

func (s *Store) commitFetched(b *body, e *edit, gen uint64, volume index.ID) error {
	e.sealed, e.rec.visible = true, e.row.size
	e.inode = func(in *index.Inode) {
		if in.Gen == gen {
			in.CachedGen, in.Origin = gen, volume
		}
	}
	return s.commitLocked(b, e)
}

// fetchChunks fetches all chunks of a large file and waits until it is whole.
func (s *Store) fetchChunks(ctx context.Context, b *body, in index.Inode) error {
	r, err := s.openRemote(b, in)
	if err != nil {
		return err
	}
	defer r.done()
	r.claim()
	defer r.unclaim()
	const step = maxGet / chunkSize
	window := max(s.ahead64/chunkSize, step)
	for c := int64(0); c < r.chunks(); c++ {
		if c%step == 0 {
			for n := c; n < min(c+window, r.chunks()); n += step {
				r.ensure(n, min(n+step, r.chunks()))
			}
		}
		if err := r.await(ctx, c); err != nil {
			return err
		}
	}
	return s.keepWhole(r)
}

// await waits until chunk c is here.
func (r *remote) await(ctx context.Context, c int64) error {
	for try := 0; ; try++ {
		fl := r.ensure(c, c+1)
		select {
		case <-fl.done:
		case <-ctx.Done():
			return fmt.Errorf("inode %d: waiting for the bucket: %w", r.ino, ctx.Err())
		}
		if fl.err == nil {
			return nil
		}
		if try >= 2 || !errors.Is(fl.err, errMoved) {
			return fl.err
		}
	}
}

// keepWhole makes the chunks of r, once all are here, the content of its inode.
func (s *Store) keepWhole(r *remote) error {
	r.punch.RLock()
	defer r.punch.RUnlock()
	r.keep.Lock()
	defer r.keep.Unlock()
	r.mu.Lock()
	whole, from := int64(len(r.have)) == r.chunks() && !r.kept, origin{r.content, r.volume}
	r.mu.Unlock()
	if !whole {
		return nil
	}
	b := s.acquire(r.ino)
	defer s.release(b)
	b.mu.RLock()
	a := b.base
	b.mu.RUnlock()
	if err := s.checkFile(r, a); err != nil {
		r.mu.Lock()
		r.bad = fmt.Errorf("inode %d: %w", r.ino, err)
		r.mu.Unlock()
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now, err := s.currentLocked(b)
	if err != nil || b.away != r || now.Gen != r.gen {
		return err
	}
	e := b.editLocked(now)
	s.adoptFetched(e, r.gen, from.key)
	e.row.file, e.row.size = r.file, r.size
	s.files.note(r.file) // a read cache until now
	if err := s.commitFetched(b, e, r.gen, from.volume); err != nil {
		return err
	}
	r.mu.Lock()
	r.kept = true
	r.mu.Unlock()
	b.away = nil
	return nil
}

// checkFile compares a fetched file with the digest of its generation, where that is known. Damage throws the chunks away.
func (s *Store) checkFile(r *remote, a *base) error {
	if a == nil {
		return nil
	}
	a.mu.RLock()
	known := a.sealed != nil && a.row.gen == r.gen
	a.mu.RUnlock()
	if !known {
		return nil
	}
	buf := s.buffer(stepSize)
	defer s.recycle(buf)
	crc := uint64(0)
	for off := int64(0); off < r.size; off += int64(len(buf)) {
		buf = buf[:min(int64(stepSize), r.size-off)]
		if err := s.fileRead(r.file, buf, off); err != nil {
			return err
		}
		crc = crc64.Update(crc, crcTable, buf)
	}
	return checkDigest(a, crc)
}
