package cipher

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"

	"github.com/ossencfs/ossencfs/keys"
)

// Open unwraps the content key with the first key of the ring that fits: those with the envelope's matdesc first, then the
// others. Of an object with both dialects the legacy set is tried first, as Python does: its OAEP wrap proves itself,
// so that the PKCS#1 wrap of the current set, which does not, is mostly left alone. When it fails, the other set is tried.
//
// ErrCannotOpen means a wrong key or damaged headers and nothing closer than that. ErrNoKey means that the ring
// has no key for this wrapping. Other errors (KMS out of reach or denying access, ctx ended) say nothing about
// the object.
//
// The key can open and cannot seal.
func (e *Envelope) Open(ctx context.Context, ring *keys.Keyring) (*ContentKey, error) {
	if ring == nil {
		return nil, ErrNoKey
	}
	var unclear error        // the first failure that says nothing about the object
	var out []keys.MasterKey // those that failed so; they are not asked twice, since a KMS that is down costs a deadline
	tried := false
	for i := range e.sets {
		s := &e.sets[i]
		if s.err != nil {
			continue
		}
		for _, scheme := range s.schemes {
			for _, master := range ring.Candidates(scheme, s.matdesc) {
				tried = true
				if slices.Contains(out, master) {
					continue
				}
				k, err := s.open(ctx, master, scheme)
				if err == nil {
					return k, nil
				}
				if !errors.Is(err, keys.ErrUnwrap) {
					unclear, out = cmp.Or(unclear, err), append(out, master)
				}
				if ctx.Err() != nil {
					return nil, fmt.Errorf("open envelope: %w", ctx.Err())
				}
			}
		}
	}
	switch {
	case unclear != nil:
		return nil, fmt.Errorf("open envelope: %w", unclear)
	case !tried:
		return nil, e.noKey(ring)
	}
	return nil, ErrCannotOpen
}

// noKey says which kind of key is missing.
func (e *Envelope) noKey(ring *keys.Keyring) error {
	var wants []string
	for _, s := range e.sets {
		for _, scheme := range s.schemes {
			if ring.Supports(scheme) {
				return fmt.Errorf("object is wrapped with %v: %w: %w", scheme, ErrNoKey, keys.ErrPublicOnly)
			}
			wants = append(wants, scheme.String())
		}
	}
	return fmt.Errorf("object is wrapped with %s: %w", strings.Join(wants, " and "), ErrNoKey)
}

// open tries one header set with one master key and scheme. Everything that could tell a wrong key from a damaged
// blob is keys.ErrUnwrap.
func (s *headerSet) open(ctx context.Context, master keys.MasterKey, scheme keys.Scheme) (*ContentKey, error) {
	if scheme == keys.KMSText {
		return s.openKMS(ctx, master)
	}
	key, start, err := unwrapBoth(ctx, master, scheme, s.blobs[0], s.blobs[1])
	defer keys.Wipe(key)
	defer keys.Wipe(start)
	if err != nil {
		return nil, err
	}
	// PKCS#1 answers a wrong key with random bytes. This is the one and only test of what it answered; it is made
	// after both headers were unwrapped, and a wrong key passes it once in 2^32 times.
	if scheme == keys.PKCS1 && binary.BigEndian.Uint32(start[8:12]) != 0 {
		return nil, keys.ErrUnwrap
	}
	if s.dialect == Legacy {
		return keyOfDecimal(key, start)
	}
	return keyOfBytes(key, start)
}

// unwrapBoth unwraps key and start side by side, and always both, so that the time tells nothing about the first.
// The sizes are those of the current dialect, the only one that uses a scheme which needs them.
func unwrapBoth(ctx context.Context, master keys.MasterKey, scheme keys.Scheme, keyBlob, startBlob []byte) (key, start []byte, err error) {
	var startErr error
	var wg sync.WaitGroup
	wg.Go(func() { start, startErr = master.Unwrap(ctx, scheme, startBlob, IVSize) })
	key, err = master.Unwrap(ctx, scheme, keyBlob, KeySize)
	wg.Wait()
	if err == nil || errors.Is(err, keys.ErrUnwrap) && startErr != nil {
		err = startErr // of two errors the one that says nothing about the object is worth more
	}
	return key, start, err
}

