package object

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"

	"github.com/ossencfs/ossencfs/cipher"
	"github.com/ossencfs/ossencfs/oss"
)

// Failures of boxes; see package cipher.
var errTamperedContent = cipher.ErrTampered

// boxContent is what the box of an object says, whose headers are otherwise complete.
func (b *Bucket) boxContent(meta map[string]string, c content) cipher.BoxContent {
	box := cipher.BoxContent{
		Key: c.key, Tags: c.tags, Generation: c.generation, Upload: c.upload, Wrapper: cipher.WrapperOf(b.ring.Primary().ID()),
		Mode: c.attr.Mode, UID: c.attr.UID, GID: c.attr.GID, Rdev: c.attr.Rdev, Mtime: c.attr.Mtime,
	}
	if b.opt.TagsOnly {
		box.Key = nil
	}
	if sealed, ok := meta[metaSealedXattr]; ok {
		box.HasXattr, box.XattrDigest = true, sha256.Sum256([]byte(sealed))
	}
	return box
}

// seal makes the box of an object and adds it to its headers, of which the envelope's are bound by it.
func (b *Bucket) seal(full string, meta map[string]string, c content) error {
	box := b.boxContent(meta, c)
	var value string
	var err error
	v := &b.volume
	switch writer := v.seals(); {
	case v.host != nil:
		value, err = cipher.SealHostBox(v.public, v.host, full, meta, box)
	case writer != nil:
		value, err = cipher.SealBox(writer, full, meta, box)
	default:
		err = ErrNoVolume
	}
	if err != nil {
		return err
	}
	meta[cipher.BoxHeader] = value
	return nil
}

// proof is what an object's box proves. Without a box, or one of an unknown volume, box is nil.
type proof struct {
	box   *cipher.BoxContent
	moved bool // the object's name is not the one it was sealed under
	// differs: plain headers say something else than the box, and are ignored.
	differs bool
	tags    map[string]string // the tags by which a write-only host's object counts where it stands; nil: it counts without
}

// judge finds out who wrote an object, or another version of it than the current one, and completes info accordingly. A refused object is no
// error: info says why. The errors are about the volume's records, which may have to be read again.
func (b *Bucket) judge(ctx context.Context, full, version string, got oss.Info, info *Info) (proof, error) {
	if b.ring == nil {
		return proof{}, nil // Inspect without a key
	}
	value, boxed := got.Meta[cipher.BoxHeader]
	if !boxed {
		b.judgeForeign(info, nil)
		return proof{}, nil
	}
	if b.volume.host != nil {
		b.judgeSealed(info)
		return proof{}, nil
	}
	box, err := cipher.ParseBox(value)
	if err != nil {
		b.refuse(info, NoticeTampered, fmt.Errorf("%w: %w", ErrTampered, err))
		return proof{}, nil
	}
	if err := b.freshen(ctx); err != nil {
		return proof{}, err
	}
	k, err := b.volumeKey(ctx, box.Volume, ageOf(got))
	if err != nil {
		return proof{}, err
	}
	switch _, retired := b.volume.counting(box.Volume); {
	case retired:
		b.refuse(info, NoticeRefused, fmt.Errorf("%w: %s", ErrRetired, box.Volume))
		return proof{}, nil
	case k == nil:
		b.judgeStranger(info, fmt.Errorf("its box is of the unknown volume %s", box.Volume))
		return proof{}, nil
	}
	p, word, err := b.openBox(ctx, box, k, full, version, got)
	if err == nil {
		err = checkBox(p.box, got)
	}
	var failed *requestError
	switch {
	case errors.As(err, &failed):
		return proof{}, failed.err
	case errors.Is(err, ErrUnauthentic):
		b.refuse(info, NoticeRefused, err)
		return proof{}, nil
	case err != nil:
		b.refuse(info, NoticeTampered, fmt.Errorf("%w: %w", ErrTampered, err))
		return proof{}, nil
	}
	p.moved, p.differs = !box.NameIs(full), b.adoptBox(info, p.box)
	info.Volume, info.Content = word, &Content{tags: p.box.Tags}
	return p, nil
}

