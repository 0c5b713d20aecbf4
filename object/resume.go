package object

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/ossencfs/ossencfs/oss"
)

// putMultipart stores a sealed body in parts. It goes on with the saved state of an earlier attempt of the same request.
func (b *Bucket) putMultipart(ctx context.Context, full string, r PutRequest) (placed, error) {
	p := &partPut{b: b, full: full, req: r}
	got, err := p.run(ctx)
	if err != nil {
		return placed{}, fmt.Errorf("multipart upload of %.100q: %w", r.Key, err)
	}
	return got, nil
}

// partPut is one attempt of a Put by multipart upload.
type partPut struct {
	b    *Bucket
	full string
	req  PutRequest
}

func (p *partPut) run(ctx context.Context) (placed, error) {
	m, got, err := p.resume(ctx)
	if err != nil || got.etag != "" {
		return got, before(err)
	}
	if m == nil {
		if m, err = p.begin(ctx); err != nil {
			return placed{}, before(err)
		}
	}
	if err := p.sendAll(ctx, m); err != nil {
		return placed{}, before(err)
	}
	got, err = m.complete(ctx, p.req.Sealed.CRC64())
	if errors.Is(err, errParts) || errors.Is(err, oss.ErrExists) {
		return placed{}, errors.Join(err, p.drop(ctx, m)) // nobody can go on with these parts
	}
	return got, err
}

// resume takes up the saved state. It returns nil when there is none that fits, and an object when there is nothing
// left to do because an earlier attempt has stored it after all.
func (p *partPut) resume(ctx context.Context) (*multipart, placed, error) {
	if p.req.Multipart == nil {
		return nil, placed{}, nil
	}
	s, err := parsePartState(p.req.Multipart)
	if err != nil {
		return nil, placed{}, nil //nolint:nilerr // not used; ListUploads finds the orphan
	}
	m := &multipart{b: p.b, full: p.full, state: s, parts: make([]oss.Part, s.parts())}
	if !p.fits(s) {
		return nil, placed{}, p.drop(ctx, m)
	}
	done, err := p.b.oss.ListParts(ctx, p.full, s.UploadID)
	if errors.Is(err, oss.ErrNoSuchUpload) {
		got, err := p.stored(ctx)
		return nil, got, err
	}
	if err != nil {
		return nil, placed{}, err
	}
	for _, d := range done {
		if d.Number > len(m.parts) || !d.HasCRC {
			continue
		}
		if _, size := s.span(d.Number); size == d.Size {
			m.parts[d.Number-1] = d
			p.progress(d.Size)
		}
	}
	return m, placed{}, nil
}

// fits reports whether a saved state belongs to this request. The headers, attributes included, were fixed when the
// upload began; the upload id stands for them.
func (p *partPut) fits(s *partState) bool {
	return string(s.FullKey) == p.full && s.Upload == p.req.Upload.String() && s.IfAbsent == p.req.IfAbsent &&
		s.Generation == p.req.generation().String() && s.Size == p.req.Sealed.Size()
}

// stored finds out why an upload is gone: completed by an earlier attempt whose answer was lost, which gives the
// object, or aborted, which leaves none.
func (p *partPut) stored(ctx context.Context) (placed, error) {
	got, err := p.b.oss.Head(ctx, p.full)
	if err != nil && !errors.Is(err, oss.ErrNotFound) {
		return placed{}, err
	}
	if err != nil || got.Meta[metaIDs] != formatIDs(p.req.generation(), p.req.Upload) {
		return placed{}, p.save(nil)
	}
	if want := p.req.Sealed.CRC64(); got.HasCRC && got.CRC64 != want {
		return placed{}, fmt.Errorf("stored crc64 %d, sealed %d: %w", got.CRC64, want, ErrBadDigest)
	}
	p.progress(p.req.Sealed.Size())
	return placedAs(got), nil
}

// begin starts an upload and saves its state before the first part.
func (p *partPut) begin(ctx context.Context) (*multipart, error) {
	m, err := p.b.beginMultipart(ctx, p.req.Key, p.full, contentOf(p.req), p.req.IfAbsent)
	if err != nil {
		return nil, err
	}
	state, err := m.state.marshal()
	if err == nil {
		err = p.save(state)
	}
	if err != nil {
		m.abort(ctx)
		return nil, err
	}
	return m, nil
}

// sendAll uploads the parts that are missing, several at a time. Their bytes go from the caller's reader to the
// connection.
func (p *partPut) sendAll(ctx context.Context, m *multipart) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(partWorkers)
	for i := range m.parts {
		if m.parts[i].Number != 0 {
			continue
		}
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error {
			off, size := m.state.span(i + 1)
			return m.send(gctx, i+1, newCountedBody(p.req.Body, off, size, p.req.Progress))
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// drop gives up an upload that this request cannot use: its state first, so that nobody tries it again.
func (p *partPut) drop(ctx context.Context, m *multipart) error {
	if err := p.save(nil); err != nil {
		return err
	}
	m.abort(ctx)
	return nil
}

// save hands the state to the caller to keep.
func (p *partPut) save(state []byte) error {
	if p.req.SaveMultipart == nil {
		return nil
	}
	if err := p.req.SaveMultipart(state); err != nil {
		return fmt.Errorf("save the state of a multipart upload: %w", err)
	}
	return nil
}

// progress tells of bytes that need not go up again.
func (p *partPut) progress(n int64) {
	if p.req.Progress != nil {
		p.req.Progress(n)
	}
}
