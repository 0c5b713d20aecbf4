package object

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/ossencfs/ossencfs/oss"
)

const (
	// ReservedName is the component that belongs to this program, at every level: any directory may be mounted by itself, or be the root of a
	// volume. Nothing with such a component is shown or made for a user.
	ReservedName = ".ossencfs"
	// Hidden is the area below the prefix that belongs to this program. It is never listed.
	Hidden = ReservedName + "/"
	// MaxName is the most bytes of one component of a key (NAME_MAX).
	MaxName = 255

	canaryKey = Hidden + "canary"
	rootKey   = Hidden + "root/" // carries the root's attributes where the whole bucket is mounted
)

// ErrName says that a key cannot be the path of a file: it has an empty component, "." or "..", a NUL byte, a component or key that is
// too long, or it is not UTF-8, which OSS refuses.
var ErrName = errors.New("the key is no path")

// ErrReserved says that a key has the component ReservedName.
var ErrReserved = errors.New("the name " + ReservedName + " belongs to ossencfs")

// Reserved reports whether a key, or the name of a file, has the component ReservedName.
func Reserved(key string) bool {
	for name := range strings.SplitSeq(key, "/") {
		if name == ReservedName {
			return true
		}
	}
	return false
}

// CleanPrefix is the form in which a prefix stands before keys: without slashes in front, with one at the end, or
// empty. A prefix that is no path is refused with ErrName.
func CleanPrefix(prefix string) (string, error) {
	prefix = strings.Trim(prefix, "/")
	if prefix == "" {
		return "", nil
	}
	prefix += "/"
	if err := CheckKey(prefix); err != nil {
		return "", fmt.Errorf("prefix %.100q: %w", prefix, err)
	}
	if Reserved(prefix) {
		return "", fmt.Errorf("prefix %.100q: %w: %w", prefix, ErrName, ErrReserved)
	}
	return prefix, nil
}

// CheckKey reports with ErrName why key cannot be the path of a file or, ending in "/", of a directory. The length
// of the mounted prefix is not known here; Bucket.KeyRoom has it.
func CheckKey(key string) error {
	if len(key) > oss.MaxKeyLen {
		return fmt.Errorf("%w: %d bytes, at most %d are possible", ErrName, len(key), oss.MaxKeyLen)
	}
	if !utf8.ValidString(key) {
		return fmt.Errorf("%w: not UTF-8", ErrName)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(key, "/"), "/") {
		switch {
		case key == "":
			return nil
		case name == "":
			return fmt.Errorf("%w: empty component", ErrName)
		case name == "." || name == "..":
			return fmt.Errorf("%w: component %q", ErrName, name)
		case len(name) > MaxName:
			return fmt.Errorf("%w: component of %d bytes, at most %d are possible", ErrName, len(name), MaxName)
		case strings.IndexByte(name, 0) >= 0:
			return fmt.Errorf("%w: NUL byte", ErrName)
		}
	}
	return nil
}

// full is the name in the bucket of a key.
func (b *Bucket) full(key string) (string, error) {
	if key == "" && b.prefix == "" {
		key = rootKey
	}
	if err := CheckKey(key); err != nil {
		return "", fmt.Errorf("key %.100q: %w", key, err)
	}
	full := b.prefix + key
	if len(full) > oss.MaxKeyLen {
		return "", fmt.Errorf("key %.100q: %w: %d bytes with the prefix, at most %d are possible", key, ErrName, len(full), oss.MaxKeyLen)
	}
	if full[0] == '\\' {
		return "", fmt.Errorf("key %.100q: %w: a key cannot begin with a backslash", key, ErrName)
	}
	return full, nil
}

// KeyRoom is the most bytes of a key below the mounted prefix.
func (b *Bucket) KeyRoom() int { return oss.MaxKeyLen - len(b.prefix) }

// isHidden reports whether a key lies in the hidden area.
func isHidden(key string) bool { return strings.HasPrefix(key, Hidden) }
