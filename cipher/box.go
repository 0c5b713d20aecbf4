package cipher

import (
	"bytes"
	"crypto/aes"
	stdcipher "crypto/cipher"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ossencfs/ossencfs/keys"
)

// BoxHeader is the header that holds an object's box.
const BoxHeader = "x-oss-meta-ossencfs-box"

// Types of boxes.
const (
	BoxOfVolume = 1 // sealed by a holder of the volume key
	BoxOfHost   = 2 // sealed to the volume's public key and signed by a write-only host
)

// Lengths in bytes of a box's parts.
const (
	boxVersion  = 1
	boxSaltLen  = 24
	boxNameLen  = 16
	boxEncLen   = 32 // HPKE's encapsulated key
	boxSumLen   = 16 // of AES-GCM
	boxHeadLen  = 1 + 1 + 16 + 4
	boxClear1   = boxHeadLen + boxSaltLen + boxNameLen
	boxClear2   = boxHeadLen + 8 + boxNameLen + boxEncLen
	maxBoxBytes = boxClear2 + maxContent + boxSumLen + ed25519.SignatureSize
)

// MaxBoxLen is the length in bytes of the longest header, name and value: a write-only host's box with content key, 128
// coarse tags, xattr digest, and every number at its longest. Of OSS's 8,192 bytes 3,300 are kept free for it. A volume's own
// box is some hundred bytes shorter.
const MaxBoxLen = len(BoxHeader) + (maxBoxBytes+2)/3*4

const boxInfo = "ossencfs box v1"

// ErrBox: a header's value that is no box, or one of a version or type that is not known.
var ErrBox = errors.New("not a box")

// Box is the box of an object as it can be read without a key. It does not change.
//
//	box         = base64( clear sealed [ signature ] )                             ; signature(64) with type 2
//	clear       = %x01 type volume(16) u32(epoch) origin
//	origin      = salt(24) name(16)                                                ; type 1
//	            / host(8) name(16) enc(32)                                         ; type 2
//	name        = first 16 bytes of SHA-256( "ossencfs name v1" %x00 full key )
//	headers     = SHA-256( lines of all SDK crypto headers, sorted: lower-case name ":" value %x0A )
//	AAD         = "ossencfs box v1" %x00 clear headers                             ; clear without enc, which HPKE binds itself
//	sealed      = AES-256-GCM( HKDF of the volume key, salt, "ossencfs box v1" ), zero nonce ; type 1
//	            / HPKE( volume's public key, info = "ossencfs box v1" )            ; type 2
//	signature   = Ed25519( host's key, "ossencfs host box v1" %x00 clear sealed headers )
//
// The content is in boxcodec.go.
type Box struct {
	Type   byte          // BoxOfVolume or BoxOfHost
	Volume keys.VolumeID // whose key opens it
	Epoch  uint32        // of that volume key
	HostID keys.HostID   // who signed it; zero but for BoxOfHost

	name [boxNameLen]byte // digest of the full key at sealing
	raw  []byte
}

// ParseBox reads the header's value; ErrBox otherwise. Nothing of it is authentic before it is opened.
func ParseBox(value string) (*Box, error) {
	if len(value) > MaxBoxLen-len(BoxHeader) {
		return nil, fmt.Errorf("%d bytes: %w", len(value), ErrBox)
	}
	raw, err := base64.StdEncoding.DecodeString(value)
	if err != nil || base64.StdEncoding.EncodeToString(raw) != value {
		return nil, fmt.Errorf("not the base64 that was written: %w", ErrBox)
	}
	if len(raw) < boxHeadLen || raw[0] != boxVersion {
		return nil, fmt.Errorf("short, or of another version: %w", ErrBox)
	}
	b := &Box{Type: raw[1], Volume: keys.VolumeID(raw[2:18]), Epoch: binary.BigEndian.Uint32(raw[18:]), raw: raw}
	shortest := boxClear1
	switch b.Type {
	case BoxOfVolume:
	case BoxOfHost:
		shortest = boxClear2 + ed25519.SignatureSize
	default:
		return nil, fmt.Errorf("type %d: %w", b.Type, ErrBox)
	}
	if len(raw) < shortest+minContent+boxSumLen || b.Epoch == 0 || b.Volume.IsZero() {
		return nil, fmt.Errorf("%d bytes of type %d, epoch %d: %w", len(raw), b.Type, b.Epoch, ErrBox)
	}
	if b.Type == BoxOfHost {
		copy(b.HostID[:], raw[boxHeadLen:])
		copy(b.name[:], raw[boxHeadLen+8:])
	} else {
		copy(b.name[:], raw[boxHeadLen+boxSaltLen:])
	}
	return b, nil
}

