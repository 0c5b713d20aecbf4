package object

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // OSS's Content-MD5: a guard against rot, not against attackers
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/ossencfs/ossencfs/cipher"
	"github.com/ossencfs/ossencfs/oss"
)

// rewrapBurst is the most bytes that are read at once where a rate is given.
const rewrapBurst = 64 << 10

// write stores the new version. It is sent in the way the old one was as far as that can be told, because then it has the same ETag,
// and mounts keep what they have of the content.
func (a *rewrapAttempt) write(ctx context.Context, s *sighting) error {
	if partSize := a.r.b.rewrapPart(s.got); partSize > 0 {
		return a.writeParts(ctx, s, partSize)
	}
	return a.writeWhole(ctx, s)
}

// rewrapPart is the size of the parts in which an object goes up; 0: by a single PUT.
func (b *Bucket) rewrapPart(got oss.Info) int64 {
	parts := strings.EqualFold(got.Type, "Multipart")
	was := cipher.PartSizeOf(got.Meta)
	fits := was >= oss.MinPart && was <= oss.MaxPutSize && was%16 == 0 && (got.Size+was-1)/max(was, 1) <= oss.MaxParts
	switch {
	case got.Size == 0 || !parts && got.Size <= MaxSinglePut:
		return 0
	case parts && fits:
		return was
	case got.Size <= b.opt.MultipartThreshold:
		return 0
	}
	return partSizeFor(got.Size, b.opt.PartSize)
}

// open requests a range of a version as verified ciphertext and gives the content key with it; size 0 is the rest.
func (a *rewrapAttempt) open(ctx context.Context, s *sighting, off, size int64) (*Download, error) {
	b := a.r.b
	first := off &^ (cipher.LeafSize - 1)
	o := oss.GetOptions{Off: first, IfMatch: s.got.ETag}
	r := GetRequest{Key: a.it.key, ETag: s.got.ETag, Off: off, Len: size, Generation: s.info.Generation}
	if size > 0 {
		o.Len = (off+size+cipher.LeafSize-1)&^(cipher.LeafSize-1) - first
	}
	body, got, err := b.oss.Get(ctx, a.it.full, o)
	if err != nil {
		return nil, err
	}
	if !maps.Equal(got.Meta, s.got.Meta) {
		return nil, errors.Join(errMeanwhile, body.Close())
	}
	d, err := b.download(ctx, r, a.it.full, body, got)
	if err != nil {
		return nil, errors.Join(err, body.Close())
	}
	if a.r.pace != nil {
		d.Body = &pacedBody{ReadCloser: d.Body, ctx: ctx, pace: a.r.pace}
	}
	return d, nil
}

// pacedBody is read no faster than the rate allows.
type pacedBody struct {
	io.ReadCloser
	ctx  context.Context //nolint:containedctx // of the request that the body belongs to
	pace *rate.Limiter
}

// Read implements io.Reader.
func (p *pacedBody) Read(buf []byte) (int, error) {
	n, err := p.ReadCloser.Read(buf[:min(len(buf), p.pace.Burst())])
	if n > 0 {
		if werr := p.pace.WaitN(p.ctx, n); werr != nil {
			return 0, werr
		}
	}
	return n, err
}

// contentKey is the content key of a version of which no byte is read.
func (a *rewrapAttempt) contentKey(ctx context.Context, s *sighting) (*ContentKey, error) {
	return a.r.b.contentKey(ctx, s.got.Meta, s.proof)
}

// freshTags makes tags of the body under a MAC key of its own where others have the one in the box: who held the volume key by which it is sealed, and
// the host that wrote it, can change bytes so that the tags remain right. body writes the verified ciphertext.
func (a *rewrapAttempt) freshTags(s *sighting, k *ContentKey, body func(io.Writer) error) error {
	if s.proof.box == nil || s.got.Size == 0 {
		return nil
	}
	old, err := cipher.ParseBox(s.got.Meta[cipher.BoxHeader])
	if err != nil || old.Volume == a.r.writer && old.Type != cipher.BoxOfHost {
		return err
	}
	intake, err := cipher.NewIntake(k)
	if err == nil {
		err = body(intake)
	}
	if err == nil {
		a.fresh = intake.Finish()
	}
	return err
}

// putLeaves stores the leaf tags of a large body that got new tags, in the place of those of before.
func (a *rewrapAttempt) putLeaves(ctx context.Context, now *sighting) error {
	if a.fresh == nil {
		return nil
	}
	return a.r.b.putLeaves(ctx, now.info.Generation, a.fresh.Tags())
}

// writeWhole reads the whole body, looks again, and stores it by one PUT.
func (a *rewrapAttempt) writeWhole(ctx context.Context, s *sighting) error {
	size := s.got.Size
	if err := a.r.room.Acquire(ctx, size); err != nil {
		return err
	}
	defer a.r.room.Release(size)
	data := make([]byte, size)
	if err := a.read(ctx, s, data); err != nil {
		return err
	}
	k, err := a.contentKey(ctx, s)
	if err == nil {
		err = a.freshTags(s, k, func(w io.Writer) error { _, err := w.Write(data); return err })
	}
	if err != nil {
		return err
	}
	env, err := a.envelope(ctx, s, k, 0)
	if err != nil {
		return err
	}
	now, err := a.look(ctx)
	if err != nil {
		return err
	}
	if !s.same(now) {
		return errMeanwhile
	}
	to, err := a.renew(now, env, k)
	if err == nil {
		err = a.putLeaves(ctx, now)
	}
	if err != nil {
		return err
	}
	a.sent = true
	_, err = a.r.b.oss.Put(ctx, a.it.full, bytes.NewReader(data), size, oss.PutOptions{
		Meta: to.meta, Headers: now.info.Others.served(), Tagging: to.tagging,
		ContentMD5: md5.Sum(data), HasMD5: true, CRC64: oss.CRC64(0, data), HasCRC: true}) //nolint:gosec // see the import
	return err
}

