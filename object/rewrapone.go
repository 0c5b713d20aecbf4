package object

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/ossencfs/ossencfs/cipher"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/oss"
)

// errMeanwhile says that an object is not any more what was read of it.
var errMeanwhile = errors.New("the object was changed by others meanwhile")

// errUnknownBox says that an object has a box that nobody here can make anew.
var errUnknownBox = errors.New("the object has a box of a volume that is not known here, which new headers would break")

// rewrapAttempt is the work on one object, through all its attempts.
type rewrapAttempt struct {
	r      *rewrapper
	it     *rewrapItem
	upload ID   // of the new version; the same in each attempt
	sent   bool // a request that may have stored it has left

	fresh *Sealed // of this attempt: the body with tags under a MAC key that former holders do not have; nil: those of the box stay
}

// sighting is an object version as one look showed it.
type sighting struct {
	got   oss.Info
	info  Info
	proof proof
	tags  map[string]string
	bound bool // a valid tag of ours speaks for attributes and name

	tagged keys.VolumeID // of the volume key under which such a tag counts, another one than seals now where there is one; zero: there is none
}

// look asks for headers and tags.
func (a *rewrapAttempt) look(ctx context.Context) (*sighting, error) {
	b := a.r.b
	got, err := b.oss.Head(ctx, a.it.full)
	if err != nil {
		return nil, err
	}
	s := &sighting{got: got}
	if s.info, s.proof, err = b.describe(ctx, a.it.key, a.it.full, got); err != nil || s.info.State == StateRefused {
		return s, err
	}
	if s.tags, err = b.tagsOn(ctx, a.it.full, "", got, s.proof); err != nil {
		return nil, err
	}
	s.bound = b.applyTags(a.it.full, s.tags, &s.info)
	for _, t := range b.checkTags(a.it.full, s.tags, &s.info).valid {
		if s.tagged.IsZero() || s.tagged == a.r.writer {
			s.tagged = t.under
		}
	}
	if b.misplaced(a.it.key, s.proof, s.bound) {
		b.refuse(&s.info, NoticeTampered, ErrMoved)
	}
	return s, nil
}

// same reports whether a later look showed the same version: bytes, headers and the box, of which no two are alike.
func (s *sighting) same(later *sighting) bool {
	return s.got.ETag == later.got.ETag && s.got.Size == later.got.Size && s.got.VersionID == later.got.VersionID && maps.Equal(s.got.Meta, later.got.Meta)
}

// try is one attempt.
func (a *rewrapAttempt) try(ctx context.Context) (rewrapOutcome, error) {
	a.fresh = nil
	s, err := a.look(ctx)
	if errors.Is(err, oss.ErrNotFound) {
		return rewrapGone, nil
	}
	if err != nil {
		return rewrapFailed, err
	}
	a.it.size = s.got.Size
	out, err := a.judge(ctx, s)
	if a.it.tagUnder = s.tagged; err == nil && s.proof.box == nil && s.staleTag(a.r) && !a.r.o.DryRun {
		err = a.retag(ctx, s)
	}
	if err != nil || out != rewrapRenewed && out != rewrapRenewedForeign {
		return out, err
	}
	if a.r.o.DryRun {
		return out, nil
	}
	err = a.write(ctx, s)
	if errors.Is(err, oss.ErrNotFound) || errors.Is(err, oss.ErrPrecondition) && !errors.Is(err, ErrTampered) {
		err = fmt.Errorf("%w: %w", errMeanwhile, err)
	}
	return out, err
}

// staleTag reports whether attributes are in a tag under another volume key than the one that seals now. It may have been made after the
// object was renewed, by a mount that did not know the new key yet.
func (s *sighting) staleTag(r *rewrapper) bool { return !s.tagged.IsZero() && s.tagged != r.writer }

// retag signs the attributes that the tags of an object without a box give it anew, in one tag. Those of write-only hosts are among them: what
// one of them leaves open is what the object shows.
func (a *rewrapAttempt) retag(ctx context.Context, s *sighting) (err error) {
	tags := maps.Clone(s.tags)
	dropOwnTags(tags)
	t := tag{upload: s.info.Upload, generation: s.info.Generation, attr: s.info.Attr, change: s.info.Change}
	if tags[tagName], err = a.r.b.formatTag(a.it.full, t); err != nil {
		return err
	}
	return a.r.b.oss.PutTagging(ctx, a.it.full, tags)
}

// judge decides what is to be done with a version.
func (a *rewrapAttempt) judge(ctx context.Context, s *sighting) (rewrapOutcome, error) {
	value, boxed := s.got.Meta[cipher.BoxHeader]
	switch {
	case s.info.State == StateRefused:
		return rewrapRefused, s.info.Refusal
	case s.proof.box != nil:
		return a.judgeBoxed(s, value)
	case s.info.State == StatePlain:
		return rewrapPlain, nil
	case boxed:
		return rewrapRefused, errUnknownBox
	case a.r.o.Foreign == ForeignSkip:
		return rewrapSkipped, nil
	}
	env, err := cipher.ParseEnvelope(s.got.Meta)
	if err != nil {
		return rewrapRefused, err
	}
	under, err := env.WrappedUnder(ctx, a.r.b.ring.Primary())
	switch {
	case err != nil:
		return rewrapFailed, err
	case under && a.sent:
		return rewrapRenewedForeign, nil // the answer of an earlier attempt was lost
	case under:
		return rewrapDone, nil
	}
	return rewrapRenewedForeign, nil
}

