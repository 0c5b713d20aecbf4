package object

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ossencfs/ossencfs/cipher"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/oss"
)

// ErrWrongKey says that none of the keyring's master keys opens what the bucket holds.
var ErrWrongKey = errors.New("wrong master key for this bucket")

const (
	// canaryText is the content of the canary object. It is no secret; opening it proves the master key.
	canaryText = "ossencfs canary v1\n"
	// maxCanary bounds what is read of a canary, whoever wrote it.
	maxCanary = 1 << 10
	// maxSamples is how many objects are looked at where there is no canary, and maxRefusals how many of them may be
	// under other keys.
	maxSamples  = 24
	maxRefusals = 8
	// canaryAttempts is how often a canary is written before a mount is given up, canaryPause the first time between.
	canaryAttempts = 4
	canaryPause    = 200 * time.Millisecond
)

// VerifyKey checks that the keyring opens this bucket: its canary or, where there is none, one of the first encrypted
// objects. Then it makes the canary, unless the bucket is read-only. ErrWrongKey says that the key does not fit.
func (b *Bucket) VerifyKey(ctx context.Context) error {
	err := b.readCanary(ctx)
	if !errors.Is(err, oss.ErrNotFound) {
		return err
	}
	if err := b.trySamples(ctx); err != nil {
		return err
	}
	if b.opt.ReadOnly {
		return nil
	}
	if err := b.makeCanary(ctx); err != nil {
		return fmt.Errorf("make the canary object: %w", err)
	}
	return b.readCanary(ctx)
}

// makeCanary writes the canary and tries again after passing failures: it is created or there already, whoever was faster, so that a
// repetition does no harm.
func (b *Bucket) makeCanary(ctx context.Context) error {
	for pause := canaryPause; ; pause *= 2 {
		err := b.writeCanary(ctx)
		switch {
		case err == nil, errors.Is(err, oss.ErrExists):
			return nil
		case pause > canaryPause<<(canaryAttempts-2) || !oss.Retryable(err):
			return err
		}
		select {
		case <-time.After(max(pause, oss.RetryAfter(err))):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

// readCanary opens the canary; ErrNotFound when there is none.
func (b *Bucket) readCanary(ctx context.Context) error {
	d, err := b.Get(ctx, GetRequest{Key: canaryKey})
	if err != nil {
		return b.keyError(canaryKey, err)
	}
	defer d.Body.Close()
	text, err := io.ReadAll(io.LimitReader(d.Body, maxCanary))
	if err != nil {
		return err
	}
	d.Content.XORKeyStreamAt(text, text, 0)
	if !d.Info.Encrypted || !bytes.Equal(text, []byte(canaryText)) {
		return fmt.Errorf("object %q: %w", canaryKey, ErrWrongKey)
	}
	// The canary has a tag. A service that does not count it here leaves only one way to know about tags: asking.
	b.uncounted.Store(d.Info.TagCount == 0)
	return nil
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
	meta, err := b.headers(ctx, r.Key, contentOf(r), 0)
	if err != nil {
		return err
	}
	sum, hasSum := r.Sealed.MD5()
	t := tag{upload: r.Upload, generation: generationOf(r.Sealed), attr: r.Attr}
	_, err = b.oss.Put(ctx, full, r.Body.(*bytes.Reader), r.Sealed.Size(), oss.PutOptions{
		Meta: meta, ForbidOverwrite: true, Tagging: oss.EncodeTagging(map[string]string{tagName: t.format()}),
		ContentMD5: sum, HasMD5: hasSum, CRC64: r.Sealed.CRC64(), HasCRC: true})
	return err
}

// trySamples opens the first encrypted objects, so that a canary is not made under a key that does not fit what
// others wrote before. It is content with one that opens, and with none at all.
func (b *Bucket) trySamples(ctx context.Context) error {
	page, err := b.oss.List(ctx, oss.ListOptions{Prefix: b.prefix, Max: maxSamples})
	if err != nil {
		return err
	}
	var refused error
	refusals := 0
	for _, e := range page.Objects {
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
