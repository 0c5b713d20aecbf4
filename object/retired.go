package object

import (
	"bytes"
	"maps"
	"slices"

	"github.com/ossencfs/ossencfs/keys"
)

// SomeVolume stands for a volume key of which it is not known which, in what an earlier version noted. It is retired when any is.
var SomeVolume = ID(bytes.Repeat([]byte{0xff}, len(ID{})))

// Retired reports whether nothing counts any more that rests on the word of a volume key: see Info.Volume. Zero, what was written here or rests on
// no key, always counts.
//
// It is the one answer to the question whether content that this machine has from the bucket may be sealed anew. Former holders of a key can
// have made what was verified under it before it was retired.
func (b *Bucket) Retired(volume ID) bool {
	v := &b.volume
	v.mu.RLock()
	defer v.mu.RUnlock()
	if volume == SomeVolume {
		return slices.Contains(slices.Collect(maps.Values(v.retired)), true)
	}
	return v.retired[keys.VolumeID(volume)]
}

// RetiredVolumes lists the volume keys that are retired, sorted.
func (b *Bucket) RetiredVolumes() []ID {
	v := &b.volume
	v.mu.RLock()
	defer v.mu.RUnlock()
	list := make([]ID, 0, len(v.retired))
	for id, retired := range v.retired {
		if retired {
			list = append(list, ID(id))
		}
	}
	slices.SortFunc(list, func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
	return list
}

// earlier is the volume key of the earlier epoch, which is retired first; zero stands for none.
func (v *volume) earlier(a, b ID) ID {
	v.mu.RLock()
	defer v.mu.RUnlock()
	ka, kb := v.keys[keys.VolumeID(a)], v.keys[keys.VolumeID(b)]
	if ka == nil || kb != nil && kb.Epoch() < ka.Epoch() {
		return b
	}
	return a
}
