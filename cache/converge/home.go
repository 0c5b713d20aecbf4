package converge

import (
	"cmp"
	"slices"

	"github.com/ossencfs/ossencfs/cache/index"
)

// pinned is R6: a key that an unanswered copy reads from is not written. The answer tells what to wait for.
func (p *planner) pinned(key string) (Action, bool) {
	if !p.on(rulePin) {
		return nothing, false
	}
	copies, err := p.v.PendsFrom(key)
	if !p.keep(err) {
		return nothing, true
	}
	var wait []string
	for _, q := range copies {
		if !q.Void && (!q.Answered || p.f.Now < q.Fence) {
			wait = append(wait, q.Key)
		}
	}
	if len(wait) == 0 {
		return nothing, false
	}
	return waitFor(wait...), true
}

// readable reports whether what is recorded for a key can be relied upon: no unanswered write is on it.
func (p *planner) readable(key string) bool {
	q, pending := p.pend(key)
	return !pending || q.Answered || q.Void || !p.on(ruleReadable)
}

// home is R5: the key that keeps the present content of an inode in the bucket. Its own key is preferred, then its parking key,
// then the first one.
func (p *planner) home(i *index.Inode) (index.Object, bool) {
	rows, err := p.v.ObjectsOf(i.Ino)
	if !p.keep(err) || len(rows) == 0 {
		return index.Object{}, false
	}
	path, linked := p.v.Path(i.Ino)
	best, rank := index.Object{}, 0
	for _, o := range rows {
		r := 1
		switch {
		case linked && o.Key == path:
			r = 3
		case isParkKey(o.Key):
			r = 2
		}
		if o.Gen == i.Gen && r > rank && p.readable(o.Key) {
			best, rank = o, r
		}
	}
	return best, rank > 0
}

// needs is R5: the inode whose home a row is. Such a key is neither overwritten nor deleted, whatever the cache holds. So is
// the newest old version of a file with a name, as long as the present one is nowhere in the bucket.
func (p *planner) needs(h *index.Object, recorded bool) (index.Inode, bool) {
	if !recorded || !p.on(ruleNeeds) {
		return index.Inode{}, false
	}
	v, ok := p.inode(h.Ino)
	if !ok || v.IsDir() {
		return index.Inode{}, false
	}
	if h.Gen != v.Gen {
		return v, p.on(ruleOldStays) && p.lastVersion(h, &v)
	}
	s, ok := p.home(&v)
	return v, ok && s.Key == h.Key && p.lives(&v)
}

// lastVersion reports whether a row is all that the bucket has of a file with a name.
func (p *planner) lastVersion(h *index.Object, v *index.Inode) bool {
	path, linked := p.v.Path(v.Ino)
	if !linked || path == h.Key {
		return false
	}
	rows, err := p.v.ObjectsOf(v.Ino)
	if !p.keep(err) {
		return true
	}
	for _, o := range rows {
		newer := o.Gen > h.Gen || o.Gen == h.Gen && o.Key < h.Key
		if o.Key != h.Key && newer && p.readable(o.Key) {
			return false
		}
	}
	return true
}

// lives reports whether content of an inode must stay readable: it has a name, or it is open and not whole in the cache.
func (p *planner) lives(i *index.Inode) bool {
	if _, linked := p.v.Path(i.Ino); linked {
		return true
	}
	return p.f.Open(i.Ino) && !i.Cached()
}

// unblock is R8: the key is the home of v, which has to move first. The chain of inodes that wait for each other is followed to
// one that can move, or that is parked because the chain is a cycle or ends in an inode without a name.
func (p *planner) unblock(key string, v *index.Inode) Action {
	chain := []index.Inode{*v}
	for {
		cur := chain[len(chain)-1]
		path, linked := p.v.Path(cur.Ino)
		if !linked {
			return p.park(key, chain[len(chain)-1:])
		}
		if p.f.Refused(path) {
			return p.park(key, chain[len(chain)-1:]) // it can move nowhere else
		}
		if _, busy := p.pend(path); busy {
			return waitFor(key, path)
		}
		if a, pinned := p.pinned(path); pinned {
			return a
		}
		h, recorded := p.object(path)
		u, needed := p.needs(&h, recorded)
		if !needed || u.Ino == cur.Ino {
			if !cur.Sealed {
				return p.sealLate(path, &cur)
			}
			return p.leaves(key, &cur) // the plan of its own key does it
		}
		if n := find(chain, u.Ino); n >= 0 {
			return p.park(key, chain[n:])
		}
		chain = append(chain, u)
	}
}

