package object

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/ossencfs/ossencfs/oss"
)

// fetchChunk is the piece in which GetFile asks for a large object; fetchWorkers of them are under way at a time.
const (
	fetchChunk   = 8 << 20
	fetchWorkers = 4
)

// GetFile writes the plaintext of a whole object to w, in order. A large object is fetched by parallel ranges of one
// version; its checksum is verified at the end, when the bytes have been written. Progress may be nil; it is told how
// many more bytes have been written.
func (b *Bucket) GetFile(ctx context.Context, key string, w io.Writer, progress func(n int64)) (Info, error) {
	first, err := b.Get(ctx, GetRequest{Key: key, Len: fetchChunk})
	if errors.Is(err, oss.ErrRange) { // an empty object has no first byte
		first, err = b.Get(ctx, GetRequest{Key: key})
	}
	if err != nil {
		return Info{}, err
	}
	f := &fileFetch{b: b, key: key, first: first, w: w, progress: progress}
	if err := f.run(ctx); err != nil {
		return Info{}, fmt.Errorf("get %.100q: %w", key, err)
	}
	return first.Info, nil
}

// fileFetch is a GetFile under way.
type fileFetch struct {
	b        *Bucket
	key      string
	first    *Download // the first chunk; all others must be of its version
	w        io.Writer
	progress func(n int64)
	written  int64
	sum      uint64 // CRC-64 of the stored bytes so far
}

// chunk is a piece on its way; p arrives once.
type chunk struct{ p chan []byte }

// run writes the first chunk, then all others in order while later ones are fetched.
func (f *fileFetch) run(ctx context.Context) error {
	p, err := readChunk(f.first, min(fetchChunk, f.first.TotalSize))
	if err != nil && oss.Retryable(err) && f.first.TotalSize > 0 {
		p, err = f.get(ctx, 0)
	}
	if err == nil {
		err = f.write(p)
	}
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	queue := make(chan chunk, fetchWorkers-1)
	g.Go(func() error {
		defer close(queue)
		for off := int64(fetchChunk); off < f.first.TotalSize; off += fetchChunk {
			c := chunk{p: make(chan []byte, 1)}
			select {
			case queue <- c:
			case <-ctx.Done():
				return ctx.Err()
			}
			g.Go(func() error { return f.fetch(ctx, off, c) })
		}
		return nil
	})
	g.Go(func() error { return f.writeAll(ctx, queue) })
	if err := g.Wait(); err != nil {
		return err
	}
	if f.first.hasCRC && f.sum != f.first.crc {
		return fmt.Errorf("crc64 received %d, stored %d: %w", f.sum, f.first.crc, ErrBadDigest)
	}
	return nil
}

// fetch gets the chunk at off and hands it to the writer.
func (f *fileFetch) fetch(ctx context.Context, off int64, c chunk) error {
	p, err := f.get(ctx, off)
	if err == nil {
		c.p <- p
	}
	return err
}

// fetchTries is how often a range is asked for when its body breaks off; opening it has retries of its own.
const fetchTries = 4

// get reads the chunk at off.
func (f *fileFetch) get(ctx context.Context, off int64) ([]byte, error) {
	size := min(fetchChunk, f.first.TotalSize-off)
	r := GetRequest{Key: f.key, ETag: f.first.Info.ETag, Off: off, Len: size, Content: f.first.Content, Generation: f.first.Info.Generation}
	for try := 1; ; try++ {
		d, err := f.b.Get(ctx, r)
		if err != nil {
			return nil, err
		}
		p, err := readChunk(d, size)
		if err == nil || try == fetchTries || !oss.Retryable(err) {
			return p, err
		}
	}
}

// readChunk reads a body to its end and closes it.
func readChunk(d *Download, size int64) ([]byte, error) {
	p := make([]byte, size)
	_, err := io.ReadFull(d.Body, p)
	if err == nil { // the end of the body is where its length and checksum are verified
		_, err = io.Copy(io.Discard, d.Body)
	}
	return p, errors.Join(err, d.Body.Close())
}

// writeAll writes chunks in the order of the queue.
func (f *fileFetch) writeAll(ctx context.Context, queue <-chan chunk) error {
	for c := range queue {
		select {
		case p := <-c.p:
			if err := f.write(p); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// write opens the next bytes and hands them on.
func (f *fileFetch) write(p []byte) error {
	if f.first.Info.Encrypted {
		f.sum = oss.CRC64(f.sum, p)
	}
	f.first.Content.XORKeyStreamAt(p, p, f.written)
	if !f.first.Info.Encrypted {
		f.sum = oss.CRC64(f.sum, p)
	}
	f.written += int64(len(p))
	if _, err := f.w.Write(p); err != nil {
		return err
	}
	if f.progress != nil {
		f.progress(int64(len(p)))
	}
	return nil
}
