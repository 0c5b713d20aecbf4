package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/ossencfs/ossencfs/oss"
)

const (
	// partWorkers is how many parts of one object go up at the same time.
	partWorkers = 4
	// abortTimeout bounds the clean-up after a failure, which must also run when the caller has given up.
	abortTimeout = 15 * time.Second
)

// multipart is a multipart upload under way. Different parts may be sent at the same time.
type multipart struct {
	b     *Bucket
	full  string
	state *partState
	parts []oss.Part // done ones; index is number - 1, Number 0 where it is missing
}

// beginMultipart starts an upload. From here on the headers are fixed, the envelope among them.
func (b *Bucket) beginMultipart(ctx context.Context, key, full string, c content, ifAbsent bool) (*multipart, error) {
	s := &partState{Version: partStateVersion, FullKey: []byte(full), Upload: c.upload.String(), Generation: c.generation.String(),
		Size: c.size, PartSize: partSizeFor(c.size, b.opt.PartSize), IfAbsent: ifAbsent}
	meta, tagging, err := b.described(ctx, key, full, c, s.PartSize)
	if err != nil {
		return nil, err
	}
	s.Envelope = repeated(meta)
	s.UploadID, err = b.oss.InitiateMultipart(ctx, full, oss.InitOptions{Meta: meta, Headers: c.keep.served(), Tagging: tagging, ContentType: contentType(key), ForbidOverwrite: ifAbsent})
	if err != nil {
		return nil, err
	}
	return &multipart{b: b, full: full, state: s, parts: make([]oss.Part, s.parts())}, nil
}

// send uploads part n. OSS's CRC of it is compared with that of the bytes read.
func (m *multipart) send(ctx context.Context, n int, body io.ReadSeeker) error {
	_, size := m.state.span(n)
	p, err := m.b.oss.UploadPart(ctx, m.full, m.state.UploadID, n, body, size, oss.PartOptions{Meta: m.state.Envelope})
	if err != nil {
		return fmt.Errorf("part %d of %d: %w", n, len(m.parts), err)
	}
	m.parts[n-1] = p
	return nil
}

// errParts says that the parts are not the body that was sealed.
var errParts = errors.New("the parts differ from the sealed body")

// complete compares the parts with the CRC of the sealed body and makes the object of them.
func (m *multipart) complete(ctx context.Context, sealed uint64) (placed, error) {
	sum := uint64(0)
	for i, p := range m.parts {
		if !p.HasCRC {
			return placed{}, before(fmt.Errorf("part %d has no checksum: %w: %w", i+1, errParts, ErrBadDigest))
		}
		sum = oss.CombineCRC64(sum, p.CRC64, p.Size)
	}
	if sum != sealed {
		return placed{}, before(fmt.Errorf("crc64 of the parts %d, of the sealed body %d: %w: %w", sum, sealed, errParts, ErrBadDigest))
	}
	got, err := m.b.oss.CompleteMultipart(ctx, m.full, m.state.UploadID, slices.Clone(m.parts), oss.CompleteOptions{
		ForbidOverwrite: m.state.IfAbsent, CRC64: sum, HasCRC: true})
	return placedAs(got), err
}

// abort removes the parts, even when ctx has ended. Parts cost money but harm nothing: what stays here is found by
// ListUploads.
func (m *multipart) abort(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	_ = abortUpload(ctx, m.b.oss, string(m.state.FullKey), m.state.UploadID)
}
