package keys

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
)

// Kinds of slots.
const (
	slotRSA      = "rsa"
	slotKMS      = "kms"
	slotRecovery = "recovery"
)

// slotLabel sets wrapped volume secrets apart from all other wraps.
const slotLabel = "ossencfs volume v1"

// slotInfo derives the key of an RSA slot's MAC.
const slotInfo = "ossencfs slot v1"

// Limits of a slot in bytes.
const (
	maxSlotKey = 512  // of a master key's id
	maxKMSBlob = 8192 // of a blob's text
	saltSize   = 16
)

// Slot is the volume key wrapped under one master key or recovery code.
type Slot struct {
	Type    string // rsa, kms or recovery
	Key     string // MasterKey.ID, or "recovery:" and 8 hex digits
	Wrapped []byte
	MAC     []byte // rsa: shows that an owner of the private key made the slot
	Salt    []byte // recovery: of Argon2id, with the three below
	Time    uint32 // passes
	Memory  uint32 // KiB
	Threads uint32
	Unbound bool // taken over from a record of format 1: bound to the volume key, not to a place
}

// facts is the public side of the volume as the slot is bound to it.
func (s Slot) facts(p *VolumePublic) *VolumePublic {
	if !s.Unbound {
		return p
	}
	old := *p
	old.Place = Place{}
	return &old
}

// slotKey is what a master key does with slots. *RSA and *KMS have it.
type slotKey interface {
	// slotType is the kind of its slots.
	slotType() string
	// makeSlot wraps a volume secret, bound to the volume's facts.
	makeSlot(ctx context.Context, p *VolumePublic, secret []byte) (Slot, error)
	// openSlot is the way back. ErrForged when no owner of the master key bound the secret to the facts.
	openSlot(ctx context.Context, p *VolumePublic, s Slot) ([]byte, error)
}

var (
	_ slotKey = (*RSA)(nil)
	_ slotKey = (*KMS)(nil)
)

// check tells what no slot can have.
func (s Slot) check() error {
	if len(s.Key) > maxSlotKey || !isLabel(s.Key, maxSlotKey) {
		return fmt.Errorf("a key id has 1 to %d printable bytes", maxSlotKey)
	}
	none := len(s.Salt) == 0 && s.Time == 0 && s.Memory == 0 && s.Threads == 0
	ok := false
	switch s.Type {
	case slotRSA:
		ok = none && strings.HasPrefix(s.Key, "rsa") && len(s.MAC) == macSize &&
			len(s.Wrapped) >= MinRSABits/8 && len(s.Wrapped) <= MaxRSABits/8
	case slotKMS:
		ok = none && strings.HasPrefix(s.Key, "kms:") && len(s.MAC) == 0 &&
			len(s.Wrapped) <= maxKMSBlob && isLabel(string(s.Wrapped), maxKMSBlob)
	case slotRecovery:
		if err := s.checkCost(); err != nil {
			return err
		}
		ok = s.Key == recoveryKey(s.Salt) && len(s.MAC) == 0 && len(s.Salt) == saltSize && len(s.Wrapped) == volumeSecretSize+gcmTag
	}
	if !ok {
		return fmt.Errorf("unknown kind %.20q, or not as that kind has to be", s.Type)
	}
	return nil
}

// slotType implements slotKey.
func (k *RSA) slotType() string { return slotRSA }

// makeSlot wraps by RSA-OAEP with SHA-256 and adds the MAC, since everyone who knows the public key can wrap.
func (k *RSA) makeSlot(_ context.Context, p *VolumePublic, secret []byte) (Slot, error) {
	s := Slot{Type: slotRSA, Key: k.id}
	var err error
	if s.Wrapped, err = rsa.EncryptOAEP(sha256.New(), rand.Reader, k.public, secret, []byte(slotLabel)); err != nil {
		return Slot{}, fmt.Errorf("wrap volume key: %w", err)
	}
	if s.MAC, err = k.slotMAC(p, s.Wrapped); err != nil {
		return Slot{}, err
	}
	return s, nil
}

// openSlot checks the MAC before it uses the private key, which therefore never meets a forger's blob.
func (k *RSA) openSlot(_ context.Context, p *VolumePublic, s Slot) ([]byte, error) {
	mac, err := k.slotMAC(p, s.Wrapped)
	if err != nil {
		return nil, err
	}
	if !hmac.Equal(mac, s.MAC) {
		return nil, ErrForged
	}
	k.ops.Add(1)
	secret, err := rsa.DecryptOAEP(sha256.New(), nil, k.private, s.Wrapped, []byte(slotLabel))
	if err != nil {
		return nil, ErrForged
	}
	return secret, nil
}

