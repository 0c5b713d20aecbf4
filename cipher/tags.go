package cipher

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Measures of leaves and their tags, in bytes but for MaxCoarse.
const (
	LeafSize   = 1 << 20 // of ciphertext per leaf; the last one may be shorter
	TagSize    = 16      // of each tag
	MACKeySize = 32      // of the key of a generation's tags
	MaxCoarse  = 128     // most coarse tags of one content
)

// ErrTampered: content, tags or a box that are not what was sealed, whether by damage or on purpose.
var ErrTampered = errors.New("does not verify: altered or damaged")

// errLeafUnknown: a leaf cannot be verified, because its tag is still to be added.
var errLeafUnknown = errors.New("tag of this part of the content is not known")

// Tags authenticate the ciphertext of one generation, leaf by leaf:
//
//	leaf i      = ciphertext [ i*LeafSize, (i+1)*LeafSize )
//	group j     = leaves [ j*g, (j+1)*g ), g = ceil( leaves / MaxCoarse )
//	coarse tag  = the leaf's tag when g = 1, else the first 16 bytes of
//	              HMAC-SHA256( HKDF-SHA256( MAC key, info "ossencfs node v1" ), "node" u64(j) leaf tags of the group )
//
// tagger.go has the tag of a leaf. The coarse tags are always there and are trusted; the leaf tags of a large content may be
// added later, group by group, and are checked against them. Empty content has no tags. All methods are safe for
// concurrent use. It prints as "redacted" whatever the verb, since the MAC key is secret.
type Tags struct {
	_      noCopy
	mac    [MACKeySize]byte
	size   int64
	coarse []byte // TagSize each

	mu     sync.RWMutex // guards groups
	groups [][]byte     // leaf tags by group, nil: not known; only where Separate
}

// newTags makes the tags whose coarse ones are given; leaf tags that they do not contain are still to be added. It keeps coarse.
func newTags(mac *[MACKeySize]byte, size int64, coarse []byte) (*Tags, error) {
	t := &Tags{mac: *mac, size: size, coarse: coarse}
	if size < 0 || int64(len(coarse)) != t.count()*TagSize {
		return nil, fmt.Errorf("%d bytes of tags for %d of content: %w", len(coarse), size, ErrTampered)
	}
	if t.Separate() {
		t.groups = make([][]byte, t.count())
	}
	return t, nil
}

// tagsOfLeaves makes the tags of all leaves. It keeps leaves.
func tagsOfLeaves(mac *[MACKeySize]byte, size int64, leaves []byte) (*Tags, error) {
	t := &Tags{mac: *mac, size: size}
	if size < 0 || int64(len(leaves)) != t.Leaves()*TagSize {
		return nil, fmt.Errorf("%d bytes of leaf tags for %d of content: %w", len(leaves), size, ErrTampered)
	}
	if !t.Separate() {
		t.coarse = leaves
		return t, nil
	}
	node := t.nodeKey()
	defer clear(node)
	t.groups = make([][]byte, t.count())
	for j := range t.groups {
		from, n := t.group(int64(j))
		t.groups[j] = leaves[from*TagSize : (from+n)*TagSize : (from+n)*TagSize]
		t.coarse = append(t.coarse, coarseTag(node, int64(j), t.groups[j])...)
	}
	return t, nil
}

// Size is the number of bytes of content that the tags are of.
func (t *Tags) Size() int64 { return t.size }

// Leaves is the number of leaves.
func (t *Tags) Leaves() int64 { return leavesOf(t.size) }

// leavesOf is the number of leaves of size bytes.
func leavesOf(size int64) int64 {
	if size == 0 {
		return 0
	}
	return (size-1)/LeafSize + 1
}

// GroupLeaves is the number of leaves in each group but the last, at least 1.
func (t *Tags) GroupLeaves() int64 { return max((t.Leaves()+MaxCoarse-1)/MaxCoarse, 1) }

// Separate reports whether leaf tags are not coarse tags, and are kept in an object of their own.
func (t *Tags) Separate() bool { return t.Leaves() > MaxCoarse }

