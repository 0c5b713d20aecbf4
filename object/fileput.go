package object

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/ossencfs/ossencfs/cipher"
)

// ErrChanged says that a file had another size or other bytes than before when it was read.
var ErrChanged = errors.New("the file changed while it was read")

// FileRequest uploads a whole file without a cache.
type FileRequest struct {
	Key      string
	Source   io.Reader // plaintext; a large one that is an io.ReaderAt too is read twice, any other once from front to back
	Size     int64     // bytes of Source; -1: unknown
	Attr     Attr
	IfAbsent bool          // fail with ErrExists when the object exists
	SpoolDir string        // folder for a sealed temporary file; os.TempDir when empty
	Progress func(n int64) // when set, told how many more bytes have gone up, from several goroutines
}

// PutFile seals a file and stores it: by a single PUT up to the multipart threshold, above it in parts. The headers of a multipart
// upload, its box among them, come before its first part, so a large file is sealed before anything is sent: it is read
// twice where it can be, else its ciphertext goes through a temporary file. A file that turns out to have another size, or other
// bytes at the second reading, is ErrChanged; a reserved name is ErrReserved. What fails half-way leaves the object as it was.
func (b *Bucket) PutFile(ctx context.Context, r FileRequest) (Info, error) {
	if Reserved(r.Key) {
		return Info{}, fmt.Errorf("put %.100q: %w", r.Key, ErrReserved)
	}
	if _, err := b.writable(r.Key); err != nil {
		return Info{}, err
	}
	info, err := b.putFile(ctx, r)
	if err != nil {
		return Info{}, fmt.Errorf("put %.100q: %w", r.Key, err)
	}
	return info, nil
}

// putFile chooses the way by the size.
func (b *Bucket) putFile(ctx context.Context, r FileRequest) (Info, error) {
	sealing, err := NewSealing()
	if err != nil {
		return Info{}, err
	}
	limit := b.opt.MultipartThreshold
	if r.Size > limit {
		if src, ok := r.Source.(io.ReaderAt); ok {
			return b.putTwice(ctx, r, src, sealing)
		}
		return b.putSpooled(ctx, r, sealing, nil)
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
	sealed := sealing.Finish()
	if r.Size >= 0 && sealed.Size() != r.Size {
		return Info{}, fmt.Errorf("read %d bytes instead of %d: %w", sealed.Size(), r.Size, ErrChanged)
	}
	req := PutRequest{Key: r.Key, Body: body, Sealed: sealed, Attr: r.Attr, Upload: b.NewUpload(r.Key, generationOf(sealed), sealed.Size()), IfAbsent: r.IfAbsent, Progress: r.Progress}
	if !r.IfAbsent {
		var err error
		if req.Keep, err = b.othersAt(ctx, r.Key); err != nil {
			return Info{}, err
		}
	}
	var state []byte
	req.SaveMultipart = func(s []byte) error { state = s; return nil }
	info, err := b.Put(ctx, req)
	if err != nil && state != nil { // nobody goes on with it
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
		defer cancel()
		_ = b.AbortMultipart(ctx, state) // parts cost money but harm nothing; `ossencfs verify` finds them
	}
	return info, err
}

// sealRest seals what is left of a source, and writes the ciphertext to w.
func sealRest(ctx context.Context, src io.Reader, sealing *Sealing, w io.Writer) error {
	buf := make([]byte, cipher.LeafSize)
	for {
		n, err := io.ReadFull(src, buf)
		end := err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !end {
			return err
		}
		if err := sealing.Seal(buf[:n], buf[:n]); err != nil {
			return err
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil || end {
			return err
		}
	}
}

// putSpooled stores a body by way of a file that holds its ciphertext, of which head comes first.
func (b *Bucket) putSpooled(ctx context.Context, r FileRequest, sealing *Sealing, head []byte) (_ Info, err error) {
	f, err := os.CreateTemp(r.SpoolDir, "ossencfs-put-*")
	if err != nil {
		return Info{}, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if _, err := f.Write(head); err != nil {
		return Info{}, err
	}
	if err := sealRest(ctx, r.Source, sealing, f); err != nil {
		return Info{}, err
	}
	return b.putSealed(ctx, r, sealing, f)
}

// putTwice stores a body that is sealed at the first reading, of which only the tags are kept, and sent at the second.
func (b *Bucket) putTwice(ctx context.Context, r FileRequest, src io.ReaderAt, sealing *Sealing) (Info, error) {
	first := io.NewSectionReader(src, 0, r.Size+1) // one byte more shows a file that grew
	if err := sealRest(ctx, first, sealing, io.Discard); err != nil {
		return Info{}, err
	}
	again := &resealed{src: src, sealed: sealing.Finish()}
	return b.putSealed(ctx, r, sealing, again)
}

// resealed is the ciphertext of a file that was sealed before and is read again. INVARIANT: a leaf leaves it only after its tag was
// found to be that of the first reading, so that no other bytes are ever sent under the key.
type resealed struct {
	src    io.ReaderAt
	sealed *Sealed

	mu    sync.Mutex // guards the fields below
	kept  map[int64][]byte
	order []int64
}

// keptLeaves is how many leaves are kept: the readers of all parts, and one more.
const keptLeaves = 2 * partWorkers

// ReadAt implements io.ReaderAt.
func (s *resealed) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		at := off + int64(n)
		if at >= s.sealed.Size() {
			return n, io.EOF
		}
		leaf, err := s.leaf(at / cipher.LeafSize)
		if err != nil {
			return n, err
		}
		n += copy(p[n:], leaf[at%cipher.LeafSize:])
	}
	return n, nil
}

// leaf seals one leaf again, or finds it among the last ones.
func (s *resealed) leaf(i int64) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if leaf, ok := s.kept[i]; ok {
		return leaf, nil
	}
	off := i * cipher.LeafSize
	leaf := make([]byte, min(cipher.LeafSize, s.sealed.Size()-off))
	if _, err := s.src.ReadAt(leaf, off); err != nil && err != io.EOF {
		return nil, err
	}
	s.sealed.ContentKey().XORKeyStreamAt(leaf, leaf, off)
	if err := s.sealed.Tags().VerifyLeaf(i, leaf); err != nil {
		return nil, fmt.Errorf("bytes from %d on: %w", off, ErrChanged)
	}
	if s.kept == nil {
		s.kept = make(map[int64][]byte)
	}
	s.kept[i] = leaf
	if s.order = append(s.order, i); len(s.order) > keptLeaves {
		delete(s.kept, s.order[0])
		s.order = s.order[1:]
	}
	return leaf, nil
}