// keyOfBytes makes the content key of the current dialect's secrets: 32 and 16 bytes.
func keyOfBytes(key, iv []byte) (*ContentKey, error) {
	if len(key) != KeySize || len(iv) != IVSize {
		return nil, keys.ErrUnwrap
	}
	return importedKey(key, iv)
}

// keyOfDecimal makes the content key of the legacy dialect's secrets: 32 bytes, and the first counter as decimal text.
func keyOfDecimal(key, start []byte) (*ContentKey, error) {
	iv, err := parseDecimal(string(start))
	if err != nil || len(key) != KeySize {
		return nil, keys.ErrUnwrap
	}
	return importedKey(key, iv[:])
}

// parseDecimal reads a counter below 2^128.
func parseDecimal(text string) (iv [IVSize]byte, err error) {
	text = strings.TrimSpace(text)
	if text == "" || len(text) > 64 || strings.Trim(text, "0123456789") != "" {
		return iv, fmt.Errorf("start is not a decimal number: %w", ErrMalformed)
	}
	n, ok := new(big.Int).SetString(text, 10)
	if !ok || n.BitLen() > 8*IVSize {
		return iv, fmt.Errorf("start is beyond 128 bits: %w", ErrMalformed)
	}
	n.FillBytes(iv[:])
	return iv, nil
}

// decimal writes an IV as the legacy dialect has it.
func decimal(iv [IVSize]byte) string { return new(big.Int).SetBytes(iv[:]).String() }

// openKMS opens a set that KMS wrapped. The legacy dialect has the blobs' texts as they are. Of the current one there are two
// forms under one name: A (Python) has base64 of the blob's text, B (Go, Java) the text itself. A blob is base64 text, so a
// value that is base64 twice looks like A; when KMS does not know it, B is tried.
func (s *headerSet) openKMS(ctx context.Context, master keys.MasterKey) (*ContentKey, error) {
	if s.dialect == Legacy {
		key, start, err := unwrapBoth(ctx, master, keys.KMSText, []byte(s.key), []byte(s.start))
		defer keys.Wipe(key)
		defer keys.Wipe(start)
		if err != nil {
			return nil, err
		}
		raw, err := base64.StdEncoding.DecodeString(string(key))
		defer keys.Wipe(raw)
		if err != nil {
			return nil, keys.ErrUnwrap
		}
		return keyOfDecimal(raw, start)
	}
	if isBase64Text(s.blobs[0]) && isBase64Text(s.blobs[1]) {
		k, err := openKMSTexts(ctx, master, s.blobs[0], s.blobs[1])
		if err == nil || !errors.Is(err, keys.ErrUnwrap) {
			return k, err
		}
	}
	return openKMSTexts(ctx, master, []byte(s.key), []byte(s.start))
}

// openKMSTexts opens the current dialect's two blobs, whose texts are base64 of key and IV.
func openKMSTexts(ctx context.Context, master keys.MasterKey, keyBlob, startBlob []byte) (*ContentKey, error) {
	key, start, err := unwrapBoth(ctx, master, keys.KMSText, keyBlob, startBlob)
	defer keys.Wipe(key)
	defer keys.Wipe(start)
	if err != nil {
		return nil, err
	}
	rawKey, err1 := base64.StdEncoding.DecodeString(string(key))
	rawIV, err2 := base64.StdEncoding.DecodeString(string(start))
	defer keys.Wipe(rawKey)
	if err1 != nil || err2 != nil {
		return nil, keys.ErrUnwrap
	}
	return keyOfBytes(rawKey, rawIV)
}

// isBase64Text tells whether bytes are themselves base64 text of some length.
func isBase64Text(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	_, err := base64.StdEncoding.DecodeString(string(b))
	return err == nil
}
