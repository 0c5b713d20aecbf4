package object

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/ossencfs/ossencfs/keys"
)

// localVersion is the version of a wrapped local secret.
const localVersion = 1

// localWrap is a secret of this machine in wrapped form, as JSON: under the volume key, so that opening it costs nothing and any
// key holder of the volume can, and under the primary master key, so that it opens when the bucket has lost its volume record. On
// a write-only host, which could not open either, it is wrapped under the machine key alone.
type localWrap struct {
	Version int           `json:"version"`
	Machine []byte        `json:"machine,omitempty"` // see keys.MachineKey.Wrap
	Volume  []byte        `json:"volume,omitempty"`  // see keys.VolumeKey.WrapLocal
	Masters []masterLocal `json:"masters,omitempty"`
}

// masterLocal is the secret under one master key.
type masterLocal struct {
	Key     string `json:"key"` // id of the master key
	Wrapped []byte `json:"wrapped"`
}

// ErrNoMachineKey: a write-only host keeps its local secrets under a machine key, and none was given.
var ErrNoMachineKey = errors.New("a write-only host needs a machine key for its cache")

// WrapLocal wraps a secret of this machine, such as the key of the local cache, under the volume key and the primary master key, on a
// write-only host under the machine key.
func (b *Bucket) WrapLocal(ctx context.Context, secret []byte) ([]byte, error) {
	w := localWrap{Version: localVersion}
	var err error
	if b.opt.Bundle != nil {
		if b.opt.MachineKey == nil {
			return nil, ErrNoMachineKey
		}
		if w.Machine, err = b.opt.MachineKey.Wrap(secret); err != nil {
			return nil, err
		}
		return json.Marshal(w)
	}
	if k := b.volume.seals(); k != nil {
		if w.Volume, err = k.WrapLocal(secret); err != nil {
			return nil, fmt.Errorf("wrap a local key: %w", err)
		}
	}
	primary := b.ring.Primary()
	wrapped, err := primary.WrapLocal(ctx, secret)
	if err != nil {
		return nil, err
	}
	w.Masters = []masterLocal{{Key: primary.ID(), Wrapped: wrapped}}
	return json.Marshal(w)
}

// UnwrapLocal opens what WrapLocal made: with a volume key, or else with any key of the keyring; on a write-only host with the
// machine key.
func (b *Bucket) UnwrapLocal(ctx context.Context, wrapped []byte) ([]byte, error) {
	w, err := parseLocal(wrapped)
	if err != nil {
		return nil, err
	}
	if b.opt.Bundle != nil || len(w.Machine) > 0 {
		return b.unwrapMachine(w)
	}
	if id, ok := keys.LocalVolume(w.Volume); ok {
		if k := b.volume.key(id); k != nil {
			if secret, err := k.UnwrapLocal(w.Volume); err == nil {
				return secret, nil
			}
		}
	}
	err = keys.ErrUnwrap
	for _, k := range b.ring.All() {
		for _, m := range w.Masters {
			if m.Key != k.ID() && len(w.Masters) > 1 {
				continue
			}
			var secret []byte
			if secret, err = k.UnwrapLocal(ctx, m.Wrapped); err == nil {
				return secret, nil
			}
			if !errors.Is(err, keys.ErrUnwrap) {
				return nil, fmt.Errorf("open a local key: %w", err)
			}
		}
	}
	return nil, fmt.Errorf("open a local key: %w", err)
}

// unwrapMachine opens a secret of a write-only host.
func (b *Bucket) unwrapMachine(w localWrap) ([]byte, error) {
	if b.opt.MachineKey == nil {
		return nil, fmt.Errorf("open a local key: %w", ErrNoMachineKey)
	}
	secret, err := b.opt.MachineKey.Unwrap(w.Machine)
	if err != nil {
		return nil, fmt.Errorf("open a local key with the machine key: %w", err)
	}
	return secret, nil
}

// LocalStale reports whether a wrapped secret should be wrapped anew, because the volume key or the primary master key are others by
// now: after a rotation the old key is not needed any more.
func (b *Bucket) LocalStale(wrapped []byte) bool {
	w, err := parseLocal(wrapped)
	if err != nil || b.opt.Bundle != nil {
		return false
	}
	id, ok := keys.LocalVolume(w.Volume)
	if k := b.volume.seals(); k != nil && (!ok || id != k.ID()) {
		return true
	}
	return !slices.ContainsFunc(w.Masters, func(m masterLocal) bool { return m.Key == b.ring.Primary().ID() })
}

// errLocal says that a wrapped secret is not in its form.
var errLocal = errors.New("the wrapped local key is damaged")

// parseLocal reads what WrapLocal writes.
func parseLocal(wrapped []byte) (localWrap, error) {
	var w localWrap
	if err := json.Unmarshal(wrapped, &w); err != nil {
		return w, fmt.Errorf("%w: %w", errLocal, err)
	}
	if w.Version != localVersion || len(w.Masters) > maxMasters {
		return w, errLocal
	}
	return w, nil
}

// maxMasters bounds the master keys of one wrapped secret: each costs an operation of RSA or KMS.
const maxMasters = 16
