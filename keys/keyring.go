package keys

import "maps"

// Keyring holds the primary master key, under which new objects are written, and any number of others for reading.
// It does not change after NewKeyring and is safe for concurrent use.
type Keyring struct {
	primary MasterKey
	all     []MasterKey // primary first
}

// NewKeyring makes a keyring; nil keys among the others are left out.
func NewKeyring(primary MasterKey, others ...MasterKey) *Keyring {
	r := &Keyring{primary: primary}
	for _, k := range append([]MasterKey{primary}, others...) {
		if k != nil {
			r.all = append(r.all, k)
		}
	}
	return r
}

// Primary is the master key for writing; nil when the ring has none.
func (r *Keyring) Primary() MasterKey { return r.primary }

// All lists the keys, primary first. Not to be changed.
func (r *Keyring) All() []MasterKey { return r.all }

// Candidates lists the keys that can unwrap by the scheme: first those whose matdesc equals the given one as a map (an
// empty one equals none), then the others, since a description is a hint that its writer was free to forget.
func (r *Keyring) Candidates(s Scheme, matdesc map[string]string) []MasterKey {
	var first, then []MasterKey
	for _, k := range r.all {
		switch {
		case !k.Supports(s) || !k.CanUnwrap():
		case maps.Equal(k.MatDesc(), matdesc):
			first = append(first, k)
		default:
			then = append(then, k)
		}
	}
	return append(first, then...)
}

// Supports tells whether any key of the ring knows the scheme, be it only for wrapping.
func (r *Keyring) Supports(s Scheme) bool {
	for _, k := range r.all {
		if k.Supports(s) {
			return true
		}
	}
	return false
}
