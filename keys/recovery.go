package keys

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// ErrRecoveryCode: the recovery code is mistyped, or it opens no slot of the record. The text says which.
var ErrRecoveryCode = errors.New("wrong recovery code")

// A recovery code is 128 random bits and 22 bits of a checksum in Crockford's base32: 30 signs in groups of 5.
const (
	codeSize  = 16
	codeSigns = 30
	codeGroup = 5
	codeMagic = "ossencfs recovery code v1\x00" // begins what the checksum is taken of
)

// crockford has no I, L, O and U.
var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// codeSum is the checksum: the first 22 bits of a SHA-256.
func codeSum(raw []byte) [3]byte {
	sum := sha256.Sum256(append([]byte(codeMagic), raw...))
	return [3]byte{sum[0], sum[1], sum[2] &^ 3}
}

// formatRecoveryCode shows a code.
func formatRecoveryCode(raw []byte) string {
	sum := codeSum(raw)
	full := append(append(make([]byte, 0, codeSize+len(sum)), raw...), sum[:]...)
	defer clear(full)
	signs := crockford.EncodeToString(full)[:codeSigns] // the 31st would hold the two bits that are zero
	var groups []string
	for i := 0; i < len(signs); i += codeGroup {
		groups = append(groups, signs[i:i+codeGroup])
	}
	return strings.Join(groups, "-")
}

// parseRecoveryCode reads a code as people type it: small letters, O for 0, I and L for 1, blanks and hyphens anywhere.
func parseRecoveryCode(code string) ([]byte, error) {
	signs := make([]byte, 0, codeSigns+1)
	defer clear(signs[:cap(signs)])
	for _, c := range []byte(code) {
		switch {
		case c == ' ', c == '-', c == '\t', c == '\r', c == '\n':
			continue
		case c >= 'a' && c <= 'z':
			c -= 'a' - 'A'
		}
		switch c {
		case 'O':
			c = '0'
		case 'I', 'L':
			c = '1'
		}
		if len(signs) == codeSigns {
			return nil, fmt.Errorf("it is longer than %d signs: %w", codeSigns, ErrRecoveryCode)
		}
		signs = append(signs, c)
	}
	if len(signs) != codeSigns {
		return nil, fmt.Errorf("it has %d signs of %d: %w", len(signs), codeSigns, ErrRecoveryCode)
	}
	full, err := crockford.DecodeString(string(append(signs, '0')))
	if err != nil || len(full) != codeSize+3 {
		return nil, fmt.Errorf("it has a sign that no code has: %w", ErrRecoveryCode)
	}
	sum := codeSum(full[:codeSize])
	if subtle.ConstantTimeCompare(sum[:], full[codeSize:]) != 1 {
		clear(full)
		return nil, fmt.Errorf("it is mistyped: %w", ErrRecoveryCode)
	}
	return full[:codeSize], nil
}

// cost is what Argon2id spends on one try.
type cost struct{ time, memory, threads uint32 } // passes, KiB, lanes

// recoveryCost is the cost of new slots; only the tests of this package lower it.
var recoveryCost = cost{time: 3, memory: 256 << 10, threads: 4}

// Limits of the cost that is paid, which are little more than what is ever asked for: slots lie in the attacker's hands.
var (
	leastCost = cost{time: 1, memory: 8 << 10, threads: 1}
	mostCost  = cost{time: 4, memory: 512 << 10, threads: 8}
)

// checkCost refuses what is outside the limits.
func (s Slot) checkCost() error {
	if s.Time < leastCost.time || s.Time > mostCost.time || s.Memory < leastCost.memory || s.Memory > mostCost.memory ||
		s.Threads < leastCost.threads || s.Threads > mostCost.threads {
		return fmt.Errorf("Argon2id with %d passes, %d KiB, %d threads is outside the limits", s.Time, s.Memory, s.Threads)
	}
	return nil
}

// recoveryKey is the name of a recovery slot.
func recoveryKey(salt []byte) string {
	sum := sha256.Sum256(salt)
	return slotRecovery + ":" + hex.EncodeToString(sum[:4])
}

// stretch derives the one-use key of a recovery slot.
func (s Slot) stretch(raw []byte) ([]byte, error) {
	if err := s.checkCost(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return argon2.IDKey(raw, s.Salt, s.Time, s.Memory, uint8(s.Threads), 32), nil //nolint:gosec // checked: at most 16
}

// NewRecoveryCode draws a code, as people are shown it.
func NewRecoveryCode() (string, error) {
	var raw [codeSize]byte
	defer clear(raw[:])
	if _, err := rand.Read(raw[:]); err != nil {
		return "", fmt.Errorf("draw recovery code: %w", err)
	}
	return formatRecoveryCode(raw[:]), nil
}

// makeRecovery wraps a volume secret under a code and a fresh salt: AES-256-GCM with a zero nonce, since the key of code and salt
// is used once, and the facts as additional data.
func makeRecovery(p *VolumePublic, secret, raw []byte) (Slot, error) {
	salt := make([]byte, saltSize)
	if _, err := rand.Read(salt); err != nil {
		return Slot{}, fmt.Errorf("draw random bytes: %w", err)
	}
	return recoverySlot(p, secret, raw, salt)
}

// recoverySlot wraps a volume secret under a code and a salt that no other slot has.
func recoverySlot(p *VolumePublic, secret, raw, salt []byte) (Slot, error) {
	s := Slot{
		Type: slotRecovery, Key: recoveryKey(salt), Salt: salt,
		Time: recoveryCost.time, Memory: recoveryCost.memory, Threads: recoveryCost.threads,
	}
	key, err := s.stretch(raw)
	if err != nil {
		return Slot{}, err
	}
	defer clear(key)
	gcm, err := newGCM(key)
	if err != nil {
		return Slot{}, err
	}
	s.Wrapped = gcm.Seal(nil, make([]byte, gcmNonce), secret, p.facts())
	return s, nil
}

// openRecovery is the way back. A wrong code and a damaged slot look the same.
func openRecovery(p *VolumePublic, s Slot, raw []byte) ([]byte, error) {
	key, err := s.stretch(raw)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	gcm, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	secret, err := gcm.Open(nil, make([]byte, gcmNonce), s.Wrapped, p.facts())
	if err != nil {
		return nil, fmt.Errorf("it opens no slot of this record: %w", ErrRecoveryCode)
	}
	return secret, nil
}
