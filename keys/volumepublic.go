package keys

import (
	"bytes"
	"crypto/hpke"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
)

// hpkePublicSize is the length of an X25519 public key in bytes.
const hpkePublicSize = 32

// What slots bind themselves to begins with one of these: without a place, or with it.
const (
	factsMagic1 = "ossencfs volume facts v1\x00"
	factsMagic2 = "ossencfs volume facts v2\x00"
)

// flagAuthentic is the bit of VolumePublic.Authentic among the facts' flags.
const flagAuthentic = 1

// VolumePublic is what is known of a volume without its secret: enough to seal to it and not to open anything.
type VolumePublic struct {
	ID        VolumeID
	Epoch     uint32
	Authentic bool
	Place     Place  // of its record; the zero value where that does not matter, or is not known
	HPKE      []byte // X25519 public key, 32 bytes
}

// facts encodes all of it (lp(x): length of x as uvarint, x):
//
//	facts = "ossencfs volume facts v1" 0x00 key
//	      / "ossencfs volume facts v2" 0x00 key lp(bucket) lp(region) lp(root)
//	key   = id(16) u32(epoch) u8(flags; bit 0: authentic) hpke(32)
func (p *VolumePublic) facts() []byte {
	if p.Place.IsZero() {
		return p.keyFacts(factsMagic1)
	}
	return append(p.keyFacts(factsMagic2), p.Place.encode()...)
}

// keyFacts encodes what does not depend on the place.
func (p *VolumePublic) keyFacts(magic string) []byte {
	b := append([]byte(magic), p.ID[:]...)
	b = binary.BigEndian.AppendUint32(b, p.Epoch)
	var flags byte
	if p.Authentic {
		flags |= flagAuthentic
	}
	return append(append(b, flags), p.HPKE...)
}

// Same tells whether both describe the same key, wherever its record is.
func (p *VolumePublic) Same(other *VolumePublic) bool {
	return subtle.ConstantTimeCompare(p.keyFacts(""), other.keyFacts("")) == 1
}

// check tells what no volume can have.
func (p *VolumePublic) check() error {
	switch {
	case p.ID.IsZero():
		return fmt.Errorf("volume without id")
	case p.Epoch == 0:
		return fmt.Errorf("volume of epoch 0")
	case len(p.HPKE) != hpkePublicSize || bytes.Equal(p.HPKE, make([]byte, hpkePublicSize)):
		return fmt.Errorf("public key of a volume is not one of X25519")
	}
	return p.Place.check()
}

// SealHPKE seals to the volume's public key by HPKE (base mode, X25519, HKDF-SHA256, AES-256-GCM): everyone can make
// such seals, so that who made one has to be shown by a signature. enc has 32 bytes, sealed 16 more than plain.
func (p *VolumePublic) SealHPKE(info string, aad, plain []byte) (enc, sealed []byte, err error) {
	to, err := hpkeKEM().NewPublicKey(p.HPKE)
	if err != nil {
		return nil, nil, fmt.Errorf("read volume's public key: %w", err)
	}
	enc, sender, err := hpke.NewSender(to, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(info))
	if err != nil {
		return nil, nil, fmt.Errorf("seal to volume %s: %w", p.ID, err)
	}
	if sealed, err = sender.Seal(aad, plain); err != nil {
		return nil, nil, fmt.Errorf("seal to volume %s: %w", p.ID, err)
	}
	return enc, sealed, nil
}
