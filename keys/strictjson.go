package keys

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// maxJSONDepth is as deep as our own files nest.
const maxJSONDepth = 6

// decodeStrict reads one JSON value into v: what encoding/json forgives (fields unknown, twice, null or in capitals,
// something behind the value) is refused. The names of fields have small letters only.
func decodeStrict(text []byte, v any) error {
	if !utf8.Valid(text) {
		return errors.New("not UTF-8")
	}
	if err := checkShape(text); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	return dec.Decode(v) //nolint:wrapcheck // callers add what they read
}

// checkShape walks the tokens of one JSON value.
func checkShape(text []byte) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	var open []map[string]bool // names seen in each open object; nil for an array
	isName := false
	for {
		token, err := dec.Token()
		if err != nil {
			return fmt.Errorf("no JSON: %w", err)
		}
		inside := len(open) > 0 && open[len(open)-1] != nil
		switch t := token.(type) {
		case nil:
			return errors.New("a field is null")
		case json.Delim:
			switch t {
			case '{':
				open = append(open, map[string]bool{})
			case '[':
				open = append(open, nil)
			default:
				open = open[:len(open)-1]
			}
			if len(open) > maxJSONDepth {
				return errors.New("nested too deep")
			}
		case string:
			if !inside || !isName {
				break
			}
			if strings.Trim(t, "abcdefghijklmnopqrstuvwxyz") != "" || open[len(open)-1][t] {
				return fmt.Errorf("field %.40q is there twice or has no name of ours", t)
			}
			open[len(open)-1][t] = true
			isName = false
			continue
		}
		if len(open) == 0 {
			break
		}
		isName = open[len(open)-1] != nil
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something behind the JSON value")
	}
	return nil
}

// strictBytes are bytes that JSON holds as padded base64 in its one canonical spelling.
type strictBytes []byte

// MarshalText writes base64.
func (b strictBytes) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode(nil, b), nil
}

// UnmarshalText reads base64 and refuses other spellings of the same bytes.
func (b *strictBytes) UnmarshalText(text []byte) error {
	raw, err := base64.StdEncoding.Strict().DecodeString(string(text))
	if err != nil || base64.StdEncoding.EncodeToString(raw) != string(text) {
		return errors.New("not canonical base64") // the text may be a secret
	}
	*b = raw
	return nil
}
