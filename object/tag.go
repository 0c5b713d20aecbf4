package object

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ossencfs/ossencfs/keys"
)

// tagName is the object tag that carries what cannot be changed in the headers of an encrypted object.
const tagName = "ossencfs"

// hostTagPrefix, with the id of a write-only host behind it, is the tag for changes of such a host where tagName is somebody else's, which it can
// neither verify nor sign anew.
const hostTagPrefix = tagName + "-by-"

// hostTagName is the tag of one host.
func hostTagName(id keys.HostID) string { return hostTagPrefix + hex.EncodeToString(id[:]) }

// Versions of the tag: made by a holder of the volume key, by a write-only host, by a write-only host that knows some attributes only, or by a holder
// of the volume key for an object of a write-only host that he gave a name where that host may not write.
// A reader ignores tags of versions it does not know.
const (
	tagOfVolume   = "2"
	tagOfHost     = "3"
	tagOfHostPart = "4"
	tagOfMoved    = "5"
)

// errTag says that a tag is not one of ours.
var errTag = errors.New("not a tag of this volume")

// tag is the value of the object tag "ossencfs", at most 256 characters of A-Z a-z 0-9 - _ . :
//
//	tag        = "2:" fields ":" mac / "3:" fields ":" host ":" signature / "4:" some ":" host ":" signature / "5:" fields ":" box ":" mac
//	some       = upload ":" generation ":" [ perm ] ":" [ uid ] ":" [ gid ] ":" [ mtime ] ":" change; what is empty stays as it is without the tag
//	perm       = octal permission bits
//	fields     = upload ":" generation ":" mode ":" uid ":" gid ":" mtime ":" rdev ":" change
//	upload     = 22 characters of base64url, id of the request that wrote the tag
//	generation = the same, generation of the object it is about; all zero for a foreign object
//	mode       = octal st_mode
//	mtime      = as the header x-oss-meta-mtime
//	change     = decimal; one more than that of the tag it replaces
//	mac        = 22 characters of base64url: the first 16 bytes of HMAC-SHA256, see volumeTagMAC
//	host       = 16 hexadecimal digits, id of a host in the volume record
//	box        = 43 characters of base64url: SHA-256 of the value of the header x-oss-meta-ossencfs-box of that object
//	signature  = 86 characters of base64url: Ed25519, see hostTagText
//
// The other fields are decimal.
type tag struct {
	upload     ID
	generation ID
	attr       Attr // without Xattrs
	change     uint64
	partial    bool   // version 4: type and device number stay as they are
	unproven   Fields // with partial: what else does
	box        []byte // version 5: digest of the box that it vouches for, see boxDigest; nil: it vouches for no host's

	main   bool          // checkTag: it stands under tagName
	under  keys.VolumeID // checkTag: of the volume key under which it counts
	signed string        // parseTag: the value up to and without the MAC or signature
	mac    []byte        // parseTag: the MAC of version 2, or the signature of another one
	host   *keys.HostID
}

// fields is the value without MAC.
func (t tag) fields(version string) string {
	return strings.Join([]string{
		version, t.upload.short(), t.generation.short(), strconv.FormatUint(uint64(t.attr.Mode), 8),
		strconv.FormatUint(uint64(t.attr.UID), 10), strconv.FormatUint(uint64(t.attr.GID), 10),
		formatTime(t.attr.Mtime), strconv.FormatUint(uint64(t.attr.Rdev), 10), strconv.FormatUint(t.change, 10),
	}, ":")
}

// some is the value of version 4 without host and signature.
func (t tag) some() string {
	text := func(f Fields, s string) string {
		if t.unproven&f != 0 {
			return ""
		}
		return s
	}
	return strings.Join([]string{
		tagOfHostPart, t.upload.short(), t.generation.short(),
		text(FieldMode, strconv.FormatUint(uint64(t.attr.Mode&ModePerm), 8)), text(FieldUID, strconv.FormatUint(uint64(t.attr.UID), 10)),
		text(FieldGID, strconv.FormatUint(uint64(t.attr.GID), 10)), text(FieldMtime, formatTime(t.attr.Mtime)), strconv.FormatUint(t.change, 10),
	}, ":")
}

