package terminal

import (
	"encoding/json"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"plain", "a file: 日本語　ÄÖ é \\ \"x\"", "a file: 日本語　ÄÖ é \\ \"x\""},
		{"joiners of scripts and pictures", "می\u200cخواهم 👩\u200d🚀", "می\u200cخواهم 👩\u200d🚀"},
		{"the replacement character", "\ufffd", "\ufffd"},
		{"lines", "a\nb\r\nc\td\v\f", `a\nb\r\nc\td\x0b\x0c`},
		{"escape and bell", "\x1b]0;t\x07", `\x1b]0;t\x07`},
		{"C1 and DEL", "\u009b31m\u0085\x7f\x00", `\u009b31m\u0085\x7f\x00`},
		{"not UTF-8", "a\x9b\xff\xe2\x80", `a\x9b\xff\xe2\x80`},
		{"direction", "\u202ea\u2066\u2069\u200e\u200f\u061c", `\u202ea\u2066\u2069\u200e\u200f\u061c`},
		{"line and paragraph separators", "a\u2028b\u2029", `a\u2028b\u2029`},
		{"invisible", "a\u200b\ufeff\u00ad\U000e0041", `a\u200b\ufeff\u00ad\U000e0041`},
	} {
		if got := Text(c.text); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	if got, want := Lines("a\n\tb\x1b\r\n"), "a\n\tb\\x1b\\r\n"; got != want {
		t.Errorf("lines: got %q, want %q", got, want)
	}
}

func FuzzText(f *testing.F) {
	f.Add("a\x1b[31m\u202e\xff\u2028\n")
	f.Fuzz(func(t *testing.T, text string) {
		got := Text(text)
		if !utf8.ValidString(got) || Text(got) != got {
			t.Fatalf("%q becomes %q", text, got)
		}
		for _, r := range got {
			if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
				t.Fatalf("%q becomes %q", text, got)
			}
		}
		raw, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		escaped := JSON(raw)
		var before, after string
		if json.Unmarshal(raw, &before) != nil || json.Unmarshal(escaped, &after) != nil || before != after || Text(string(escaped)) != string(escaped) {
			t.Fatalf("%q becomes %q", raw, escaped)
		}
	})
}
