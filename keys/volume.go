package keys

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// VolumeID names a volume key: 16 random bytes. It is no secret.
type VolumeID [16]byte

// String is the name as 32 lower-case hex digits.
func (id VolumeID) String() string { return hex.EncodeToString(id[:]) }

// IsZero is true for the name that no volume has.
func (id VolumeID) IsZero() bool { return id == VolumeID{} }

// MarshalText is String.
func (id VolumeID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is ParseVolumeID.
func (id *VolumeID) UnmarshalText(text []byte) error {
	parsed, err := ParseVolumeID(string(text))
	*id = parsed
	return err
}

// ParseVolumeID reads what String wrote: 32 lower-case hex digits, not all of them 0.
func ParseVolumeID(s string) (VolumeID, error) {
	var id VolumeID
	if !unhex(id[:], s) || id.IsZero() {
		return VolumeID{}, errors.New("a volume id has 32 lower-case hex digits")
	}
	return id, nil
}

// unhex fills out from lower-case hex digits; false when s is anything else.
func unhex(out []byte, s string) bool {
	if len(s) != hex.EncodedLen(len(out)) {
		return false
	}
	_, err := hex.Decode(out, []byte(s))
	return err == nil && hex.EncodeToString(out) == s
}

// volumeSecretSize is the length of a volume key's secret in bytes.
const volumeSecretSize = 32

// volumeHPKEInfo derives the key pair to which write-only hosts seal.
const volumeHPKEInfo = "ossencfs volume hpke v1"

// VolumeKey is the secret of one volume, from which the keys of boxes, tags and local files are derived. It is used by
// pointer and never copied, does not change, and is safe for concurrent use. It prints as "redacted" whatever the verb.
type VolumeKey struct {
	_      noCopy
	public VolumePublic
	secret [volumeSecretSize]byte
	hpke   hpke.PrivateKey
}

// noCopy lets go vet complain about copies.
type noCopy struct{}

// Lock and Unlock are what vet's copylocks check looks for.
func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// NewVolumeKey draws a fresh key of an epoch (1 and up). authentic says for ever that every object of the volume has to
// have a box.
func NewVolumeKey(epoch uint32, authentic bool) (*VolumeKey, error) {
	if epoch == 0 {
		return nil, errors.New("the epochs of a volume begin with 1")
	}
	var id VolumeID
	var secret [volumeSecretSize]byte
	defer clear(secret[:])
	for _, part := range [][]byte{id[:], secret[:]} {
		if _, err := rand.Read(part); err != nil {
			return nil, fmt.Errorf("draw volume key: %w", err)
		}
	}
	return newVolumeKey(id, epoch, authentic, secret[:])
}

// newVolumeKey makes a key of a known secret, which it copies.
func newVolumeKey(id VolumeID, epoch uint32, authentic bool, secret []byte) (*VolumeKey, error) {
	if len(secret) != volumeSecretSize {
		return nil, fmt.Errorf("volume secret of %d bytes, want %d", len(secret), volumeSecretSize)
	}
	v := &VolumeKey{public: VolumePublic{ID: id, Epoch: epoch, Authentic: authentic}}
	copy(v.secret[:], secret)
	seed := v.Derive(nil, volumeHPKEInfo)
	defer clear(seed)
	var err error
	if v.hpke, err = hpkeKEM().DeriveKeyPair(seed); err != nil {
		return nil, fmt.Errorf("derive volume's key pair: %w", err)
	}
	v.public.HPKE = v.hpke.PublicKey().Bytes()
	return v, nil
}

// hpkeKEM is the key encapsulation of the one suite in use; the rest is HKDF-SHA256 and AES-256-GCM.
func hpkeKEM() hpke.KEM { return hpke.DHKEM(ecdh.X25519()) }

// ID names the key.
func (v *VolumeKey) ID() VolumeID { return v.public.ID }

// Epoch counts the keys that followed each other for new content.
func (v *VolumeKey) Epoch() uint32 { return v.public.Epoch }

// Authentic tells whether every object of the volume has to have a box.
func (v *VolumeKey) Authentic() bool { return v.public.Authentic }

// Public returns what those may know who only seal.
func (v *VolumeKey) Public() *VolumePublic {
	p := v.public
	p.HPKE = bytes.Clone(p.HPKE)
	return &p
}

// HPKEPublic is the public key of the volume, 32 bytes of the caller's own.
func (v *VolumeKey) HPKEPublic() []byte { return bytes.Clone(v.public.HPKE) }

// Derive returns the 32-byte key for the purpose that info names, by HKDF-SHA256. The caller wipes it where that is easy.
func (v *VolumeKey) Derive(salt []byte, info string) []byte {
	key, err := hkdf.Key(sha256.New, v.secret[:], salt, info, 32)
	if err != nil {
		panic("keys: HKDF refused 32 bytes: " + err.Error()) // only above 255*32 bytes
	}
	return key
}

// MAC is HMAC-SHA256 under Derive(nil, info) over the data, one after the other: their borders are the caller's to encode.
func (v *VolumeKey) MAC(info string, data ...[]byte) [32]byte {
	key := v.Derive(nil, info)
	defer clear(key)
	return sumHMAC(key, data...)
}

// sumHMAC is HMAC-SHA256 over the data, one after the other.
func sumHMAC(key []byte, data ...[]byte) [32]byte {
	h := hmac.New(sha256.New, key)
	for _, d := range data {
		_, _ = h.Write(d)
	}
	return [32]byte(h.Sum(nil))
}

// OpenHPKE opens what VolumePublic.SealHPKE sealed with the same info and aad. Everything wrong is ErrUnwrap.
func (v *VolumeKey) OpenHPKE(enc []byte, info string, aad, sealed []byte) ([]byte, error) {
	r, err := hpke.NewRecipient(enc, v.hpke, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(info))
	if err != nil {
		return nil, ErrUnwrap
	}
	plain, err := r.Open(aad, sealed)
	if err != nil {
		return nil, ErrUnwrap
	}
	return plain, nil
}

// redactedVolume is how a volume key prints.
const redactedVolume = "VolumeKey(redacted)"

// String hides the key.
func (v *VolumeKey) String() string { return redactedVolume }

// Format hides the key whatever the verb.
func (v *VolumeKey) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redactedVolume)) }

// MarshalText hides the key from encoders.
func (v *VolumeKey) MarshalText() ([]byte, error) { return []byte(redactedVolume), nil }
