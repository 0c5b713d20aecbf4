package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ossencfs/ossencfs/cipher"
	"github.com/ossencfs/ossencfs/oss"
)

// content verifies the leaf-tag object, and with Deep the bytes.
func (v *verification) content(ctx context.Context, x *exam) error {
	var leafErr error
	separate := x.p.box != nil && x.p.box.Tags.Separate()
	if separate {
		var err error
		if leafErr, err = v.leafTags(ctx, x); err != nil {
			return err
		}
	}
	if v.o.Deep {
		if err := v.opens(ctx, x); err != nil {
			return v.undecryptable(ctx, x, err)
		}
	}
	sound := false
	if x.body != nil || leafErr != nil && v.o.Repair {
		var err error
		if sound, err = v.sweep(ctx, x); err != nil {
			return err
		}
	}
	if leafErr == nil {
		return nil
	}
	return v.mendLeaf(ctx, x, leafErr, sound)
}

// opens finds the content key. Where the box has it, that costs nothing.
func (v *verification) opens(ctx context.Context, x *exam) error {
	if x.p.box == nil && !x.info.Encrypted {
		return nil
	}
	if _, err := v.b.contentKey(ctx, x.got.Meta, x.p); err != nil {
		return err
	}
	v.b.openXattrs(ctx, x.got.Meta, &x.info, x.p)
	if x.info.XattrErr != nil {
		v.tell(Finding{Kind: FoundAttributes, Key: x.key, Detail: x.info.XattrErr.Error()})
	}
	return nil
}

// undecryptable reports an object that does not open, if that is not the fault of something else.
func (v *verification) undecryptable(ctx context.Context, x *exam, err error) error {
	if !isWrongKey(err) && !isUnreadable(err) && !errors.Is(err, ErrNoKey) && !errors.Is(err, ErrKMSDenied) {
		return err
	}
	if x.p.box == nil {
		if _, bad := cipher.ParseEnvelope(x.got.Meta); bad != nil {
			return nil // foreign has said so
		}
	}
	return v.found(ctx, FoundUndecryptable, x.key, &x.entry, err)
}

// sweep reads an object to its end and compares tags and checksum. sound: all is well.
func (v *verification) sweep(ctx context.Context, x *exam) (sound bool, err error) {
	s := &sweep{ctx: ctx, v: v, full: x.full, etag: x.got.ETag, size: x.got.Size, body: x.body, end: x.got.Size}
	x.body = nil
	defer s.close()
	if x.p.box != nil {
		err = v.groups(ctx, x, s)
	} else {
		_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, s, make([]byte, sweepBuffer))
	}
	x.damaged = errors.Is(err, ErrBadDigest) || errors.Is(err, cipher.ErrTampered) || err == nil && x.got.HasCRC && s.crc != x.got.CRC64
	switch {
	case errors.Is(err, ErrPrecondition), isGone(err):
		return false, errChanging
	case errors.Is(err, ErrBadDigest):
		return false, v.found(ctx, FoundChecksum, x.key, &x.entry, err)
	case errors.Is(err, cipher.ErrTampered):
		return false, v.found(ctx, FoundTampered, x.key, &x.entry, err)
	case err != nil:
		return false, err
	case x.damaged:
		return false, v.found(ctx, FoundChecksum, x.key, &x.entry, fmt.Errorf("crc64 received %d, stored %d", s.crc, x.got.CRC64))
	}
	return true, nil
}

// groups verifies the tags of a body. A group that is wrong may have been damaged on the way and is read once more.
func (v *verification) groups(ctx context.Context, x *exam, s *sweep) error {
	tags := x.p.box.Tags
	group := tags.GroupLeaves() * cipher.LeafSize
	for off := int64(0); off < tags.Size(); off += group {
		j := off / group
		err := tags.VerifyGroup(j, s)
		if errors.Is(err, cipher.ErrTampered) {
			again := &sweep{ctx: ctx, v: v, full: x.full, etag: x.got.ETag, off: off, size: min(off+group, tags.Size())}
			err = tags.VerifyGroup(j, again)
			again.close()
			x.got.HasCRC = false // that of what came first would be another one
		}
		if err != nil {
			return fmt.Errorf("bytes %d to %d: %w", off, min(off+group, tags.Size()), err)
		}
	}
	return nil
}

const (
	sweepBuffer = 64 << 10 // most bytes in one step, as the tags are computed
	sweepTries  = 5        // attempts without any progress
)

// sweep reads the bytes [off, size) of one version of an object, goes on where a connection breaks, and computes their checksum.
type sweep struct {
	ctx        context.Context //nolint:containedctx // a reader's methods take none
	v          *verification
	full, etag string
	off, size  int64
	body       io.ReadCloser // nil: to be opened at off
	end        int64         // where body ends
	crc        uint64
	fails      int
	apart      bool // the last byte is asked for by itself, so that bytes come also of an object whose checksum is wrong
}

// Read implements io.Reader.
func (s *sweep) Read(p []byte) (int, error) {
	for s.off < s.size {
		n, err := s.step(p[:min(int64(len(p)), sweepBuffer, s.size-s.off)])
		if n > 0 {
			return n, s.took(p[:n])
		}
		if err != nil {
			if err = s.failed(err); err != nil {
				return 0, err
			}
		}
	}
	return 0, io.EOF
}

// step reads some bytes, and opens the body first where there is none.
func (s *sweep) step(p []byte) (n int, err error) {
	if s.off == s.end {
		s.close()
	}
	if s.body == nil {
		if s.end = s.size; s.apart && s.off < s.size-1 {
			s.end--
		}
		s.body, _, err = s.v.b.oss.Get(s.ctx, s.full, oss.GetOptions{Off: s.off, Len: s.end - s.off, IfMatch: s.etag})
		if err != nil {
			s.body = nil
			return 0, err
		}
	}
	n, err = s.body.Read(p)
	if n == 0 && err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// took counts bytes and keeps to the rate.
func (s *sweep) took(p []byte) error {
	s.off, s.fails = s.off+int64(len(p)), 0
	s.crc = oss.CRC64(s.crc, p)
	s.v.advance(0, int64(len(p)))
	if s.v.limit == nil {
		return nil
	}
	select {
	case <-time.After(s.v.limit.ReserveN(time.Now(), len(p)).Delay()):
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// failed decides whether to go on after a failure, and waits before that.
func (s *sweep) failed(err error) error {
	s.close()
	s.fails++
	s.apart = s.apart || errors.Is(err, ErrBadDigest)
	if s.fails == sweepTries || !oss.Retryable(err) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	select {
	case <-time.After(max(firstPause<<(s.fails-1), oss.RetryAfter(err))):
		return nil
	case <-s.ctx.Done():
		return errors.Join(s.ctx.Err(), err)
	}
}

func (s *sweep) close() {
	if s.body != nil {
		_ = s.body.Close() // it was read as far as it was wanted
		s.body = nil
	}
}
