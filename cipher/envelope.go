package cipher

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ossencfs/ossencfs/keys"
)

// Errors of envelopes. Test with errors.Is.
var (
	// ErrPlain: there is no client-side encryption header at all.
	ErrPlain = errors.New("object is not client-side encrypted")
	// ErrPartial: there are such headers, but the wrapped key or the wrapped start is missing.
	ErrPartial = errors.New("client-side encryption headers are incomplete")
	// ErrUnknownCEK: the content cipher is not one of ours.
	ErrUnknownCEK = errors.New("unknown content cipher")
	// ErrUnknownWrap: the wrapping algorithm is not one of ours.
	ErrUnknownWrap = errors.New("unknown key wrapping algorithm")
	// ErrMalformed: a header's value cannot be decoded.
	ErrMalformed = errors.New("malformed client-side encryption header")
	// ErrNoKey: the keyring has no key of the kind that the envelope needs.
	ErrNoKey = errors.New("no master key of the needed kind is configured")
	// ErrCannotOpen: no key of the ring opens the envelope. That the key is the wrong one and that the wrapped key is
	// damaged look alike on purpose: TRUST.md, "Opening SDK objects".
	ErrCannotOpen = errors.New("content key cannot be opened: wrong master key or damaged headers")
)

// maxHeader bounds what is taken as a header's value, in bytes; OSS allows 8 KB for all of them.
const maxHeader = 8 << 10

// headerSet is the envelope of one dialect.
type headerSet struct {
	dialect Dialect // Legacy or Current
	key     string  // header values
	start   string
	cekAlg  string
	wrapAlg string
	matText string
	matdesc map[string]string
	schemes []keys.Scheme // to be tried, in this order
	blobs   [2][]byte     // key and start decoded from base64, for the RSA schemes
	err     error         // why the set cannot be used
}

// Envelope is what an object's headers tell about its encryption. ParseEnvelope makes it; it does not change.
type Envelope struct {
	sets    []headerSet // legacy before current; at least one without err
	headers map[string]string
}

// ParseEnvelope reads the envelope from an object's headers, names in any case. Where both dialects are there and one of
// them is unusable, the other one counts. The errors are ErrPlain, ErrPartial, ErrUnknownCEK, ErrUnknownWrap and
// ErrMalformed.
func ParseEnvelope(headers map[string]string) (*Envelope, error) {
	lower, err := cryptoHeaders(headers)
	if err != nil {
		return nil, err
	}
	e := &Envelope{headers: lower}
	legacy := headerSet{
		dialect: Legacy, key: lower[legacyKey], start: lower[legacyStart], cekAlg: lower[legacyCEK],
		wrapAlg: lower[legacyWrap], matText: lower[legacyMatDesc],
	}
	if legacy.matText == "" {
		legacy.matText = lower[legacyMatDescOld]
	}
	current := headerSet{
		dialect: Current, key: lower[currentKey], start: lower[currentStart], cekAlg: lower[currentCEK],
		wrapAlg: lower[currentWrap], matText: lower[currentMatDesc],
	}
	hasLegacy, hasCurrent := presence(lower)
	if hasLegacy {
		e.sets = append(e.sets, legacy)
	}
	if hasCurrent {
		e.sets = append(e.sets, current)
	}
	if len(e.sets) == 0 {
		return nil, ErrPlain
	}
	var failures []error
	for i := range e.sets {
		s := &e.sets[i]
		if s.err = s.check(); s.err != nil {
			failures = append(failures, s.err)
		}
	}
	if len(failures) == len(e.sets) {
		return nil, errors.Join(failures...)
	}
	return e, nil
}

// cryptoHeaders picks the headers that matter and lowers their names. The same name twice, in different case and with
// different values, is ErrMalformed.
func cryptoHeaders(headers map[string]string) (map[string]string, error) {
	lower := make(map[string]string, 10)
	for name, value := range headers {
		name = strings.ToLower(name)
		if !isCryptoHeader(name) {
			continue
		}
		value = strings.TrimSpace(value)
		if len(value) > maxHeader {
			return nil, fmt.Errorf("%s of %d bytes: %w", name, len(value), ErrMalformed)
		}
		if old, ok := lower[name]; ok && old != value {
			return nil, fmt.Errorf("%s is there twice: %w", name, ErrMalformed)
		}
		lower[name] = value
	}
	return lower, nil
}

