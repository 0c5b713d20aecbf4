package object

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ossencfs/ossencfs/cipher"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/oss"
)

// ErrWrongKey says that none of the keyring's master keys opens what the bucket holds.
var ErrWrongKey = errors.New("wrong master key for this bucket")

const (
	// canaryText is the content of the canary object. It is no secret.
	canaryText = "ossencfs canary v1\n"
	// maxSamples is how many objects are looked at where there is no canary, and maxRefusals how many of them may be
	// under other keys.
	maxSamples  = 24
	maxRefusals = 8
)

// VerifyKey opens the volume, which proves the master key, or where a read-only bucket has none tries the first encrypted objects.
// Then it looks at the canary, and makes it unless the bucket is read-only: how many tags this service says it has tells whether
// tags have to be asked for. A write-only host does not look at the canary. ErrWrongKey says that the key does not fit; see OpenVolume for the other errors.
func (b *Bucket) VerifyKey(ctx context.Context) error {
	if err := b.OpenVolume(ctx); err != nil {
		return err
	}
	if b.opt.Bundle != nil {
		return nil // it could not tell whether the canary is ours
	}
	err := b.readCanary(ctx)
	if !errors.Is(err, oss.ErrNotFound) || b.opt.ReadOnly {
		return ignoreMissing(err)
	}
	if err := b.repeat(ctx, func() error { return ignoreExists(b.writeCanary(ctx)) }); err != nil {
		return fmt.Errorf("make the canary object: %w", err)
	}
	return b.readCanary(ctx)
}

// ignoreMissing takes an object that is not there for no error.
func ignoreMissing(err error) error {
	if errors.Is(err, oss.ErrNotFound) {
		return nil
	}
	return err
}

// ignoreExists takes an object that is there already for no error: whoever was faster.
func ignoreExists(err error) error {
	if errors.Is(err, oss.ErrExists) {
		return nil
	}
	return err
}

// readCanary looks at the canary; ErrNotFound when there is none. What somebody did to it is reported and means no more than that
// tags are always asked for.
func (b *Bucket) readCanary(ctx context.Context) error {
	full, err := b.full(canaryKey)
	if err != nil {
		return err
	}
	got, err := b.oss.Head(ctx, full)
	if err != nil {
		return err
	}
	info, _, err := b.describe(ctx, canaryKey, full, got)
	if err != nil && !errors.Is(err, ErrSymlink) {
		return err
	}
	b.uncounted.Store(got.TagCount == 0 || err != nil || info.State == StateRefused)
	if got.TagCount == 0 && err == nil && info.State == StateAuthentic {
		return b.checkTagging(ctx, full, &info)
	}
	return nil
}

// checkTagging finds out what a server that tells no tags of the canary knows of them. Attributes of files are tags, and are asked for with each file
// then: without them the mount would take time over each, and show none.
func (b *Bucket) checkTagging(ctx context.Context, full string, canary *Info) error {
	tags, err := b.oss.GetTagging(ctx, full)
	if err == nil && len(tags) == 0 && !b.opt.ReadOnly { // somebody took them away, or they are not kept
		if tags, err = b.tagAgain(ctx, full, canary); err == nil && len(tags) == 0 {
			err = fmt.Errorf("the server forgets them: %w", oss.ErrUnsupported)
		}
	}
	if errors.Is(err, oss.ErrUnsupported) || errors.Is(err, oss.ErrDenied) {
		return fmt.Errorf("object tags, which carry the attributes of files: %w", err)
	}
	return ignoreMissing(err)
}

// tagAgain gives the canary the tag that it was made with, and reads it.
func (b *Bucket) tagAgain(ctx context.Context, full string, canary *Info) (map[string]string, error) {
	value, err := b.formatTag(full, tag{upload: canary.Upload, generation: canary.Generation, attr: canary.Attr})
	if err == nil {
		err = b.oss.PutTagging(ctx, full, map[string]string{tagName: value})
	}
	if err != nil {
		return nil, err
	}
	return b.oss.GetTagging(ctx, full)
}

// keyError names the failure to open an object for what it is: the wrong key, of this kind or of another one.
func (b *Bucket) keyError(key string, err error) error {
	if isWrongKey(err) {
		return fmt.Errorf("object %q: %w: %w", b.prefix+key, ErrWrongKey, err)
	}
	return err
}

// isWrongKey reports whether the keyring has no key that opens an object.
func isWrongKey(err error) bool {
	return errors.Is(err, cipher.ErrCannotOpen) || errors.Is(err, cipher.ErrNoKey) && !errors.Is(err, keys.ErrPublicOnly)
}

// isUnreadable reports whether an object tells nothing about the key: it is plain, or its envelope is damaged.
func isUnreadable(err error) bool {
	for _, kind := range []error{cipher.ErrPlain, cipher.ErrPartial, cipher.ErrMalformed, cipher.ErrUnknownCEK, cipher.ErrUnknownWrap} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// writeCanary makes the canary, unless there is one.
func (b *Bucket) writeCanary(ctx context.Context) error {
	full, err := b.writable(canaryKey)
	if err != nil {
		return err
	}
	sealing, err := NewSealing()
	if err != nil {
		return err
	}
	text := []byte(canaryText)
	if err := sealing.Seal(text, text); err != nil {
		return err
	}
	r := PutRequest{Key: canaryKey, Body: bytes.NewReader(text), Sealed: sealing.Finish(), Upload: NewID(), IfAbsent: true}
	r.Attr = Attr{Mode: ModeRegular | 0o600, UID: b.opt.DefaultAttr.UID, GID: b.opt.DefaultAttr.GID}
	meta, err := b.headers(ctx, r.Key, full, contentOf(r), 0)
	if err != nil {
		return err
	}
	value, err := b.formatTag(full, tag{upload: r.Upload, generation: generationOf(r.Sealed), attr: r.Attr})
	if err != nil {
		return err
	}
	sum, hasSum := r.Sealed.MD5()
	_, err = b.oss.Put(ctx, full, r.Body.(*bytes.Reader), r.Sealed.Size(), oss.PutOptions{
		Meta: meta, ForbidOverwrite: true, Tagging: oss.EncodeTagging(map[string]string{tagName: value}),
		ContentMD5: sum, HasMD5: hasSum, CRC64: r.Sealed.CRC64(), HasCRC: true})
	return err
}

// trySamples opens the first encrypted objects, so that a volume is not made under a key that does not fit what
// others wrote before. It is content with one that opens, and with none at all. Who only wants to read something by its name is told
// by that: others may have other keys.
func (b *Bucket) trySamples(ctx context.Context) error {
	named := b.prefix + strings.TrimSuffix(b.opt.Named, "/")
	page, err := b.oss.List(ctx, oss.ListOptions{Prefix: named, Max: maxSamples})
	if err != nil {
		return err
	}
	var refused error
	refusals := 0
	for _, e := range page.Objects {
		if rest := e.Key[len(named):]; b.opt.Named != "" && rest != "" && rest[0] != '/' {
			continue // another name that begins so
		}
		got, err := b.oss.Head(ctx, e.Key)
		if errors.Is(err, oss.ErrNotFound) {
			continue
		}
		if err == nil {
			_, err = b.openContent(ctx, got.Meta)
		}
		switch {
		case err == nil:
			return nil
		case isUnreadable(err):
		case isWrongKey(err):
			refused = b.keyError(strings.TrimPrefix(e.Key, b.prefix), err)
			if refusals++; refusals == maxRefusals {
				return refused
			}
		default:
			return err
		}
	}
	return refused
}