// judgeBoxed tells from the box alone whether an object is done.
func (a *rewrapAttempt) judgeBoxed(s *sighting, value string) (rewrapOutcome, error) {
	box, err := cipher.ParseBox(value)
	if err != nil {
		return rewrapRefused, err
	}
	a.it.under = box.Volume
	if s.proof.box.Wrapper != a.r.wrapper || box.Volume != a.r.writer || s.staleTag(a.r) {
		return rewrapRenewed, nil
	}
	if env, err := cipher.ParseEnvelope(s.got.Meta); err != nil || !env.HasMatDesc(a.r.b.ring.Primary().MatDesc()) {
		return rewrapRenewed, nil //nolint:nilerr // the box binds these headers; new ones can only be better
	}
	if a.sent && s.proof.box.Upload == a.uploadOf(s.proof.box) {
		return rewrapRenewed, nil
	}
	return rewrapDone, nil
}

// uploadOf is the id of the new version: one that is never without a tag stays so.
func (a *rewrapAttempt) uploadOf(old *cipher.BoxContent) ID {
	id := a.upload
	if alwaysTagged(old.Generation, old.Upload) {
		copy(id[8:], tagMark(old.Generation, id[:8]))
	}
	return id
}

// renewed is the headers and tags of the new version.
type renewed struct {
	meta    map[string]string
	tagging string
}

// envelope wraps the content key of a version anew.
func (a *rewrapAttempt) envelope(ctx context.Context, s *sighting, k *ContentKey, partSize int64) (map[string]string, error) {
	b := a.r.b
	if s.proof.box != nil {
		return b.envelope(ctx, content{key: k, size: s.got.Size}, partSize)
	}
	env, err := cipher.ParseEnvelope(s.got.Meta)
	if err != nil {
		return nil, err
	}
	return env.Renew(ctx, b.ring, k, cipher.EnvelopeOptions{Size: s.got.Size, PartSize: partSize})
}

// renew makes headers and tags of the new version out of those of the present one, which nobody may have changed since s.
func (a *rewrapAttempt) renew(now *sighting, env map[string]string, k *ContentKey) (renewed, error) {
	full := a.it.full
	meta := make(map[string]string, len(now.got.Meta)+8)
	for name, value := range now.got.Meta {
		if name != cipher.BoxHeader && !cipher.IsCryptoHeader(name) {
			meta[name] = value
		}
	}
	maps.Copy(meta, env)
	if meta[metaMtime] == "" && !now.got.LastModified.IsZero() {
		meta[metaMtime] = formatTime(Nanoseconds(now.got.LastModified)) // what mounts show of an object of others; PUT loses it
	}
	tags := now.tags
	if p := now.proof; p.box != nil {
		c := content{key: k, tags: p.box.Tags, size: now.got.Size, generation: now.info.Generation, upload: a.uploadOf(p.box), attr: now.info.Attr}
		if a.fresh != nil {
			c.tags = a.fresh.Tags()
		}
		delete(meta, metaRdev)
		putAttr(meta, c.attr)
		meta[metaIDs] = formatIDs(c.generation, c.upload)
		if err := a.seal(now, meta, c); err != nil {
			return renewed{}, err
		}
		var err error
		if tags, err = a.ownTags(now, c); err != nil {
			return renewed{}, err
		}
	}
	if size := cipher.HeadersSize(meta); size > metaTotal {
		return renewed{}, fmt.Errorf("object %.100q: its metadata would have %d bytes, OSS takes %d: %w", full, size, metaTotal, ErrInvalid)
	}
	return renewed{meta: meta, tagging: oss.EncodeTagging(tags)}, nil
}

// seal adds the new box. It is bound to the present name where box or tag vouch for that, else to the one before: what somebody
// moved does not become authentic where it stands.
func (a *rewrapAttempt) seal(now *sighting, meta map[string]string, c content) error {
	b := a.r.b
	if !now.proof.moved || now.bound {
		return b.seal(a.it.full, meta, c)
	}
	old, err := cipher.ParseBox(now.got.Meta[cipher.BoxHeader])
	if err != nil {
		return err
	}
	meta[cipher.BoxHeader], err = cipher.ResealBox(b.volume.seals(), old, meta, b.boxContent(meta, c))
	return err
}

// ownTags is the tags of the new version: those of others. Ours has become part of box and headers; only the canary needs one, and what is never
// without. Where that was taken away it stays so.
func (a *rewrapAttempt) ownTags(now *sighting, c content) (map[string]string, error) {
	tags := maps.Clone(now.tags)
	dropOwnTags(tags)
	if !strings.HasSuffix(a.it.full, canaryKey) {
		if now.info.Unproven != 0 {
			return tags, nil
		}
		return a.r.b.firstTag(a.it.full, tags, c)
	}
	if tags == nil {
		tags = make(map[string]string, 1)
	}
	value, err := a.r.b.formatTag(a.it.full, tag{upload: c.upload, generation: c.generation, attr: c.attr, change: now.info.Change + 1})
	tags[tagName] = value
	return tags, err
}
