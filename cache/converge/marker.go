package converge

import (
	"strings"

	"github.com/ossencfs/ossencfs/cache/index"
)

// markerFirst looks whether a directory of the tree would vanish from the bucket with a key: the nearest one above it has no
// marker and nothing else below it. Its marker is PUT first then.
func (p *planner) markerFirst(key string) (Action, bool) {
	if !p.on(ruleMarker) || isParkKey(key) {
		return nothing, false
	}
	for prefix := parentKey(key); prefix != ""; prefix = parentKey(prefix) {
		if p.keptBy(prefix, key) {
			return nothing, false
		}
		dir, ok := p.wanter(prefix)
		if !ok {
			continue
		}
		if dir.Occupied || p.f.Refused(prefix) {
			return nothing, false // what is there keeps it, or it cannot be had
		}
		if wait, busy := p.busy(prefix); busy {
			return wait, true
		}
		return Action{Kind: Send, Pend: index.Pend{
			Key: prefix, Op: index.Put, Ino: dir.Ino, Gen: dir.Gen, AttrVer: dir.AttrVer, XattrVer: dir.XattrVer,
		}}, true
	}
	return nothing, false
}

// keptBy reports whether the bucket holds an object below a prefix, its marker included, that is not key and not being deleted.
func (p *planner) keptBy(prefix, key string) bool {
	kept := false
	err := p.v.ObjectsUnder(prefix, func(o index.Object) bool {
		if o.Key == key {
			return true
		}
		q, pending := p.pend(o.Key)
		kept = !pending || q.Op != index.Delete
		return !kept && p.err == nil
	})
	return p.keep(err) && kept
}

// parentKey is the key of the directory that a key is in; "" is the root.
func parentKey(key string) string {
	key = strings.TrimSuffix(key, "/")
	return key[:strings.LastIndexByte(key, '/')+1]
}