// read fills data with the verified body. Without one there is nothing to verify but the box.
func (a *rewrapAttempt) read(ctx context.Context, s *sighting, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	d, err := a.open(ctx, s, 0, 0)
	if err != nil {
		return err
	}
	if _, err = io.ReadFull(d.Body, data); err == nil { // the end of the body is where its length and checksum are verified
		_, err = io.Copy(io.Discard, d.Body)
	}
	return errors.Join(err, d.Body.Close())
}

// writeParts stores the body in parts, each read while it is sent. The headers are fixed when the upload begins, so that tags count among
// what may not change until the last look. New tags of the content are in them: it is read once more, before.
func (a *rewrapAttempt) writeParts(ctx context.Context, s *sighting, partSize int64) error {
	k, err := a.contentKey(ctx, s)
	if err == nil {
		err = a.freshTags(s, k, func(w io.Writer) error { return a.copyTo(ctx, s, w) })
	}
	if err != nil {
		return err
	}
	env, err := a.envelope(ctx, s, k, partSize)
	if err != nil {
		return err
	}
	to, err := a.renew(s, env, k)
	if err != nil {
		return err
	}
	b := a.r.b
	state := &partState{FullKey: []byte(a.it.full), Size: s.got.Size, PartSize: partSize, Envelope: repeated(to.meta)}
	state.UploadID, err = b.oss.InitiateMultipart(ctx, a.it.full, oss.InitOptions{Meta: to.meta, Headers: s.info.Others.served(), Tagging: to.tagging})
	if err != nil {
		return err
	}
	m := &multipart{b: b, full: a.it.full, state: state, parts: make([]oss.Part, state.parts())}
	if err = before(a.sendParts(ctx, s, m)); err == nil {
		err = a.completeParts(ctx, s, m)
	}
	if NoEffect(err) {
		m.abort(ctx)
	}
	return err
}

// copyTo writes the verified body, part by part.
func (a *rewrapAttempt) copyTo(ctx context.Context, s *sighting, w io.Writer) error {
	for off := int64(0); off < s.got.Size; off += fetchChunk {
		var p []byte
		size := min(fetchChunk, s.got.Size-off)
		err := a.r.b.repeat(ctx, func() error {
			d, err := a.open(ctx, s, off, size)
			if err == nil {
				p, err = readChunk(d, size)
			}
			return err
		})
		if err == nil {
			_, err = w.Write(p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sendParts copies all parts, several at a time.
func (a *rewrapAttempt) sendParts(ctx context.Context, s *sighting, m *multipart) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(partWorkers)
	for n := 1; n <= len(m.parts) && gctx.Err() == nil; n++ {
		g.Go(func() error {
			var src *partReader
			return a.r.b.repeat(gctx, func() error {
				src = &partReader{open: func(off, size int64) (*Download, error) { return a.open(gctx, s, off, size) }}
				src.off, src.size = m.state.span(n)
				err := errors.Join(m.send(gctx, n, src), src.close())
				if src.err != nil {
					return fmt.Errorf("read part %d of %d: %w", n, len(m.parts), src.err)
				}
				return err
			})
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// completeParts looks a last time and makes the object of the parts.
func (a *rewrapAttempt) completeParts(ctx context.Context, s *sighting, m *multipart) error {
	now, err := a.look(ctx)
	if err == nil && (!s.same(now) || !maps.Equal(s.tags, now.tags)) {
		err = errMeanwhile
	}
	if err != nil {
		return before(err)
	}
	sum := s.got.CRC64
	switch {
	case a.fresh != nil:
		sum = a.fresh.CRC64()
	case !s.got.HasCRC:
		sum = m.sum()
	}
	if err := a.putLeaves(ctx, now); err != nil {
		return before(err)
	}
	a.sent = true
	_, err = m.complete(ctx, sum)
	return err
}

// sum is the CRC-64 of all parts together, as OSS told them.
func (m *multipart) sum() uint64 {
	sum := uint64(0)
	for _, p := range m.parts {
		sum = oss.CombineCRC64(sum, p.CRC64, p.Size)
	}
	return sum
}

// partReader reads a range of an object as the body of a request. It can go back to its beginning, where it asks anew.
type partReader struct {
	open      func(off, size int64) (*Download, error)
	off, size int64
	body      io.ReadCloser // nil: to be asked for
	err       error         // why it could not be read
}

// Read implements io.Reader.
func (p *partReader) Read(buf []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	if p.body == nil {
		d, err := p.open(p.off, p.size)
		if err != nil {
			p.err = err
			return 0, err
		}
		p.body = d.Body
	}
	n, err := p.body.Read(buf)
	if err != nil && err != io.EOF {
		p.err = err
	}
	return n, err
}

// Seek implements io.Seeker for the beginning, and for a reader that has not begun.
func (p *partReader) Seek(off int64, whence int) (int64, error) {
	if off != 0 || whence == io.SeekEnd || whence == io.SeekCurrent && p.body != nil {
		return 0, fmt.Errorf("seek to %d within a part: %w", off, ErrInvalid)
	}
	return 0, p.close()
}

// close ends the request under way.
func (p *partReader) close() error {
	if p.body == nil {
		return nil
	}
	err := p.body.Close()
	p.body = nil
	return err
}
