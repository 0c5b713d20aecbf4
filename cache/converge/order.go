package converge

import (
	"math"

	"github.com/ossencfs/ossencfs/cache/index"
)

// since is the sequence number of the state that an inode wants to have: the last change of its content or of any name on the
// way to it. A request that carries it and destroys something must not overtake content that was committed before.
func (p *planner) since(i *index.Inode) uint64 {
	s := max(i.CommitSeq, i.PathSeq)
	for at, n := i.Parent, 0; at != index.Root && at != 0 && n < index.MaxKey; n++ {
		dir, ok := p.inode(at)
		if !ok {
			break
		}
		s = max(s, dir.PathSeq)
		at = dir.Parent
	}
	return s
}

// givenUp is the sequence number of the state in which nobody wants what a row holds any more.
func (p *planner) givenUp(h *index.Object) uint64 {
	s := h.GoneSeq
	if v, exists := p.inode(h.Ino); exists && !v.Unlinked {
		s = max(s, p.since(&v))
	}
	if s == 0 {
		return math.MaxUint64 // nobody knows
	}
	return s
}

// firstUnsent is the oldest content that the bucket does not hold yet, of any inode with a name but one.
func (p *planner) firstUnsent(except index.Ino) (seq uint64, m index.Inode, ok bool) {
	err := p.v.Unsent(func(s uint64, ino index.Ino) bool {
		if ino == except {
			return true
		}
		i, there := p.inode(ino)
		if !there || i.IsDir() {
			return p.err == nil
		}
		if _, linked := p.v.Path(ino); !linked {
			return p.err == nil
		}
		seq, m, ok = s, i, true
		return false
	})
	return seq, m, p.keep(err) && ok
}

// ordered is the order rule: a destructive request of the state s waits while older content of another inode is not in the
// bucket. When that content waits itself because of the order, it is parked (R10).
func (p *planner) ordered(key string, s uint64, except index.Ino) (Action, bool) {
	if !p.on(ruleOrder) {
		return nothing, false
	}
	seq, m, ok := p.firstUnsent(except)
	if !ok || seq >= s {
		return nothing, false
	}
	// The oldest of all decides, not the oldest but one: only so somebody can always go on.
	if first, oldest, found := p.firstUnsent(0); found && first < seq {
		m = oldest
	}
	a := p.hurry(key, &m)
	if a.Kind == Wait {
		a.Order, a.Seq = true, s
	}
	return a, true
}

// hurry says what the oldest unsent content needs.
func (p *planner) hurry(key string, m *index.Inode) Action {
	path, linked := p.v.Path(m.Ino)
	if !linked {
		return waitFor(key)
	}
	if !m.Sealed {
		return p.sealLate(path, m)
	}
	if at := p.settled(path, m); p.f.Now < at {
		return Action{Kind: Wait, At: at, Keys: []string{path}}
	}
	if _, busy := p.pend(path); busy || !m.Cached() || !p.on(rulePark) || !p.stuck(path, m) {
		return waitFor(path)
	}
	return p.parkPut(m)
}

// stuck reports whether the PUT of m to its own key has to wait by the order rule: its own, or that of a move that must free
// the key first.
func (p *planner) stuck(path string, m *index.Inode) bool {
	cur := *m
	seen := map[index.Ino]bool{}
	for {
		h, recorded := p.object(path)
		if recorded && (h.Ino != cur.Ino || h.Gen != cur.Gen) {
			if seq, _, ok := p.firstUnsent(cur.Ino); ok && seq < max(p.since(&cur), p.givenUp(&h)) {
				return true
			}
		}
		u, needed := p.needs(&h, recorded)
		if !needed || u.Ino == cur.Ino || seen[u.Ino] {
			return false
		}
		next, linked := p.v.Path(u.Ino)
		if !linked {
			return false // R8 parks it
		}
		seen[u.Ino] = true
		cur, path = u, next
	}
}
