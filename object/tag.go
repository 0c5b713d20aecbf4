package object

import (
	"fmt"
	"strconv"
	"strings"
)

// tagName is the object tag that carries what cannot be changed in the headers of an encrypted object.
const tagName = "ossencfs"

// tagVersion begins every tag value of this form. A reader ignores tags of versions it does not know.
const tagVersion = "1"

// tag is the value of the object tag "ossencfs", at most 256 characters of A-Z a-z 0-9 - _ . :
//
//	tag        = "1:" upload ":" generation ":" mode ":" uid ":" gid ":" mtime ":" rdev *( ":" extension )
//	upload     = 22 characters of base64url, id of the request that wrote the tag
//	generation = the same, generation of the object it is about; all zero for a foreign object
//	mode       = octal st_mode
//	mtime      = as the header x-oss-meta-mtime
//
// The other fields are decimal. Extensions (a MAC is planned) are ignored by this version.
type tag struct {
	upload     ID
	generation ID
	attr       Attr // without Xattrs
}

// format is the tag's value.
func (t tag) format() string {
	return strings.Join([]string{
		tagVersion, t.upload.short(), t.generation.short(), strconv.FormatUint(uint64(t.attr.Mode), 8),
		strconv.FormatUint(uint64(t.attr.UID), 10), strconv.FormatUint(uint64(t.attr.GID), 10),
		formatTime(t.attr.Mtime), strconv.FormatUint(uint64(t.attr.Rdev), 10),
	}, ":")
}

// parseTag reads what format writes.
func parseTag(s string) (tag, error) {
	f := strings.Split(s, ":")
	if f[0] != tagVersion || len(f) < 8 {
		return tag{}, fmt.Errorf("tag %.80q is not of version %s", s, tagVersion)
	}
	var t tag
	var err error
	if t.upload, err = parseShortID(f[1]); err != nil {
		return tag{}, err
	}
	if t.generation, err = parseShortID(f[2]); err != nil {
		return tag{}, err
	}
	mode, err := strconv.ParseUint(f[3], 8, 32)
	if err != nil || !validMode(uint32(mode)) || mode == 0 {
		return tag{}, fmt.Errorf("tag: mode %.20q", f[3])
	}
	t.attr.Mode = uint32(mode)
	for i, to := range map[int]*uint32{4: &t.attr.UID, 5: &t.attr.GID, 7: &t.attr.Rdev} {
		v, err := strconv.ParseUint(f[i], 10, 32)
		if err != nil {
			return tag{}, fmt.Errorf("tag: field %d: %.20q is no number", i, f[i])
		}
		*to = uint32(v)
	}
	if t.attr.Mtime, err = parseTime(f[6]); err != nil {
		return tag{}, fmt.Errorf("tag: %w", err)
	}
	return t, nil
}