// over is the attributes of an object after the change that a tag is.
func (t tag) over(a Attr) Attr {
	now := t.attr
	now.Xattrs = a.Xattrs
	if !t.partial {
		return now
	}
	now.Mode, now.Rdev = a.Mode&ModeType|now.Mode, a.Rdev
	if t.unproven&FieldMode != 0 {
		now.Mode = a.Mode
	}
	if t.unproven&FieldUID != 0 {
		now.UID = a.UID
	}
	if t.unproven&FieldGID != 0 {
		now.GID = a.GID
	}
	if t.unproven&FieldMtime != 0 {
		now.Mtime = a.Mtime
	}
	return now
}

// tagFields is the number of fields before MAC or host, version included.
const tagFields = 9

// someFields is that of version 4.
const someFields = 8

// parseTag reads a tag's value and verifies nothing.
func parseTag(s string) (tag, error) {
	f := strings.Split(s, ":")
	var t tag
	var err error
	switch {
	case f[0] == tagOfVolume && len(f) == tagFields+1:
		t.mac, err = parseShort(f[tagFields], tagMACSize)
	case f[0] == tagOfHost && len(f) == tagFields+2:
		err = t.parseHost(f[tagFields], f[tagFields+1])
	case f[0] == tagOfMoved && len(f) == tagFields+2:
		if t.box, err = parseShort(f[tagFields], sha256.Size); err == nil {
			t.mac, err = parseShort(f[tagFields+1], tagMACSize)
		}
	case f[0] == tagOfHostPart && len(f) == someFields+2:
		t.partial = true
		err = t.parseHost(f[someFields], f[someFields+1])
	default:
		return tag{}, fmt.Errorf("%.80q is of no version that is known: %w", s, errTag)
	}
	if err != nil {
		return tag{}, fmt.Errorf("%w: %w", errTag, err)
	}
	t.signed = s[:strings.LastIndexByte(s, ':')]
	parse := t.parseFields
	if t.partial {
		parse = t.parseSome
	}
	if err := parse(f); err != nil {
		return tag{}, fmt.Errorf("%w: %w", errTag, err)
	}
	return t, nil
}

// parseHost reads the end of a host's tag.
func (t *tag) parseHost(id, signature string) (err error) {
	t.host = new(keys.HostID)
	if len(id) != 2*len(t.host) || strings.ToLower(id) != id {
		return fmt.Errorf("host %.40q", id)
	}
	if _, err = hex.Decode(t.host[:], []byte(id)); err == nil {
		t.mac, err = parseShort(signature, ed25519.SignatureSize)
	}
	return err
}

// parseSome reads what some writes.
func (t *tag) parseSome(f []string) (err error) {
	if err := t.parseIDs(f); err != nil {
		return err
	}
	mode := uint32(0)
	for i, to := range map[int]struct {
		field Fields
		value *uint32
		base  int
	}{3: {FieldMode, &mode, 8}, 4: {FieldUID, &t.attr.UID, 10}, 5: {FieldGID, &t.attr.GID, 10}} {
		if f[i] == "" {
			t.unproven |= to.field
			continue
		}
		v, err := strconv.ParseUint(f[i], to.base, 32)
		if err != nil {
			return fmt.Errorf("field %d: %.20q is no number", i, f[i])
		}
		*to.value = uint32(v)
	}
	if t.attr.Mode = mode; mode&^ModePerm != 0 {
		return fmt.Errorf("permissions %.20q", f[3])
	}
	if f[6] == "" {
		t.unproven |= FieldMtime
	} else if t.attr.Mtime, err = parseTime(f[6]); err != nil {
		return err
	}
	t.change, err = parseChange(f[7])
	return err
}

// parseIDs reads what all versions begin with.
func (t *tag) parseIDs(f []string) (err error) {
	if t.upload, err = parseShortID(f[1]); err == nil {
		t.generation, err = parseShortID(f[2])
	}
	return err
}

// parseChange reads the number of a change.
func parseChange(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		err = fmt.Errorf("change %.20q is no number", s)
	}
	return n, err
}

