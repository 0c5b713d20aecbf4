// Package terminal makes strings that come from outside fit to be shown to people: the names and headers of a bucket, the messages of a
// server, the settings of a file. What could move the cursor, speak to the terminal, begin a line of its own or turn the direction of
// the text is spelled out.
package terminal

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Text is a string on one line, with everything that a terminal would not show as a character of its own spelled as Go spells it: \n,
// \x1b, \u202e.
func Text(s string) string { return clean(s, "") }

// Lines is Text for a text of several lines: line ends and tabs stay.
func Lines(s string) string { return clean(s, "\n\t") }

func clean(s, keep string) string {
	i := strings.IndexFunc(s, func(r rune) bool { return unfit(r) || r == utf8.RuneError })
	if i < 0 {
		return s
	}
	var b strings.Builder
	b.WriteString(s[:i])
	for s = s[i:]; s != ""; {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case unfit(r) && !strings.ContainsRune(keep, r):
			b.WriteString(spelled(r))
		default:
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

// unfit reports whether a character is none to show: it controls the terminal (C0, DEL, C1), the direction or the joining of the text, or
// breaks lines. The two joiners that scripts and pictures are written with are left alone.
func unfit(r rune) bool {
	if r >= ' ' && r < 0x7f || r == '\u200c' || r == '\u200d' {
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

func spelled(r rune) string {
	switch {
	case r == '\n':
		return `\n`
	case r == '\r':
		return `\r`
	case r == '\t':
		return `\t`
	case r < 0x80:
		return fmt.Sprintf(`\x%02x`, r)
	case r > 0xffff:
		return fmt.Sprintf(`\U%08x`, r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// JSON is a JSON text with the same meaning, in which such characters are escaped: encoding/json leaves DEL, C1 and marks of direction
// as they are.
func JSON(text []byte) []byte {
	if bytes.IndexFunc(text, unfitInJSON) < 0 {
		return text
	}
	out := make([]byte, 0, len(text)+64)
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case !unfitInJSON(r):
			out = append(out, text[:n]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		text = text[n:]
	}
	return out
}

// unfitInJSON leaves the line ends that stand between values: within strings there are none.
func unfitInJSON(r rune) bool { return r != '\n' && unfit(r) }
