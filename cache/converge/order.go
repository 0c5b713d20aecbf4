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
	return max(s, p.goneWith(h.Key))
}

// goneWith is when the outermost directory of a key went that is gone: what is below it goes with it, in any order.
func (p *planner) goneWith(key string) uint64 {
	for n, sign := range []byte(key) {
		if sign != '/' || n == len(key)-1 {
			continue
		}
		if _, there := p.wanter(key[:n+1]); there {
			continue
		}
		dir, _ := p.object(key[:n+1])
		return dir.GoneSeq
	}
	return 0
}

// window is how much of what waits is looked at for one plan, besides what the bucket refuses.
const window = 64

// excused reports whether the bucket refuses a key, or what would free it.
func (p *planner) excused(key string) bool { return p.f.Refusing && p.f.Excused(key) }

// refusedAt reports whether the bucket refuses the key of an inode.
func (p *planner) refusedAt(ino index.Ino) bool {
	path, linked := p.v.Path(ino)
	return linked && p.f.Refused(path)
}

// pending is the number of the state in which a row was to go, when a request for that is due and waits for nothing but older ones.
func (p *planner) pending(h *index.Object) (seq uint64, ok bool) {
	w, wanted := p.wanter(h.Key)
	if wanted && (w.Ino == h.Ino || w.IsDir()) || p.f.Refused(h.Key) {
		return 0, false
	}
	seq = p.givenUp(h)
	if wanted {
		seq = max(seq, p.since(&w))
	}
	seq = p.whole(seq)
	v, exists := p.inode(h.Ino)
	if !exists {
		return seq, true
	}
	path, linked := p.v.Path(v.Ino)
	if !linked || p.f.Refused(path) {
		return 0, false // open, and perhaps for ever
	}
	there, recorded := p.object(path)
	if !recorded || there.Ino == v.Ino {
		return seq, true
	}
	_, needed := p.needs(&there, true)
	return seq, !needed && p.whole(p.givenUp(&there)) <= seq // otherwise its own move is held back by later ones
}

// firstGone is the oldest state that a row had to go in, after a number, and is not gone yet.
func (p *planner) firstGone(after uint64) (h index.Object, seq uint64, ok bool) {
	seen := 0
	err := p.v.Gone(func(s uint64, key string) bool {
		if ok && s >= seq {
			return false
		}
		if p.excused(key) {
			return true
		}
		row, recorded := p.object(key)
		if !recorded || row.GoneSeq != s { // it will be there when the request for it is answered
			q, _ := p.pend(key)
			row = index.Object{Key: key, Ino: q.Ino, Gen: q.Gen, GoneSeq: s}
		}
		if at, due := p.pending(&row); due && at > after && (!ok || at < seq) {
			h, seq, ok = row, at, true
		}
		seen++
		return seen < window && p.err == nil
	})
	return h, seq, p.keep(err) && ok
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
	s = p.whole(s)
	seq, m, ok := p.firstUnsent(except)
	if !ok || seq >= s {
		return p.inTurn(key, s)
	}
	// The oldest of all decides, not the oldest but one: only so somebody can always go on.
	if first, oldest, found := p.firstUnsent(0); found && first < seq {
		seq, m = first, oldest
	}
	a := p.hurry(key, &m, seq)
	if a.Kind == Wait {
		a.Order, a.Seq = true, s
	}
	return a, true
}

// inTurn lets a destructive request of the state s wait for those of earlier states.
func (p *planner) inTurn(key string, s uint64) (Action, bool) {
	if !p.on(ruleInTurn) {
		return nothing, false
	}
	h, seq, ok := p.firstGone(0)
	if !ok || seq >= s || h.Key == key {
		return nothing, false
	}
	wait := waitFor(h.Key)
	if path, linked := p.v.Path(h.Ino); linked {
		wait.Keys = append(wait.Keys, path)
	}
	wait.Order, wait.Seq = true, s
	return wait, true
}

// hurry says what the oldest unsent content needs.
func (p *planner) hurry(key string, m *index.Inode, first uint64) Action {
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
	_, busy := p.pend(path)
	if p.on(rulePark) && m.Cached() && (p.f.Refused(path) || !busy && p.stuck(path, m, first)) {
		return p.parkPut(m)
	}
	return waitFor(path)
}

// stuck reports whether the PUT of m, whose number is first, to its own key has to wait by the order rule: its own, or that of a move
// that must free the key first.
func (p *planner) stuck(path string, m *index.Inode, first uint64) bool {
	cur := *m
	seen := map[index.Ino]bool{}
	for {
		h, recorded := p.object(path)
		if !recorded {
			if _, held := p.firstBefore(&cur); held {
				return true
			}
		}
		if recorded && (h.Ino != cur.Ino || h.Gen != cur.Gen) {
			s := p.whole(max(p.since(&cur), p.givenUp(&h)))
			if seq, _, ok := p.firstUnsent(cur.Ino); ok && seq < s {
				return true
			}
			if _, seq, ok := p.firstGone(first); ok && seq < s && p.on(ruleInTurn) {
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