// parseFields reads what fields writes.
func (t *tag) parseFields(f []string) error {
	if err := t.parseIDs(f); err != nil {
		return err
	}
	mode, err := strconv.ParseUint(f[3], 8, 32)
	if err != nil || !validMode(uint32(mode)) || mode == 0 {
		return fmt.Errorf("mode %.20q", f[3])
	}
	t.attr.Mode = uint32(mode)
	for i, to := range map[int]*uint32{4: &t.attr.UID, 5: &t.attr.GID, 7: &t.attr.Rdev} {
		v, err := strconv.ParseUint(f[i], 10, 32)
		if err != nil {
			return fmt.Errorf("field %d: %.20q is no number", i, f[i])
		}
		*to = uint32(v)
	}
	if t.attr.Mtime, err = parseTime(f[6]); err != nil {
		return err
	}
	t.change, err = parseChange(f[8])
	return err
}

// parseShort reads n bytes of base64url without padding, in their only spelling.
func parseShort(s string, n int) ([]byte, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(raw) != n || strings.ContainsAny(s, "\r\n") {
		return nil, fmt.Errorf("%.40q: want %d bytes in base64url", s, n)
	}
	return raw, nil
}

// tagMACSize is the size of a tag's MAC in bytes.
const tagMACSize = 16

// volumeTagMAC binds a tag to an object's name and to the volume: HMAC-SHA256 under Derive("ossencfs tag v1") over the full key, the
// value up to the MAC (each with its length before it as uvarint), volume id and generation.
func volumeTagMAC(k *keys.VolumeKey, full, signed string, generation ID) []byte {
	id := k.ID()
	mac := k.MAC("ossencfs tag v1", tagText(full, signed), id[:], generation[:])
	return mac[:tagMACSize]
}

// hostTagText is what a write-only host signs.
func hostTagText(full, signed string) []byte {
	return append([]byte("ossencfs host tag v1\x00"), tagText(full, signed)...)
}

// tagText is a full key and a value, each with its length.
func tagText(full, signed string) []byte {
	text := binary.AppendUvarint(nil, uint64(len(full)))
	text = append(text, full...)
	text = binary.AppendUvarint(text, uint64(len(signed)))
	return append(text, signed...)
}

// formatTag is the value of a tag for the object of a full key, with MAC or signature.
func (b *Bucket) formatTag(full string, t tag) (string, error) {
	encode := base64.RawURLEncoding.EncodeToString
	v := &b.volume
	if v.host != nil {
		id := v.host.Host().ID
		signed := t.fields(tagOfHost)
		if t.unproven != 0 {
			signed = t.some()
		}
		signed += ":" + hex.EncodeToString(id[:])
		return signed + ":" + encode(v.host.Sign(hostTagText(full, signed))), nil
	}
	k := v.seals()
	if k == nil {
		return "", ErrNoVolume
	}
	signed := t.fields(tagOfVolume)
	if t.box != nil {
		signed = t.fields(tagOfMoved) + ":" + encode(t.box)
	}
	return signed + ":" + encode(volumeTagMAC(k, full, signed, t.generation)), nil
}

// verifyTag checks who made a tag, and for which object.
func (b *Bucket) verifyTag(full string, t tag) error {
	_, err := b.tagKey(full, t)
	return err
}

// tagKey finds the volume key under which a tag counts; that of new seals before others, which may be retired some day.
func (b *Bucket) tagKey(full string, t tag) (id keys.VolumeID, err error) {
	v := &b.volume
	writer := v.seals()
	for _, k := range v.all() {
		if _, retired := v.counting(k.ID()); retired || !b.tagIsUnder(k, full, t) {
			continue
		}
		if id = k.ID(); k == writer {
			break
		}
	}
	if id.IsZero() {
		err = fmt.Errorf("its MAC is wrong: %w", errTag)
	}
	return id, err
}

// tagIsUnder reports whether a tag was made by a holder of a volume key, or by a write-only host of its record.
func (b *Bucket) tagIsUnder(k *keys.VolumeKey, full string, t tag) bool {
	if t.host == nil {
		return hmac.Equal(t.mac, volumeTagMAC(k, full, t.signed, t.generation))
	}
	host, ok := b.volume.hostOf(k.ID(), *t.host)
	return ok && host.MayWrite(full) && host.Verify(hostTagText(full, t.signed), t.mac)
}
