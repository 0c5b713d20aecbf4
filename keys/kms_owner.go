package keys

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Owns reports whether a blob that Wrap may have returned is of this very key. Unwrap does not tell: KMS decrypts the blobs of all keys
// that the account may use. It costs one request, and one more the first time for a key that is named by an alias.
func (k *KMS) Owns(ctx context.Context, blob []byte) (bool, error) {
	id, err := k.ownID(ctx)
	if err != nil {
		return false, err
	}
	text, owner, err := k.decryptBy(ctx, blob, k.context)
	Wipe(text)
	switch {
	case errors.Is(err, ErrUnwrap):
		return false, nil
	case err != nil:
		return false, err
	}
	return sameID(owner, id), nil
}

// errAnotherKey: KMS decrypts a slot, and not with the key that was given.
var errAnotherKey = fmt.Errorf("another KMS key made it: %w", ErrUnwrap)

// wantOwn refuses what KMS decrypted with another key than this one.
func (k *KMS) wantOwn(ctx context.Context, owner string) error {
	id, err := k.ownID(ctx)
	if err != nil {
		return fmt.Errorf("ask which KMS key %s is: %w", k.keyID, err)
	}
	if !sameID(owner, id) {
		return fmt.Errorf("KMS opens it with key %.100q: %w", owner, errAnotherKey)
	}
	return nil
}

// sameID compares what an answer of KMS names with ownID.
func sameID(owner, id string) bool { return strings.EqualFold(plainKeyID(owner), plainKeyID(id)) }

// probeText is what is encrypted to learn a key's own name. It is base64, as KMS wants it.
const probeText = "AAAA"

// ownID is KMS's own name of the key, which answers carry: an alias is resolved, and an ARN is cut.
func (k *KMS) ownID(ctx context.Context) (string, error) {
	if id, ok := k.trueID.Load().(string); ok {
		return id, nil
	}
	id := k.keyID[strings.LastIndexByte(k.keyID, '/')+1:]
	if strings.Contains(k.keyID, "alias/") {
		var err error
		if _, id, err = k.encryptBy(ctx, []byte(probeText), k.context); err != nil {
			return "", err
		}
	}
	k.trueID.Store(id)
	return id, nil
}
