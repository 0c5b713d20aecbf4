package object

import (
	"bytes"
	"container/list"
	"context"
	"crypto/md5" //nolint:gosec // OSS's Content-MD5: a guard against rot, not against attackers
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/ossencfs/ossencfs/cipher"
	"github.com/ossencfs/ossencfs/oss"
)

// leafDir is where the leaf tags of large objects lie, below the root prefix of the volume: leafDir GENERATION.
const leafDir = Hidden + "leaf/"

// leafKey is the full key of a generation's leaf tags.
func (b *Bucket) leafKey(generation ID) string {
	return b.volume.rootPrefix() + leafDir + generation.String()
}

// putLeaves stores the leaf tags of a large body, before the object that needs them. Doing it again does no harm: a generation has
// one set of tags.
func (b *Bucket) putLeaves(ctx context.Context, generation ID, t *cipher.Tags) error {
	if !t.Separate() {
		return nil
	}
	tags := t.MarshalLeaves()
	err := b.repeat(ctx, func() error {
		_, err := b.oss.Put(ctx, b.leafKey(generation), bytes.NewReader(tags), int64(len(tags)), oss.PutOptions{
			ContentMD5: md5.Sum(tags), HasMD5: true, CRC64: oss.CRC64(0, tags), HasCRC: true}) //nolint:gosec // see the import
		return err
	})
	if err != nil {
		return fmt.Errorf("store leaf tags: %w", err)
	}
	return nil
}

// DropLeaf removes the leaf tags of a generation that no object has any more; that there are none is no error. Readers of a copy
// that somebody else made fall back on reading more.
func (b *Bucket) DropLeaf(ctx context.Context, generation ID) error {
	if b.opt.ReadOnly {
		return ErrReadOnly
	}
	return b.oss.Delete(ctx, b.leafKey(generation))
}

// leafWindow is the least number of bytes of leaf tags that are asked for at once, if there are so many.
const leafWindow = 64 << 10

// leafSource finds the leaf tags of one object version.
type leafSource struct {
	b          *Bucket
	key, full  string
	etag       string
	generation ID
	tags       *cipher.Tags
}

// need makes the tags of leaves first to last known: from the leaf-tag object or, when that is lost or wrong, from the content of
// whole groups.
func (s *leafSource) need(ctx context.Context, first, last int64) error {
	group := s.tags.GroupLeaves()
	window := max(1, leafWindow/cipher.TagSize/group) * group
	for from := first / window * window; from <= last; from += window {
		to := min(from+window, s.tags.Leaves())
		if s.known(max(from, first), min(to-1, last)) {
			continue
		}
		err := s.fetch(ctx, from, to)
		if err == nil {
			continue
		}
		if !errors.Is(err, oss.ErrNotFound) && !errors.Is(err, oss.ErrRange) && !errors.Is(err, errTamperedContent) {
			return fmt.Errorf("read leaf tags: %w", err)
		}
		s.b.notice(NoticeLeaf, s.key, fmt.Errorf("its leaf tags %q are lost or wrong, more of it is read instead: %w", s.b.leafKey(s.generation), err))
		if err := s.compute(ctx, max(from, first)/group, min(to-1, last)/group); err != nil {
			return err
		}
	}
	return nil
}

// known reports whether the tags of some leaves are known.
func (s *leafSource) known(first, last int64) bool {
	for i := first; i <= last; i++ {
		if !s.tags.HasLeaf(i) {
			return false
		}
	}
	return true
}

// fetch reads the tags of leaves [from, to), whole groups.
func (s *leafSource) fetch(ctx context.Context, from, to int64) error {
	want := (to - from) * cipher.TagSize
	var text []byte
	err := s.b.repeat(ctx, func() error {
		body, _, err := s.b.oss.Get(ctx, s.b.leafKey(s.generation), oss.GetOptions{Off: from * cipher.TagSize, Len: want})
		if err != nil {
			return err
		}
		defer body.Close()
		text, err = io.ReadAll(io.LimitReader(body, want))
		return err
	})
	if err != nil {
		return err
	}
	if int64(len(text)) != want {
		return fmt.Errorf("%d bytes of leaf tags instead of %d: %w", len(text), want, errTamperedContent)
	}
	return s.tags.AddLeaves(from, text)
}

// compute reads groups of the object itself and computes their tags.
func (s *leafSource) compute(ctx context.Context, first, last int64) error {
	group := s.tags.GroupLeaves()
	for j := first; j <= last; j++ {
		off := j * group * cipher.LeafSize
		size := min(group*cipher.LeafSize, s.tags.Size()-off)
		err := s.b.repeat(ctx, func() error {
			body, got, err := s.b.oss.Get(ctx, s.full, oss.GetOptions{Off: off, Len: size, IfMatch: s.etag})
			if err != nil {
				return err
			}
			defer body.Close()
			if got.Size != s.tags.Size() {
				return fmt.Errorf("it has %d bytes, sealed were %d: %w", got.Size, s.tags.Size(), ErrTampered)
			}
			return s.tags.VerifyGroup(j, body)
		})
		if errors.Is(err, errTamperedContent) {
			err = fmt.Errorf("%w: %w", ErrTampered, err)
			s.b.notice(NoticeTampered, s.key, err)
		}
		if err != nil {
			return fmt.Errorf("read group %d of %.100q: %w", j, s.key, err)
		}
	}
	return nil
}

// maxTags bounds how many sets of leaf tags of large objects are remembered.
const maxTags = 64

// tagCache remembers the leaf tags of large objects by their boxes. The zero value is ready.
type tagCache struct {
	mu    sync.Mutex // guards the fields below
	byBox map[[sha256.Size]byte]*list.Element
	order list.List // of *knownTags, latest use first
}

// knownTags is one entry.
type knownTags struct {
	box  [sha256.Size]byte
	tags *cipher.Tags
}

// same returns the tags that were remembered for a box, or remembers these.
func (c *tagCache) same(box string, t *cipher.Tags) *cipher.Tags {
	if !t.Separate() {
		return t
	}
	id := sha256.Sum256([]byte(box))
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byBox[id]; ok {
		c.order.MoveToFront(e)
		return e.Value.(*knownTags).tags //nolint:forcetypeassert // nothing else is put in
	}
	if c.byBox == nil {
		c.byBox = make(map[[sha256.Size]byte]*list.Element)
	}
	c.byBox[id] = c.order.PushFront(&knownTags{box: id, tags: t})
	if c.order.Len() > maxTags {
		last := c.order.Remove(c.order.Back()).(*knownTags) //nolint:forcetypeassert // nothing else is put in
		delete(c.byBox, last.box)
	}
	return t
}
