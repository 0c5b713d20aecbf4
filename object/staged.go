package object

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/ossencfs/ossencfs/oss"
)

// stageDir is where ciphertext waits for its end, below the mounted prefix: stageDir ID.
const stageDir = Hidden + "up/"

// Stage is the begin of a body that was sent before its end was known: parts of a multipart upload to a hidden key. OSS wants
// the size of a client-side encrypted object before its first part, so these parts carry none of its headers; Put makes an object of
// them, and a copy on the server gives that its headers and its name. Nobody else uses the key, and what is stored under it are always
// the same bytes.
type Stage struct {
	ID       ID     // of the key
	UploadID string // OSS's name of the multipart upload
	PartSize int64  // bytes of each part but the last
	Stored   int64  // bytes of the begin that are there, whole parts
}

// MaxParts is how many parts a body can have.
const MaxParts = oss.MaxParts

// ErrStageLost says that the parts of a stage are gone, which only somebody else can have done: another program that aborts uploads, or
// a rule of the bucket.
var ErrStageLost = errors.New("the begin of the file was stored ahead and has been removed from the bucket")

// stageKey is the full key of a stage.
func (b *Bucket) stageKey(id ID) (string, error) { return b.writable(stageDir + id.String()) }

// BeginStage begins a body of unknown size.
func (b *Bucket) BeginStage(ctx context.Context, partSize int64) (*Stage, error) {
	s := &Stage{ID: NewID(), PartSize: partSize}
	full, err := b.stageKey(s.ID)
	if err != nil {
		return nil, err
	}
	if s.UploadID, err = b.oss.InitiateMultipart(ctx, full, oss.InitOptions{}); err != nil {
		return nil, fmt.Errorf("store ahead: %w", err)
	}
	return s, nil
}

// StagePart stores part n, from 1, of which body has the bytes at their place in the whole, and returns its CRC-64. It may be
// repeated.
func (b *Bucket) StagePart(ctx context.Context, s *Stage, n int, body io.ReaderAt) (crc uint64, err error) {
	full, err := b.stageKey(s.ID)
	if err != nil {
		return 0, err
	}
	p, err := b.oss.UploadPart(ctx, full, s.UploadID, n, io.NewSectionReader(body, int64(n-1)*s.PartSize, s.PartSize), s.PartSize, oss.PartOptions{})
	if errors.Is(err, oss.ErrNoSuchUpload) {
		err = errors.Join(ErrStageLost, err)
	}
	if err == nil && !p.HasCRC {
		err = fmt.Errorf("part %d has no checksum: %w", n, ErrBadDigest)
	}
	if err != nil {
		return 0, fmt.Errorf("store ahead: part %d: %w", n, err)
	}
	return p.CRC64, nil
}

// DropStage removes what is left of a stage; that nothing is left is no error.
func (b *Bucket) DropStage(ctx context.Context, s *Stage) error {
	full, err := b.stageKey(s.ID)
	if err != nil {
		return err
	}
	if err := abortUpload(ctx, b.oss, full, s.UploadID); err != nil {
		return fmt.Errorf("remove what was stored ahead: %w", err)
	}
	if err := b.oss.Delete(ctx, full); err != nil && !errors.Is(err, oss.ErrNotFound) {
		return fmt.Errorf("remove what was stored ahead: %w", err)
	}
	return nil
}

// putStaged stores the rest of a body behind its stage, makes an object of it, and copies that to its name with all headers.
func (b *Bucket) putStaged(ctx context.Context, full string, r PutRequest) (placed, error) {
	stage, err := b.stageKey(r.Stage.ID)
	if err != nil {
		return placed{}, before(err)
	}
	got, err := b.oss.Head(ctx, stage)
	switch {
	case errors.Is(err, oss.ErrNotFound) && !errors.Is(err, oss.ErrNoSuchBucket):
		err = b.completeStage(ctx, stage, r)
	case err == nil && (got.Size != r.Sealed.Size() || got.HasCRC && got.CRC64 != r.Sealed.CRC64()):
		err = fmt.Errorf("stored ahead were %d bytes with crc64 %d, sealed %d with %d: %w", got.Size, got.CRC64, r.Sealed.Size(), r.Sealed.CRC64(), ErrBadDigest)
	case err == nil && r.Progress != nil:
		r.Progress(r.Sealed.Size() - r.Stage.Stored)
	}
	if err != nil {
		return placed{}, before(fmt.Errorf("put %.100q: %w", r.Key, err))
	}
	meta, tagging, err := b.described(ctx, r.Key, full, contentOf(r), 0)
	if err != nil {
		return placed{}, before(err)
	}
	info, err := b.oss.Copy(ctx, stage, full, oss.CopyOptions{ReplaceMeta: meta, Headers: r.Keep.forCopy(r.Sealed.Size()), ReplaceTagging: &tagging, ForbidOverwrite: r.IfAbsent})
	return placedAs(info), err
}

// completeStage sends the parts that are missing and makes the hidden object of all.
func (b *Bucket) completeStage(ctx context.Context, stage string, r PutRequest) error {
	s, size := r.Stage, r.Sealed.Size()
	parts := make([]oss.Part, (size+s.PartSize-1)/s.PartSize)
	done, err := b.oss.ListParts(ctx, stage, s.UploadID)
	if errors.Is(err, oss.ErrNoSuchUpload) {
		return errors.Join(ErrStageLost, err)
	}
	if err != nil {
		return err
	}
	span := func(n int) (off, length int64) {
		off = int64(n-1) * s.PartSize
		return off, min(s.PartSize, size-off)
	}
	for _, p := range done {
		if p.Number > len(parts) || !p.HasCRC {
			continue
		}
		if _, length := span(p.Number); length == p.Size {
			parts[p.Number-1] = p
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(partWorkers)
	for i := range parts {
		off, length := span(i + 1)
		switch {
		case parts[i].Number != 0:
			continue
		case off < s.Stored:
			err = fmt.Errorf("part %d of what was stored ahead is missing: %w", i+1, ErrStageLost)
		}
		if err != nil || gctx.Err() != nil {
			break
		}
		g.Go(func() (err error) {
			parts[i], err = b.oss.UploadPart(gctx, stage, s.UploadID, i+1, newCountedBody(r.Body, off, length, r.Progress), length, oss.PartOptions{})
			return err
		})
	}
	if err = errors.Join(err, g.Wait()); err != nil {
		return err
	}
	sum := uint64(0)
	for _, p := range parts {
		sum = oss.CombineCRC64(sum, p.CRC64, p.Size)
	}
	if sum != r.Sealed.CRC64() {
		return fmt.Errorf("crc64 of the parts %d, of the sealed body %d: %w: %w", sum, r.Sealed.CRC64(), errParts, ErrBadDigest)
	}
	_, err = b.oss.CompleteMultipart(ctx, stage, s.UploadID, parts, oss.CompleteOptions{CRC64: sum, HasCRC: true})
	return err
}
