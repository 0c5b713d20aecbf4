package object

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/ossencfs/ossencfs/cipher"
)

// ErrXattrTooBig says that extended attributes do not fit into the headers of an object.
var ErrXattrTooBig = errors.New("extended attributes do not fit into the object's metadata")

var errXattrs = errors.New("extended attributes are not in the expected form")

const (
	xattrVersion = 1
	xattrLabel   = "ossencfs xattr v1" // names the subkey and is authenticated, see cipher.SealSmall
	maxXattrName = 255                 // XATTR_NAME_MAX
)

// marshalXattrs is the plaintext of the header x-oss-meta-ossencfs-xattr:
//
//	xattrs = version *( uvarint(len(name)) name uvarint(len(value)) value ) ; version = %x01
//
// Names stand in the order of their bytes, each once.
func marshalXattrs(x map[string][]byte) []byte {
	out := []byte{xattrVersion}
	for _, name := range slices.Sorted(maps.Keys(x)) {
		out = binary.AppendUvarint(out, uint64(len(name)))
		out = append(out, name...)
		out = binary.AppendUvarint(out, uint64(len(x[name])))
		out = append(out, x[name]...)
	}
	return out
}

// unmarshalXattrs reads what marshalXattrs writes.
func unmarshalXattrs(p []byte) (map[string][]byte, error) {
	if len(p) == 0 || p[0] != xattrVersion {
		return nil, errXattrs
	}
	x := make(map[string][]byte)
	last := ""
	for p = p[1:]; len(p) > 0; {
		name, rest, ok := cutField(p)
		if !ok || len(name) == 0 || len(name) > maxXattrName || string(name) <= last {
			return nil, errXattrs
		}
		value, rest, ok := cutField(rest)
		if !ok {
			return nil, errXattrs
		}
		last = string(name)
		x[last] = slices.Clone(value)
		p = rest
	}
	return x, nil
}

// cutField takes a length and as many bytes from the front of p.
func cutField(p []byte) (field, rest []byte, ok bool) {
	n, used := binary.Uvarint(p)
	if used <= 0 || n > uint64(len(p)-used) {
		return nil, nil, false
	}
	return p[used : used+int(n)], p[used+int(n):], true
}

// XattrSize is how many bytes of an object's metadata x would take.
func XattrSize(x map[string][]byte) int {
	if len(x) == 0 {
		return 0
	}
	n := 1
	for name, value := range x {
		n += uvarintLen(len(name)) + len(name) + uvarintLen(len(value)) + len(value)
	}
	return len(metaSealedXattr) + base64.StdEncoding.EncodedLen(n+cipher.SmallOverhead)
}

func uvarintLen(n int) int { return len(binary.AppendUvarint(nil, uint64(n))) }

// CheckXattrs reports with ErrXattrTooBig when x does not fit into an object's headers, see XattrRoom.
func (b *Bucket) CheckXattrs(x map[string][]byte) error {
	for name := range x {
		if name == "" || len(name) > maxXattrName {
			return fmt.Errorf("extended attribute %.40q: name of %d bytes: %w", name, len(name), ErrXattrTooBig)
		}
	}
	if size, room := XattrSize(x), b.XattrRoom(); size > room {
		return fmt.Errorf("%w: they take %d bytes, %d are left beside the envelope", ErrXattrTooBig, size, room)
	}
	return nil
}

// ofUsers reports whether an extended attribute is one of those that every owner of a file may set. Others tell the kernel and programs of root what to
// do, such as trusted.overlay.redirect, and are not taken from objects that no key holder wrote.
func ofUsers(name string) bool {
	return strings.HasPrefix(name, "user.") && !strings.Contains(name, "\x00")
}

// parsePlainXattrs reads the header x-oss-meta-xattr of ossfs and s3fs: a url-encoded JSON object of names to
// base64 values.
func parsePlainXattrs(s string) (map[string][]byte, error) {
	text, err := url.PathUnescape(s)
	if err != nil {
		return nil, errXattrs
	}
	var doc map[string]string
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		return nil, errXattrs
	}
	x := make(map[string][]byte, len(doc))
	for name, value := range doc {
		raw, err := base64.StdEncoding.DecodeString(value)
		if err != nil || name == "" || len(name) > maxXattrName {
			return nil, errXattrs
		}
		x[name] = raw
	}
	return x, nil
}