// slotMAC is HMAC-SHA256 over facts lp(key id) lp(wrapped), under HKDF-SHA256 of the two primes (big endian, of equal
// width, the smaller first), which only an owner of the private key knows.
func (k *RSA) slotMAC(p *VolumePublic, wrapped []byte) ([]byte, error) {
	if k.private == nil {
		return nil, ErrPublicOnly
	}
	if len(k.private.Primes) != 2 {
		return nil, fmt.Errorf("RSA key of %d primes, a volume needs one of 2: %w", len(k.private.Primes), ErrBadKey)
	}
	small, large := k.private.Primes[0], k.private.Primes[1]
	if small.Cmp(large) > 0 {
		small, large = large, small
	}
	width := (large.BitLen() + 7) / 8
	primes := make([]byte, 2*width)
	defer clear(primes)
	small.FillBytes(primes[:width])
	large.FillBytes(primes[width:])
	key, err := hkdf.Key(sha256.New, primes, nil, slotInfo, 32)
	if err != nil {
		return nil, fmt.Errorf("derive slot key: %w", err)
	}
	defer clear(key)
	data := p.facts()
	for _, part := range [][]byte{[]byte(k.id), wrapped} {
		data = append(binary.AppendUvarint(data, uint64(len(part))), part...)
	}
	mac := sumHMAC(key, data)
	return mac[:], nil
}

// slotType implements slotKey.
func (k *KMS) slotType() string { return slotKMS }

// slotContext is the EncryptionContext of a volume's slot: what binds the key anyhow, the volume, and its place.
func (k *KMS) slotContext(p *VolumePublic) (string, error) {
	m := map[string]string{}
	switch {
	case k.passphrase != "":
		m["x-passphrase"] = k.passphrase
	case k.context != "":
		if err := json.Unmarshal([]byte(k.context), &m); err != nil || m == nil {
			return "", fmt.Errorf("%w: the EncryptionContext is not a JSON object of strings", ErrConfig)
		}
	}
	m["ossencfs-volume"] = p.ID.String()
	if !p.Place.IsZero() {
		m["ossencfs-place"] = p.Place.String()
	}
	text, err := json.Marshal(m) // sorts the names
	if err != nil {
		return "", fmt.Errorf("encode EncryptionContext: %w", err)
	}
	return string(text), nil
}

// kmsSlotHead begins what a KMS slot holds; the secret and the hash of the facts follow.
const kmsSlotHead = slotLabel + "\x00"

// makeSlot calls Encrypt with base64("ossencfs volume v1" 0x00 secret SHA-256(facts)).
func (k *KMS) makeSlot(ctx context.Context, p *VolumePublic, secret []byte) (Slot, error) {
	bound, err := k.slotContext(p)
	if err != nil {
		return Slot{}, err
	}
	sum := sha256.Sum256(p.facts())
	plain := make([]byte, 0, len(kmsSlotHead)+len(secret)+len(sum))
	plain = append(append(append(plain, kmsSlotHead...), secret...), sum[:]...)
	defer clear(plain)
	text := base64.StdEncoding.AppendEncode(nil, plain)
	defer clear(text)
	blob, err := k.encrypt(ctx, text, bound)
	if err != nil {
		return Slot{}, err
	}
	return Slot{Type: slotKMS, Key: k.ID(), Wrapped: blob}, nil
}

// openSlot calls Decrypt. The EncryptionContext keeps other volumes' slots out, the hash changed facts. Who may call Encrypt with the
// key can make a slot, and nobody else: what KMS decrypts with another key, which the account may use, too, is errAnotherKey.
func (k *KMS) openSlot(ctx context.Context, p *VolumePublic, s Slot) ([]byte, error) {
	bound, err := k.slotContext(p)
	if err != nil {
		return nil, err
	}
	text, owner, err := k.decryptBy(ctx, s.Wrapped, bound)
	defer clear(text)
	if err == nil {
		err = k.wantOwn(ctx, owner)
	}
	if err != nil {
		return nil, err
	}
	plain, err := base64.StdEncoding.Strict().DecodeString(string(text))
	defer clear(plain)
	sum := sha256.Sum256(p.facts())
	head, tail := len(kmsSlotHead), len(kmsSlotHead)+volumeSecretSize
	if err != nil || len(plain) != tail+len(sum) || string(plain[:head]) != kmsSlotHead ||
		subtle.ConstantTimeCompare(plain[tail:], sum[:]) != 1 {
		return nil, ErrForged
	}
	return append([]byte(nil), plain[head:tail]...), nil
}
