package cipher

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/ossencfs/ossencfs/keys"
)

// ErrIVForm: an IV of another program that the current dialect cannot carry under RSA, since readers could not tell it from the
// answer of a wrong key.
var ErrIVForm = errors.New("IV cannot be wrapped under RSA in the current dialect")

// Dialect names the header sets that the object carries, be they usable or not.
func (e *Envelope) Dialect() Dialect {
	legacy, current := presence(e.headers)
	switch {
	case legacy && current:
		return Both
	case current:
		return Current
	}
	return Legacy
}

// HasMatDesc reports whether the current header set, where there is one, carries this description. The legacy one has none to write.
func (e *Envelope) HasMatDesc(desc map[string]string) bool {
	for i := range e.sets {
		s := &e.sets[i]
		if s.dialect == Current && s.err == nil && !maps.Equal(s.matdesc, desc) {
			return false
		}
	}
	return true
}

// Renew wraps the content key of this envelope under the ring's primary key and returns all envelope headers that the object has then:
// those of the same dialects, so that whoever could read it can again. What its writer said of the content's length stays, a hash of
// the plaintext does not. ErrIVForm: the envelope has to stay as it is.
func (e *Envelope) Renew(ctx context.Context, ring *keys.Keyring, k *ContentKey, o EnvelopeOptions) (map[string]string, error) {
	o.Dialect = e.Dialect()
	if o.Dialect.current() && ring != nil && ring.Primary() != nil && ring.Primary().Supports(keys.PKCS1) && binary.BigEndian.Uint32(k.iv[8:12]) != 0 {
		return nil, ErrIVForm
	}
	headers, err := WrapEnvelope(ctx, ring, k, o)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{currentLength, legacyLength} {
		if text := e.headers[name]; text != "" {
			headers[name] = text
		}
	}
	return headers, nil
}

// blobOwner is a master key that can tell whose blob one is, where unwrapping tells less; *keys.KMS is one.
type blobOwner interface {
	Owns(ctx context.Context, blob []byte) (bool, error)
}

// WrappedUnder finds out whether every usable header set is wrapped under one master key: by the description, and then by trying that
// key alone. Without its private half nothing can be tried: false. Errors say nothing about the object.
func (e *Envelope) WrappedUnder(ctx context.Context, master keys.MasterKey) (bool, error) {
	if !master.CanUnwrap() || !e.HasMatDesc(master.MatDesc()) {
		return false, nil
	}
	for i := range e.sets {
		s := &e.sets[i]
		if s.err != nil {
			continue
		}
		if under, err := s.wrappedUnder(ctx, master); err != nil || !under {
			return false, err
		}
	}
	return true, nil
}

// wrappedUnder is WrappedUnder for one set.
func (s *headerSet) wrappedUnder(ctx context.Context, master keys.MasterKey) (bool, error) {
	for _, scheme := range s.schemes {
		if !master.Supports(scheme) {
			continue
		}
		if owner, ok := master.(blobOwner); ok && scheme == keys.KMSText {
			under, err := s.ownedBy(ctx, owner)
			if err != nil || under {
				return under, err
			}
			continue
		}
		_, err := s.open(ctx, master, scheme)
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, keys.ErrUnwrap) {
			return false, fmt.Errorf("try %s: %w", master.ID(), err)
		}
	}
	return false, nil
}

// ownedBy asks about the wrapped key, in both forms that the current dialect may have.
func (s *headerSet) ownedBy(ctx context.Context, owner blobOwner) (bool, error) {
	forms := [][]byte{[]byte(s.key)}
	if raw, err := base64.StdEncoding.DecodeString(s.key); err == nil && s.dialect == Current && isBase64Text(raw) {
		forms = slices.Insert(forms, 0, raw)
	}
	for _, blob := range forms {
		if own, err := owner.Owns(ctx, blob); err != nil || own {
			return own, err
		}
	}
	return false, nil
}

// ResealBox is SealBox for an object that stands under another name than old was sealed for, which nobody vouches for: the new box is
// bound to the name of the old one.
func ResealBox(v *keys.VolumeKey, old *Box, headers map[string]string, c BoxContent) (string, error) {
	return sealBox(v, old.name, headers, c)
}

// PartSizeOf is the size in bytes of the parts in which an object went up, as its headers say; 0 when they do not.
func PartSizeOf(headers map[string]string) int64 { return max(0, number(headers[currentPartSize])) }
