package keys

import (
	"crypto/aes"
	stdcipher "crypto/cipher"
	"crypto/rand"
	"fmt"
)

// volumeLocalInfo derives the key for secrets of this machine.
const volumeLocalInfo = "ossencfs local v1"

// gcmNonce and gcmTag are the sizes of AES-GCM in bytes.
const (
	gcmNonce = 12
	gcmTag   = 16
)

// maxLocal bounds a secret of this machine in bytes.
const maxLocal = 4096

// newGCM is AES-256-GCM under a 32-byte key.
func newGCM(key []byte) (stdcipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("set up AES: %w", err)
	}
	gcm, err := stdcipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("set up GCM: %w", err)
	}
	return gcm, nil
}

// localGCM is the cipher of local secrets.
func (v *VolumeKey) localGCM() (stdcipher.AEAD, error) {
	key := v.Derive(nil, volumeLocalInfo)
	defer clear(key)
	return newGCM(key)
}

// WrapLocal wraps a secret of this machine, such as the key of the local cache, under the volume key:
//
//	blob = volume id(16) nonce(12) sealed
//
// AES-256-GCM with a random nonce and the volume id as additional data. It is used a few times in a volume's life.
func (v *VolumeKey) WrapLocal(secret []byte) ([]byte, error) {
	if len(secret) == 0 || len(secret) > maxLocal {
		return nil, fmt.Errorf("wrap local secret of %d bytes, 1 to %d are accepted", len(secret), maxLocal)
	}
	gcm, err := v.localGCM()
	if err != nil {
		return nil, err
	}
	id := v.ID()
	blob := append(id[:], make([]byte, gcmNonce)...)
	if _, err := rand.Read(blob[len(id):]); err != nil {
		return nil, fmt.Errorf("draw nonce: %w", err)
	}
	return gcm.Seal(blob, blob[len(id):], secret, id[:]), nil
}

// UnwrapLocal is the way back from WrapLocal; another volume's blob and a damaged one are ErrUnwrap.
func (v *VolumeKey) UnwrapLocal(blob []byte) ([]byte, error) {
	id, ok := LocalVolume(blob)
	if !ok || id != v.ID() {
		return nil, ErrUnwrap
	}
	gcm, err := v.localGCM()
	if err != nil {
		return nil, err
	}
	rest := blob[len(id):]
	secret, err := gcm.Open(nil, rest[:gcmNonce], rest[gcmNonce:], id[:])
	if err != nil {
		return nil, ErrUnwrap
	}
	return secret, nil
}

// LocalVolume tells which volume key wrapped a blob; false when its length is none of WrapLocal's. Blobs of other kinds name
// volumes that do not exist.
func LocalVolume(blob []byte) (VolumeID, bool) {
	var id VolumeID
	least := len(id) + gcmNonce + gcmTag
	if len(blob) <= least || len(blob) > least+maxLocal {
		return VolumeID{}, false
	}
	copy(id[:], blob)
	return id, !id.IsZero()
}