// isCryptoHeader tells whether a lower-case header name belongs to an envelope of either dialect.
func isCryptoHeader(name string) bool {
	switch name {
	case legacyCEK, legacyWrap, legacyMatDescOld, legacyLength, legacyMD5:
		return true
	}
	return strings.HasPrefix(name, currentPrefix) || strings.HasPrefix(name, legacyPrefix)
}

// IsCryptoHeader tells whether a header, its name in any case, is part of an envelope. All of them have to be kept
// together when an object's metadata is rewritten.
func IsCryptoHeader(name string) bool { return isCryptoHeader(strings.ToLower(name)) }

// presence tells which dialects have any header of their own. The informational unencrypted-* headers of the legacy
// dialect have names so general that they prove nothing.
func presence(lower map[string]string) (legacy, current bool) {
	for name := range lower {
		switch {
		case strings.HasPrefix(name, currentPrefix):
			current = true
		case name != legacyLength && name != legacyMD5:
			legacy = true
		}
	}
	return legacy, current
}

// check works out how the set is to be opened. A matdesc that cannot be read is no error: it is a hint at the key.
func (s *headerSet) check() error {
	var missing []string
	if s.key == "" {
		missing = append(missing, s.name("key"))
	}
	if s.start == "" {
		missing = append(missing, s.name("start"))
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s missing: %w", strings.Join(missing, " and "), ErrPartial)
	}
	s.matdesc, _ = ParseMatDesc(s.matText)
	if err := s.checkAlgorithms(); err != nil {
		return err
	}
	for i, value := range []string{s.key, s.start} {
		blob, err := base64.StdEncoding.DecodeString(value)
		if err != nil && !slices.Contains(s.schemes, keys.KMSText) {
			return fmt.Errorf("%s is not base64: %w", s.name([]string{"key", "start"}[i]), ErrMalformed)
		}
		s.blobs[i] = blob
	}
	return nil
}

// name is a header's full name in this dialect.
func (s *headerSet) name(short string) string {
	if s.dialect == Legacy {
		return legacyPrefix + short
	}
	return currentPrefix + short
}

// checkAlgorithms turns cek-alg and wrap-alg into schemes. Letter case does not count (Java, C++). A missing cek-alg is
// taken for the only cipher there is, as Python does. A missing wrap-alg is OAEP in the legacy dialect, as Python has it; in the
// current one no SDK writes that, and all schemes are tried.
func (s *headerSet) checkAlgorithms() error {
	cek := strings.ToLower(s.cekAlg)
	known := cek == "" || cek == strings.ToLower(cekCTR) || s.dialect == Legacy && cek == strings.ToLower(cekGCM)
	if !known {
		return fmt.Errorf("%s cek-alg %q: %w", s.dialect, s.cekAlg, ErrUnknownCEK)
	}
	switch wrap := strings.ToLower(s.wrapAlg); {
	case s.dialect == Legacy && (wrap == "" || wrap == wrapRSA), wrap == strings.ToLower(wrapOAEP):
		s.schemes = []keys.Scheme{keys.OAEP}
	case s.dialect == Legacy && wrap == wrapKMS:
		s.schemes = []keys.Scheme{keys.KMSText}
	case s.dialect == Current && wrap == strings.ToLower(wrapPKCS1):
		s.schemes = []keys.Scheme{keys.PKCS1}
	case s.dialect == Current && wrap == strings.ToLower(wrapAliCloud):
		s.schemes = []keys.Scheme{keys.KMSText}
	case s.dialect == Current && wrap == "":
		s.schemes = []keys.Scheme{keys.OAEP, keys.PKCS1, keys.KMSText}
	default:
		return fmt.Errorf("%s wrap-alg %q: %w", s.dialect, s.wrapAlg, ErrUnknownWrap)
	}
	return nil
}
