package object

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// ID is a random 128-bit name: of a sealed generation, or of one upload. The zero ID means "none".
type ID [16]byte

// NewID draws an ID from the system's random source.
func NewID() ID {
	var id ID
	_, _ = rand.Read(id[:]) // never fails: it ends the program instead
	return id
}

// IsZero reports whether id names nothing.
func (id ID) IsZero() bool { return id == ID{} }

// String is 32 lower-case hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads what String writes.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 2*len(id) || strings.ToLower(s) != s {
		return ID{}, fmt.Errorf("id %.40q: want 32 lower-case hexadecimal digits", s)
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return ID{}, fmt.Errorf("id %.40q: want 32 lower-case hexadecimal digits", s)
	}
	return id, nil
}

// short is the 22 characters of an ID in a tag.
func (id ID) short() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// parseShortID reads what short writes, in its only spelling.
func parseShortID(s string) (ID, error) {
	var id ID
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(raw) != len(id) || strings.ContainsAny(s, "\r\n") {
		return ID{}, fmt.Errorf("id %.40q: want 22 characters of base64url", s)
	}
	copy(id[:], raw)
	return id, nil
}

// formatIDs is the value of the header x-oss-meta-ossencfs-id:
//
//	ids = generation "." upload ; 32 hexadecimal digits each
func formatIDs(generation, upload ID) string { return generation.String() + "." + upload.String() }

// parseIDs reads what formatIDs writes.
func parseIDs(s string) (generation, upload ID, err error) {
	g, u, ok := strings.Cut(s, ".")
	if !ok {
		return ID{}, ID{}, fmt.Errorf("ids %.80q: want GENERATION.UPLOAD", s)
	}
	if generation, err = ParseID(g); err != nil {
		return ID{}, ID{}, err
	}
	if upload, err = ParseID(u); err != nil {
		return ID{}, ID{}, err
	}
	return generation, upload, nil
}