// count is the number of groups and coarse tags.
func (t *Tags) count() int64 {
	g := t.GroupLeaves()
	return (t.Leaves() + g - 1) / g
}

// group returns the first leaf and the number of leaves of group j.
func (t *Tags) group(j int64) (first, n int64) {
	g := t.GroupLeaves()
	return j * g, min(g, t.Leaves()-j*g)
}

// leafLen is the length of leaf i.
func (t *Tags) leafLen(i int64) int64 { return min(LeafSize, t.size-i*LeafSize) }

// MarshalLeaves returns all leaf tags in order, TagSize bytes each; nil when some are not known.
func (t *Tags) MarshalLeaves() []byte {
	if !t.Separate() {
		return bytes.Clone(t.coarse)
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	leaves := make([]byte, 0, t.Leaves()*TagSize)
	for _, g := range t.groups {
		if g == nil {
			return nil
		}
		leaves = append(leaves, g...)
	}
	return leaves
}

// AddLeaves adds leaf tags from leaf first on, which begins a group: those of one or more whole groups, of which the last one
// may be the shorter last of all. They are compared with the coarse tags before any is taken; ErrTampered otherwise.
func (t *Tags) AddLeaves(first int64, tags []byte) error {
	g, n := t.GroupLeaves(), int64(len(tags)/TagSize)
	if len(tags)%TagSize != 0 || first < 0 || first%g != 0 || n > t.Leaves()-first || n%g != 0 && first+n != t.Leaves() {
		return fmt.Errorf("%d bytes of leaf tags from leaf %d on are not whole groups of %d leaves", len(tags), first, g)
	}
	if !t.Separate() {
		if subtle.ConstantTimeCompare(t.coarse[first*TagSize:(first+n)*TagSize], tags) != 1 {
			return fmt.Errorf("leaf tags from %d on: %w", first, ErrTampered)
		}
		return nil
	}
	node := t.nodeKey()
	defer clear(node)
	for done := int64(0); done < n; done += g {
		if !t.fits(node, (first+done)/g, tags[done*TagSize:min(done+g, n)*TagSize]) {
			return fmt.Errorf("tags of the leaves from %d on: %w", first+done, ErrTampered)
		}
	}
	for done := int64(0); done < n; done += g {
		t.keep((first+done)/g, bytes.Clone(tags[done*TagSize:min(done+g, n)*TagSize]))
	}
	return nil
}

// fits compares the leaf tags of a group with its coarse tag.
func (t *Tags) fits(node []byte, j int64, leaves []byte) bool {
	return hmac.Equal(coarseTag(node, j, leaves), t.coarse[j*TagSize:(j+1)*TagSize])
}

// keep remembers the leaf tags of a group.
func (t *Tags) keep(j int64, leaves []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.groups[j] == nil {
		t.groups[j] = leaves
	}
}

// leafTag returns the tag of leaf i; nil when it is not known.
func (t *Tags) leafTag(i int64) []byte {
	if i < 0 || i >= t.Leaves() {
		return nil
	}
	if !t.Separate() {
		return t.coarse[i*TagSize : (i+1)*TagSize]
	}
	g := t.GroupLeaves()
	t.mu.RLock()
	defer t.mu.RUnlock()
	if leaves := t.groups[i/g]; leaves != nil {
		return leaves[i%g*TagSize : (i%g+1)*TagSize]
	}
	return nil
}

// HasLeaf reports whether the tag of leaf i is known, so that VerifyLeaf can tell.
func (t *Tags) HasLeaf(i int64) bool { return t.leafTag(i) != nil }

// VerifyLeaf compares the whole ciphertext of leaf i with its tag: ErrTampered when it is another one. When the tag is not
// known (HasLeaf), that is an error, too, and says nothing about the ciphertext.
func (t *Tags) VerifyLeaf(i int64, ciphertext []byte) error {
	tag := t.leafTag(i)
	if tag == nil {
		return fmt.Errorf("leaf %d of %d: %w", i, t.Leaves(), errLeafUnknown)
	}
	if int64(len(ciphertext)) != t.leafLen(i) {
		return fmt.Errorf("leaf %d has %d bytes, not %d: %w", i, len(ciphertext), t.leafLen(i), ErrTampered)
	}
	m, err := newLeafMAC(&t.mac)
	if err != nil {
		return err
	}
	m.begin(i)
	for p := ciphertext; len(p) > 0; p = p[min(tagBlock, len(p)):] {
		m.block(p[:min(tagBlock, len(p))])
	}
	if subtle.ConstantTimeCompare(m.end(nil), tag) != 1 {
		return fmt.Errorf("leaf %d: %w", i, ErrTampered)
	}
	return nil
}

// VerifyGroup reads the whole ciphertext of group j, GroupLeaves leaves from leaf j*GroupLeaves on, compares it with the
// coarse tag, and remembers the tags of its leaves: what is left when the object of the leaf tags is lost. ErrTampered:
// the ciphertext is another one. Other errors are those of r; io.ErrUnexpectedEOF when it ends too early.
func (t *Tags) VerifyGroup(j int64, r io.Reader) error {
	if j < 0 || j >= t.count() {
		return fmt.Errorf("verify group %d of %d: no such group", j, t.count())
	}
	m, err := newLeafMAC(&t.mac)
	if err != nil {
		return err
	}
	first, n := t.group(j)
	buf := make([]byte, min(tagBlock, t.leafLen(first)))
	leaves := make([]byte, 0, n*TagSize)
	for i := first; i < first+n; i++ {
		m.begin(i)
		for left := t.leafLen(i); left > 0; left -= int64(len(buf)) {
			buf = buf[:min(tagBlock, left)]
			if _, err := io.ReadFull(r, buf); err != nil {
				if errors.Is(err, io.EOF) {
					err = io.ErrUnexpectedEOF
				}
				return fmt.Errorf("read leaf %d: %w", i, err)
			}
			m.block(buf)
		}
		leaves = m.end(leaves)
		buf = buf[:cap(buf)]
	}
	return t.AddLeaves(first, leaves)
}

// Verify reads the whole ciphertext and compares it with the tags. ErrTampered: it is another one. Other errors are those of r.
func (t *Tags) Verify(r io.Reader) error {
	for j := range t.count() {
		if err := t.VerifyGroup(j, r); err != nil {
			return err
		}
	}
	return nil
}

// Equal tells whether both are tags of the same content under the same key, however many leaf tags are known of either.
func (t *Tags) Equal(other *Tags) bool {
	if t == other || t == nil || other == nil {
		return t == other
	}
	return t.size == other.size && hmac.Equal(t.mac[:], other.mac[:]) && hmac.Equal(t.coarse, other.coarse)
}

// nodeKey is the key of the coarse tags of large contents.
func (t *Tags) nodeKey() []byte {
	key, err := hkdf.Key(sha256.New, t.mac[:], nil, "ossencfs node v1", 32)
	if err != nil {
		panic("cipher: HKDF refused 32 bytes: " + err.Error()) // only above 255*32 bytes
	}
	return key
}

// coarseTag is the tag over the leaf tags of group j.
func coarseTag(node []byte, j int64, leaves []byte) []byte {
	h := hmac.New(sha256.New, node)
	head := binary.BigEndian.AppendUint64([]byte("node"), uint64(j)) //nolint:gosec // never negative
	_, _ = h.Write(head)
	_, _ = h.Write(leaves)
	return h.Sum(nil)[:TagSize]
}

// redactedTags is how tags print.
const redactedTags = "Tags(redacted)"

// String hides the MAC key.
func (t *Tags) String() string { return redactedTags }

// Format hides the MAC key whatever the verb.
func (t *Tags) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redactedTags)) }

// MarshalText hides the MAC key from encoders.
func (t *Tags) MarshalText() ([]byte, error) { return []byte(redactedTags), nil }