// NameIs reports whether the box was sealed for the object of this name in the bucket. A rename leaves the box as it is.
func (b *Box) NameIs(fullKey string) bool {
	name := nameDigest(fullKey)
	return subtle.ConstantTimeCompare(b.name[:], name[:]) == 1
}

// SealBox seals a box under the volume key and returns the header's value. headers are those of the object; of them all
// that belong to the SDK envelope are bound, and may not change afterwards.
func SealBox(v *keys.VolumeKey, fullKey string, headers map[string]string, c BoxContent) (string, error) {
	return sealBox(v, nameDigest(fullKey), headers, c)
}

// sealBox is SealBox with the digest of the name.
func sealBox(v *keys.VolumeKey, name [boxNameLen]byte, headers map[string]string, c BoxContent) (string, error) {
	plain, digest, err := boxParts(headers, &c)
	if err != nil {
		return "", err
	}
	defer clear(plain)
	salt := make([]byte, boxSaltLen)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("draw salt of the box: %w", err)
	}
	raw := appendHead(make([]byte, 0, boxClear1+len(plain)+boxSumLen), BoxOfVolume, v.ID(), v.Epoch())
	raw = append(raw, salt...)
	raw = append(raw, name[:]...)
	aead, err := boxAEAD(v, salt)
	if err != nil {
		return "", err
	}
	// The key is used once, so that the nonce may be anything.
	raw = aead.Seal(raw, make([]byte, aead.NonceSize()), plain, boxAAD(raw, digest))
	return base64.StdEncoding.EncodeToString(raw), nil
}

// SealHostBox seals a box to the volume's public key and signs it with the host's key: for hosts that cannot open what
// they wrote. Else it is SealBox.
func SealHostBox(v *keys.VolumePublic, h *keys.HostKey, fullKey string, headers map[string]string, c BoxContent) (string, error) {
	plain, digest, err := boxParts(headers, &c)
	if err != nil {
		return "", err
	}
	defer clear(plain)
	host, name := h.Host().ID, nameDigest(fullKey)
	raw := appendHead(nil, BoxOfHost, v.ID, v.Epoch)
	raw = append(append(raw, host[:]...), name[:]...)
	enc, sealed, err := v.SealHPKE(boxInfo, boxAAD(raw, digest), plain)
	if err != nil {
		return "", fmt.Errorf("seal box: %w", err)
	}
	if len(enc) != boxEncLen {
		return "", fmt.Errorf("seal box: encapsulated key of %d bytes, want %d", len(enc), boxEncLen)
	}
	raw = append(append(raw, enc...), sealed...)
	raw = append(raw, h.Sign(signedPart(raw, digest))...)
	return base64.StdEncoding.EncodeToString(raw), nil
}

// Open opens a box of type BoxOfVolume with the key of its volume. ErrTampered: the box is not what was sealed, or headers,
// those of the object, are not those it was sealed with. The content key cannot seal.
func (b *Box) Open(v *keys.VolumeKey, headers map[string]string) (*BoxContent, error) {
	digest, err := b.precheck(BoxOfVolume, v, headers)
	if err != nil {
		return nil, err
	}
	aead, err := boxAEAD(v, b.raw[boxHeadLen:boxHeadLen+boxSaltLen])
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, make([]byte, aead.NonceSize()), b.raw[boxClear1:], boxAAD(b.raw[:boxClear1], digest))
	if err != nil {
		return nil, fmt.Errorf("open box: %w", ErrTampered)
	}
	defer clear(plain)
	return parseContent(plain)
}

