package object

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sync/errgroup"
)

// ErrChanged says that a file had another size than announced when it was read.
var ErrChanged = errors.New("the file changed while it was read")

// FileRequest uploads a whole file without a cache.
type FileRequest struct {
	Key      string
	Source   io.Reader // plaintext, read once from front to back
	Size     int64     // bytes of Source; -1: unknown, so that a large body is sealed into SpoolDir first
	Attr     Attr
	IfAbsent bool          // fail with ErrExists when the object exists
	SpoolDir string        // folder for a sealed temporary file; os.TempDir when empty
	Progress func(n int64) // when set, told how many more bytes have gone up, from several goroutines
}

// streamMemory bounds the buffers of one PutFile in bytes, except that there are at least two.
const streamMemory = 256 << 20

// PutFile seals a file while reading it and stores it: by a single PUT up to the multipart threshold, above it in
// parts that go up while the next are read. A file that turns out to have another size than announced is ErrChanged.
// What fails half-way leaves the object as it was.
func (b *Bucket) PutFile(ctx context.Context, r FileRequest) (Info, error) {
	full, err := b.writable(r.Key)
	if err != nil {
		return Info{}, err
	}
	info, err := b.putFile(ctx, full, r)
	if err != nil {
		return Info{}, fmt.Errorf("put %.100q: %w", r.Key, err)
	}
	return info, nil
}

// putFile chooses the way by the size.
func (b *Bucket) putFile(ctx context.Context, full string, r FileRequest) (Info, error) {
	sealing, err := NewSealing()
	if err != nil {
		return Info{}, err
	}
	limit := b.opt.MultipartThreshold
	if r.Size > limit {
		return b.putStream(ctx, full, r, sealing)
	}
	var buf bytes.Buffer
	if r.Size > 0 {
		buf.Grow(int(r.Size) + bytes.MinRead)
	}
	if _, err := buf.ReadFrom(io.LimitReader(r.Source, limit+1)); err != nil {
		return Info{}, err
	}
	head := buf.Bytes()
	if r.Size >= 0 && int64(len(head)) != r.Size {
		return Info{}, fmt.Errorf("read %d bytes instead of %d: %w", len(head), r.Size, ErrChanged)
	}
	if err := sealing.Seal(head, head); err != nil {
		return Info{}, err
	}
	if int64(len(head)) > limit {
		return b.putSpooled(ctx, r, sealing, head)
	}
	return b.putSealed(ctx, r, sealing, bytes.NewReader(head))
}

// putSealed stores a body that is sealed to its end.
func (b *Bucket) putSealed(ctx context.Context, r FileRequest, sealing *Sealing, body io.ReaderAt) (Info, error) {
	return b.Put(ctx, PutRequest{Key: r.Key, Body: body, Sealed: sealing.Finish(), Attr: r.Attr, Upload: NewID(), IfAbsent: r.IfAbsent,
		Progress: r.Progress})
}

// putSpooled stores a body of unknown size by way of a file that holds its ciphertext, of which head comes first.
func (b *Bucket) putSpooled(ctx context.Context, r FileRequest, sealing *Sealing, head []byte) (_ Info, err error) {
	f, err := os.CreateTemp(r.SpoolDir, "ossencfs-put-*")
	if err != nil {
		return Info{}, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if _, err := f.Write(head); err != nil {
		return Info{}, err
	}
	buf := make([]byte, 1<<20)
	for more := true; more; {
		n, err := io.ReadFull(r.Source, buf)
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			more, err = false, ctx.Err()
		}
		if err == nil {
			err = sealing.Seal(buf[:n], buf[:n])
		}
		if err == nil {
			_, err = f.Write(buf[:n])
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return Info{}, err
		}
	}
	return b.putSealed(ctx, r, sealing, f)
}

// putStream stores a body of known size in parts while it is read.
func (b *Bucket) putStream(ctx context.Context, full string, r FileRequest, sealing *Sealing) (Info, error) {
	c := content{key: sealing.ContentKey(), size: r.Size, generation: ID(sealing.GenerationID()), upload: NewID(), attr: r.Attr}
	m, err := b.beginMultipart(ctx, r.Key, full, c, r.IfAbsent)
	if err != nil {
		return Info{}, err
	}
	err = m.sendStream(ctx, r, sealing)
	var etag string
	if err == nil {
		etag, err = m.complete(ctx, sealing.Finish().CRC64())
	}
	if err != nil {
		m.abort(ctx)
		return Info{}, err
	}
	return Info{Key: r.Key, Size: r.Size, ETag: etag, Attr: r.Attr, HasAttr: true, Generation: c.generation, Upload: c.upload,
		Encrypted: true}, nil
}

// sendStream reads, seals and sends all parts. A part stays in its buffer until OSS has it, because the source may
// read differently a second time, and other bytes must never be sealed at the same place under one key.
func (m *multipart) sendStream(ctx context.Context, r FileRequest, sealing *Sealing) error {
	buffers := min(partWorkers+1, max(2, int(streamMemory/m.state.PartSize)), len(m.parts))
	free := make(chan []byte, buffers)
	for range buffers {
		free <- nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, gctx := errgroup.WithContext(ctx)
	for n := 1; n <= len(m.parts) && gctx.Err() == nil; n++ {
		var buf []byte
		select {
		case buf = <-free:
		case <-gctx.Done():
			continue
		}
		_, size := m.state.span(n)
		if buf == nil {
			buf = make([]byte, m.state.PartSize)
		}
		part := buf[:size]
		if err := readPart(r.Source, sealing, part, n == len(m.parts)); err != nil {
			cancel()
			_ = g.Wait() // only says that it was cancelled
			return err
		}
		g.Go(func() error {
			err := m.send(gctx, n, newCountedBody(bytes.NewReader(part), 0, size, r.Progress))
			free <- buf
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// readPart fills and seals a part; behind the last one the source must end.
func readPart(src io.Reader, sealing *Sealing, part []byte, last bool) error {
	n, err := io.ReadFull(src, part)
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it ended %d bytes early: %w", len(part)-n, ErrChanged)
	}
	if err != nil {
		return err
	}
	if last {
		var beyond [1]byte
		if n, err := io.ReadFull(src, beyond[:]); n > 0 {
			return fmt.Errorf("it grew: %w", ErrChanged)
		} else if err != io.EOF {
			return err
		}
	}
	return sealing.Seal(part, part)
}