func find(chain []index.Inode, ino index.Ino) int {
	for n := range chain {
		if chain[n].Ino == ino {
			return n
		}
	}
	return -1
}

// park opens a cycle: its inode with the smallest number that can be parked is, from its home or from the local cache.
func (p *planner) park(key string, cycle []index.Inode) Action {
	if !p.on(ruleUnblock) {
		return waitFor(key)
	}
	slices.SortFunc(cycle, func(a, b index.Inode) int { return cmp.Compare(a.Ino, b.Ino) })
	wait := waitFor(key)
	for n := range cycle {
		victim := &cycle[n]
		s, ok := p.home(victim)
		if ok && isParkKey(s.Key) {
			return waitFor(key, s.Key) // it has made room already
		}
		if ok {
			return p.parkCopy(victim, &s)
		}
		if victim.Cached() {
			return p.parkPut(victim)
		}
		if a := p.sealLate(key, victim); a.Kind == Seal {
			return a
		} else if !victim.Sealed && (wait.At == 0 || a.At < wait.At) {
			wait.At, wait.Open = a.At, true
		}
	}
	return wait
}

// sealLate has content sealed that others wait for and that is open for writing for a long time, or while they are not to wait.
func (p *planner) sealLate(key string, i *index.Inode) Action {
	if i.Sealed {
		return waitFor(key)
	}
	at := max(i.ChangedAt, i.ClosedAt) + int64(p.f.LateSettle)
	if p.f.Now < at && !p.f.Urgent(key) {
		return Action{Kind: Wait, At: at, Keys: []string{key}, Open: true}
	}
	return Action{Kind: Seal, Ino: i.Ino}
}

// parkCopy copies an inode from its home to its parking key, which is its home then.
func (p *planner) parkCopy(victim *index.Inode, s *index.Object) Action {
	key := p.f.ParkKey(victim.Ino, s.Gen)
	if wait, busy := p.busy(key); busy {
		return wait
	}
	return Action{Kind: Send, Pend: index.Pend{
		Key: key, Op: index.Copy, Ino: victim.Ino, Gen: s.Gen, AttrVer: victim.AttrVer, XattrVer: s.XattrVer,
		Src: s.Key, SrcETag: s.ETag, IfAbsent: true,
	}}
}

// parkPut uploads an inode to its parking key.
func (p *planner) parkPut(m *index.Inode) Action {
	key := p.f.ParkKey(m.Ino, m.Gen)
	if wait, busy := p.busy(key); busy {
		return wait
	}
	return Action{Kind: Send, Pend: index.Pend{
		Key: key, Op: index.Put, Ino: m.Ino, Gen: m.Gen, AttrVer: m.AttrVer, XattrVer: m.XattrVer, IfAbsent: true,
	}}
}

// rescue parks content that is nowhere in the bucket when its own key was refused repeatedly, or once while somebody waits for it: it is safe
// there, and nobody need wait any longer.
func (p *planner) rescue(own *index.Pend) (Action, bool) {
	if own.Attempts < 2 && !p.f.Urgent(own.Key) || !p.f.Refused(own.Key) || isParkKey(own.Key) || !p.on(rulePark) {
		return nothing, false
	}
	w, wanted := p.wanter(own.Key)
	if !wanted || w.IsDir() || !w.Sealed || !w.Cached() {
		return nothing, false
	}
	if _, home := p.home(&w); home {
		return nothing, false
	}
	a := p.parkPut(&w)
	return a, a.acts()
}

// wantsParking reports whether a parking that had no effect is still needed: the content is nowhere in the bucket, and its own key is refused.
func (p *planner) wantsParking(own *index.Pend) bool {
	i, ok := p.inode(own.Ino)
	path, linked := p.v.Path(own.Ino)
	if !ok || !linked || own.Op != index.Put || i.Gen != own.Gen || i.AttrVer != own.AttrVer || i.XattrVer != own.XattrVer || !i.Sealed || !i.Cached() {
		return false
	}
	_, home := p.home(&i)
	return !home && p.f.Refused(path)
}

// busy reports whether nothing may be written to a key now, and what to wait for.
func (p *planner) busy(key string) (Action, bool) {
	if _, pending := p.pend(key); pending {
		return waitFor(key), true
	}
	return p.pinned(key)
}
