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
		return putMarker(prefix, &dir), true
	}
	return nothing, false
}

// putMarker stores the marker of a directory under a key.
func putMarker(key string, dir *index.Inode) Action {
	return Action{Kind: Send, Pend: index.Pend{Key: key, Op: index.Put, Ino: dir.Ino, Gen: dir.Gen, AttrVer: dir.AttrVer, XattrVer: dir.XattrVer}}
}

// movedMarker looks whether a key is the marker of a directory that was renamed and has none under its new name yet. That is PUT first then: what
// others set for the marker is taken from the one that goes.
func (p *planner) movedMarker(h *index.Object) (Action, bool) {
	dir, ok := p.inode(h.Ino)
	if !ok || !dir.IsDir() || !dir.WantsMarker() || p.f.Exclusive {
		return nothing, false
	}
	path, linked := p.v.Path(dir.Ino)
	if !linked || path == h.Key || p.f.Refused(path) {
		return nothing, false
	}
	if there, recorded := p.object(path); recorded && there.Ino == dir.Ino {
		return nothing, false
	}
	if wait, busy := p.busy(path); busy {
		return wait, true
	}
	return putMarker(path, &dir), true
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