// OpenHost opens a box of type BoxOfHost with the key of its volume, after its signature was compared with the host's
// public key. Whether the host may write the object is for the caller to decide. Errors are those of Open.
func (b *Box) OpenHost(v *keys.VolumeKey, host keys.Host, headers map[string]string) (*BoxContent, error) {
	digest, err := b.precheck(BoxOfHost, v, headers)
	if err != nil {
		return nil, err
	}
	end := len(b.raw) - ed25519.SignatureSize
	if host.ID != b.HostID || !host.Verify(signedPart(b.raw[:end], digest), b.raw[end:]) {
		return nil, fmt.Errorf("signature of host %v on the box: %w", b.HostID, ErrTampered)
	}
	clearEnd := boxClear2 - boxEncLen
	plain, err := v.OpenHPKE(b.raw[clearEnd:boxClear2], boxInfo, boxAAD(b.raw[:clearEnd], digest), b.raw[boxClear2:end])
	if err != nil {
		return nil, fmt.Errorf("open box: %w", ErrTampered)
	}
	defer clear(plain)
	return parseContent(plain)
}

// precheck compares what is in the clear with what is asked for, and returns the digest of the headers.
func (b *Box) precheck(kind byte, v *keys.VolumeKey, headers map[string]string) (digest [32]byte, err error) {
	if b.Type != kind || b.Volume != v.ID() || b.Epoch != v.Epoch() {
		return digest, fmt.Errorf("box of type %d, volume %v, epoch %d: %w", b.Type, b.Volume, b.Epoch, ErrTampered)
	}
	if digest, err = headersDigest(headers); err != nil {
		return digest, fmt.Errorf("%w: %w", ErrTampered, err)
	}
	return digest, nil
}

// boxParts are the plaintext of a box and the digest of the headers that it binds.
func boxParts(headers map[string]string, c *BoxContent) (plain []byte, digest [32]byte, err error) {
	if digest, err = headersDigest(headers); err != nil {
		return nil, digest, fmt.Errorf("seal box: %w", err)
	}
	if plain, err = c.marshal(); err != nil {
		return nil, digest, fmt.Errorf("seal box: %w", err)
	}
	return plain, digest, nil
}

// appendHead appends what every box begins with.
func appendHead(raw []byte, kind byte, id keys.VolumeID, epoch uint32) []byte {
	raw = append(raw, boxVersion, kind)
	return binary.BigEndian.AppendUint32(append(raw, id[:]...), epoch)
}

// boxAAD is what the sealed part is bound to.
func boxAAD(clear []byte, digest [32]byte) []byte {
	return slices.Concat([]byte(boxInfo), []byte{0}, clear, digest[:])
}

// signedPart is what a host signs.
func signedPart(raw []byte, digest [32]byte) []byte {
	return slices.Concat([]byte("ossencfs host box v1"), []byte{0}, raw, digest[:])
}

// boxAEAD is the cipher of the one box that has this salt.
func boxAEAD(v *keys.VolumeKey, salt []byte) (stdcipher.AEAD, error) {
	key := v.Derive(salt, boxInfo)
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("set up AES: %w", err)
	}
	aead, err := stdcipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("set up GCM: %w", err)
	}
	return aead, nil
}

// nameDigest stands for a full key.
func nameDigest(fullKey string) [boxNameLen]byte {
	sum := sha256.Sum256(append([]byte("ossencfs name v1\x00"), fullKey...))
	return [boxNameLen]byte(sum[:boxNameLen])
}

// headersDigest is the digest of all headers of an SDK envelope.
func headersDigest(headers map[string]string) (digest [32]byte, err error) {
	lower, err := cryptoHeaders(headers)
	if err != nil {
		return digest, err
	}
	var lines bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(lower)) {
		if strings.ContainsAny(name+lower[name], "\r\n") || strings.Contains(name, ":") {
			return digest, fmt.Errorf("line break in %q: %w", name, ErrMalformed) // the lines would be ambiguous
		}
		lines.WriteString(name + ":" + lower[name] + "\n")
	}
	return sha256.Sum256(lines.Bytes()), nil
}

// WrapperOf names the master key under which the SDK envelope is wrapped.
func WrapperOf(masterKeyID string) [8]byte {
	sum := sha256.Sum256([]byte(masterKeyID))
	return [8]byte(sum[:8])
}
