package cipher

import (
	"bytes"
	"crypto/md5" //nolint:gosec // see sealing.go
	"fmt"
)

// Checkpoint describes the first size bytes of what was sealed so far, whole leaves, for the time when they are elsewhere: their leaf
// tags and, apart, the secret (SealedSecretSize bytes) that the caller has to encrypt before storing it.
func (s *Sealing) Checkpoint(size int64) (leaves, secret []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.sealed != nil:
		return nil, nil, ErrFinished
	case size < 0 || size%LeafSize != 0 || size > s.size:
		return nil, nil, fmt.Errorf("checkpoint at %d of %d bytes", size, s.size)
	}
	t := s.digests.tags
	secret = make([]byte, 0, SealedSecretSize)
	secret = append(append(secret, s.key.key[:]...), s.key.iv[:]...)
	return bytes.Clone(t.leaves[:size/LeafSize*TagSize]), append(secret, t.key[:]...), nil
}

// ResumeIntake goes on with the digests of a generation whose first size bytes are known by the leaf tags and the secret of a
// Checkpoint and their CRC-64. What is written must be the ciphertext that follows, as it was sealed: no byte is sealed here, and the
// tags of the same leaves are the same. The MD5 of the whole is not known.
func ResumeIntake(generation [16]byte, leaves, secret []byte, crc uint64, size int64) (*Intake, error) {
	if size < 0 || size%LeafSize != 0 || int64(len(leaves)) != size/LeafSize*TagSize || len(secret) != SealedSecretSize {
		return nil, fmt.Errorf("%d bytes of leaf tags for %d, secret of %d: %w", len(leaves), size, len(secret), ErrBadRecord)
	}
	k, err := UnmarshalContentKey(secret[:SecretSize])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadRecord, err)
	}
	t := &tagger{key: [MACKeySize]byte(secret[SecretSize:]), size: size, leaves: bytes.Clone(leaves)}
	if t.mac, err = newLeafMAC(&t.key); err != nil {
		return nil, err
	}
	d := digests{md5: md5.New(), crc: crc, tags: t, size: size, partly: true} //nolint:gosec // see sealing.go
	return &Intake{key: k, generation: generation, size: size, digests: d}, nil
}