// checkBox compares a box with what is outside of it.
func checkBox(c *cipher.BoxContent, got oss.Info) error {
	if size := c.Tags.Size(); size != got.Size {
		return fmt.Errorf("it has %d bytes, sealed were %d", got.Size, size)
	}
	sealed, ok := got.Meta[metaSealedXattr]
	if ok != c.HasXattr {
		return errors.New("its extended attributes were added or removed")
	}
	if sum := sha256.Sum256([]byte(sealed)); ok && subtle.ConstantTimeCompare(sum[:], c.XattrDigest[:]) != 1 {
		return errors.New("its extended attributes were changed")
	}
	return nil
}

// errPlainDiffers says that plain headers are not those that belong to the box.
var errPlainDiffers = errors.New("its plain headers differ from what was sealed; they are ignored")

// adoptBox takes attributes and ids from the box, whatever the plain headers say. It reports whether they say something else.
func (b *Bucket) adoptBox(info *Info, c *cipher.BoxContent) (differs bool) {
	a := Attr{Mode: modeFor(info.Key, c.Mode), UID: c.UID, GID: c.GID, Rdev: c.Rdev, Mtime: c.Mtime}
	was := info.Attr
	differs = info.HasAttr && (was.Mode != a.Mode || was.UID != a.UID || was.GID != a.GID || was.Rdev != a.Rdev || was.Mtime != a.Mtime) ||
		info.Generation != ID(c.Generation) || info.Upload != ID(c.Upload)
	if differs {
		b.notice(NoticeAttributes, info.Key, errPlainDiffers)
	}
	info.Attr, info.HasAttr = a, true
	info.Generation, info.Upload = c.Generation, c.Upload
	info.State = StateAuthentic
	for _, m := range b.ring.All() {
		if cipher.WrapperOf(m.ID()) == c.Wrapper {
			info.KeyID = m.ID()
		}
	}
	return differs
}

// judgeStranger decides about an object with the box of a volume that is not known. Whoever wrote it had a volume that told changed bytes from
// right ones; without that volume it is read only where somebody decided so.
func (b *Bucket) judgeStranger(info *Info, why error) {
	if !b.boxed(info.Key) && !b.opt.Trust.acceptsAll(info.Key) {
		b.refuse(info, NoticeRefused, fmt.Errorf("%w: %w", ErrUnauthentic, why))
		return
	}
	b.judgeForeign(info, why)
}

// judgeForeign decides about an object without a box that can be verified; why says more than that, or is nil.
func (b *Bucket) judgeForeign(info *Info, why error) {
	reason := func(kind error) error {
		if why != nil {
			return fmt.Errorf("%w: %w", kind, why)
		}
		return kind
	}
	switch {
	case b.boxed(info.Key):
		b.refuse(info, NoticeTampered, reason(ErrStripped))
	case !b.opt.Trust.accepts(info.Key, b.volume.isAuthentic()):
		b.refuse(info, NoticeRefused, reason(ErrUnauthentic))
	case b.volume.host != nil && info.Encrypted:
		b.judgeSealed(info)
	default:
		info.State = StateForeign
		if !info.Encrypted {
			info.State = StatePlain
		}
		info.Generation, info.Upload = ID{}, ID{} // anybody can write that header
		info.Attr.disarm()
	}
}

// disarm takes from attributes that no key holder wrote what makes the bucket's owner root on a mount that honours it: set-id bits of
// programs, and the numbers of devices. Those of a directory give no rights.
func (a *Attr) disarm() {
	if a.Mode&ModeType != ModeDir {
		a.Mode &^= privileged
	}
	a.Rdev = 0
}

// refuse takes from info whatever the object says of itself. A directory needs no marker, so that one that is refused only loses its
// attributes.
func (b *Bucket) refuse(info *Info, kind NoticeKind, why error) {
	if isDirKey(info.Key) {
		kind = NoticeMarker
	}
	info.State, info.Refusal = StateRefused, why
	info.Attr, info.HasAttr, info.XattrErr = b.opt.DefaultAttr.of(info.Key, info.Modified), false, nil
	info.Generation, info.Upload, info.Volume, info.Change, info.Content = ID{}, ID{}, ID{}, 0, nil
	b.notice(kind, info.Key, why)
}

// dialectOf names the header sets among an object's headers.
func dialectOf(meta map[string]string) string {
	current, legacy := false, false
	for name := range meta {
		current = current || strings.HasPrefix(name, csePrefix)
		legacy = legacy || strings.HasPrefix(name, metaPrefix+"oss-crypto-")
	}
	switch {
	case current && legacy:
		return string(cipher.Both)
	case current:
		return string(cipher.Current)
	case legacy:
		return string(cipher.Legacy)
	}
	return ""
}
