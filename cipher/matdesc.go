package cipher

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf16"
)

// MatDescText encodes a key description as the header has it: compact JSON with sorted keys, which is the text that the
// Go SDK compares, and with all but ASCII escaped, since headers carry nothing else. The empty map is "": no header.
func MatDescText(desc map[string]string) (string, error) {
	if len(desc) == 0 {
		return "", nil
	}
	text, err := json.Marshal(desc)
	if err != nil {
		return "", fmt.Errorf("encode matdesc: %w", err)
	}
	var b strings.Builder
	for _, r := range string(text) {
		switch {
		case r < 0x7f:
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		}
	}
	return b.String(), nil
}

// ParseMatDesc reads a key description, a JSON object of strings in any spacing and order. Nothing, null and {} are nil.
func ParseMatDesc(text string) (map[string]string, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var desc map[string]string
	if err := json.Unmarshal([]byte(text), &desc); err != nil {
		return nil, fmt.Errorf("matdesc is not a JSON object of strings: %w", ErrMalformed)
	}
	if len(desc) == 0 {
		return nil, nil
	}
	return desc, nil
}
