package oss

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// Bounds of an XML answer. A decoder makes a structure of each tag and each attribute, so a document of few bytes per tag would take
// many times its own size in memory. OSS's longest page has 1,000 entries of less than 16 elements.
const (
	// maxDocument bounds the bytes; 1,000 keys of 1,023 bytes, url-encoded, with their fields stay below 4 MiB.
	maxDocument = 8 << 20
	// maxMarks bounds the tags, opening and closing.
	maxMarks = 1 << 16
	// maxGap bounds a tag with the text behind it; the longest is a url-encoded key of 3,069 bytes.
	maxGap = 8 << 10
)

// Bounds of what a server says, in bytes.
const (
	maxSaid       = 300 // of its words that we repeat
	maxSaidCode   = 64
	maxIdentifier = 1 << 10 // of what is sent back to it
)

// checkShape refuses a document beyond the bounds before it is decoded. It looks at nothing else: what is inside may be no XML.
func checkShape(doc []byte) error {
	if len(doc) > maxDocument {
		return fmt.Errorf("document of more than %d bytes", maxDocument)
	}
	marks := 0
	for rest := doc; len(rest) > 0; marks++ {
		if marks > maxMarks {
			return fmt.Errorf("document with more than %d tags", maxMarks)
		}
		gap := bytes.IndexByte(rest[1:], '<') + 1
		if gap == 0 {
			gap = len(rest)
		}
		if gap > maxGap {
			return fmt.Errorf("document with a tag or text of %d bytes", gap)
		}
		rest = rest[gap:]
	}
	return nil
}

// decodeXML reads one document within the bounds.
func decodeXML(doc []byte, v any) error {
	if err := checkShape(doc); err != nil {
		return err
	}
	err := xml.NewDecoder(bytes.NewReader(doc)).Decode(v)
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// said is what a server wrote, fit for a log line and a terminal: one line, no control characters, of bounded length.
func said(s string, limit int) string {
	cut := len(s) > limit
	if cut {
		s = s[:limit]
	}
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if cut {
		s += "..."
	}
	return s
}

// checkIdentifier refuses what could not be sent back to the server in a header or a query: an ETag, an upload id.
func checkIdentifier(what, s string) error {
	if len(s) > maxIdentifier {
		return fmt.Errorf("%s of %d bytes", what, len(s))
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || c == '"' {
			return fmt.Errorf("%s with the byte %q", what, c)
		}
	}
	return nil
}
