package converge

import (
	"maps"
	"slices"

	"github.com/ossencfs/ossencfs/cache/index"
)

// turn is the place of an inode's content in the order of new names: its state, and before that the ends of states that can no
// longer be had because content of them was lost, latest first.
type turn []uint64

// turnOf finds the turn of a state s. What was made while lost content existed comes after what was there when it went, because it may refer to
// what took its place. That is most probably near to it: what was made in the same directory, or below, keeps its number.
func (p *planner) turnOf(i *index.Inode, s uint64) turn {
	ends := map[index.Ino]uint64{}
	err := p.v.Lost(s, func(from, to uint64, dir index.Ino) bool {
		if from < s {
			if !p.isBelow(i, dir) {
				ends[dir] = max(ends[dir], to)
			}
		}
		return true
	})
	p.keep(err)
	t := slices.Sorted(maps.Values(ends))
	slices.Reverse(t)
	return append(t, s)
}

func (p *planner) isBelow(i *index.Inode, dir index.Ino) bool {
	for at, n := i.Parent, 0; at != 0 && n < index.MaxKey; n++ {
		if at == dir {
			return true
		}
		if at == index.Root {
			return false
		}
		up, ok := p.inode(at)
		if !ok {
			return false
		}
		at = up.Parent
	}
	return false
}

// whole is the first state from s on that can still be had: content of those between was lost.
func (p *planner) whole(s uint64) uint64 {
	end := s
	p.keep(p.v.Lost(s, func(from, to uint64, _ index.Ino) bool {
		if from < s {
			end = to
		}
		return true
	}))
	return end
}

// bulky is the size from which content is taken to be data that other data does not refer to.
const bulky = 1 << 20

// published lets content under a new name wait that programs gave it when all before was there: by a rename, or after an fsync. What
// it may refer to has to be in the bucket first.
func (p *planner) published(w *index.Inode) (Action, bool) {
	m, ok := p.firstBefore(w)
	if !ok {
		return nothing, false
	}
	path, _ := p.v.Path(m.Ino)
	if !m.Sealed {
		a := p.sealLate(path, &m)
		a.Publish = a.Kind == Wait
		return a, true
	}
	wait := waitFor(path)
	if at := p.settled(path, &m); p.f.Now < at {
		wait.At = at
	}
	wait.Publish, wait.Seq = true, p.since(w)
	return wait, true
}

// firstBefore is content that has to be in the bucket before w may appear under a new name.
func (p *planner) firstBefore(w *index.Inode) (m index.Inode, ok bool) {
	if !w.Refers && !w.Synced || w.IsDir() || !p.on(rulePublish) {
		return m, false
	}
	own, seen := p.turnOf(w, p.since(w)), 0
	err := p.v.Unsent(func(first uint64, ino index.Ino) bool {
		if first >= own[0] {
			return false
		}
		if x, there := p.inode(ino); there && ino != w.Ino && !x.IsDir() && p.before(&x, w, own) {
			m, ok = x, true
			return false
		}
		if !p.f.Refusing || !p.refusedAt(ino) {
			seen++
		}
		return seen < window && p.err == nil
	})
	if p.keep(err) && !ok {
		return p.firstNameless(w, own)
	}
	return m, ok
}

// firstNameless is firstBefore for content that is in the bucket, but under another name yet: it was parked, or renamed since.
func (p *planner) firstNameless(w *index.Inode, own turn) (m index.Inode, ok bool) {
	seen := 0
	err := p.v.Gone(func(_ uint64, key string) bool {
		if p.excused(key) {
			return true
		}
		seen++
		h, recorded := p.object(key)
		if x, there := p.inode(h.Ino); recorded && there && x.Ino != w.Ino && !x.IsDir() {
			path, linked := p.v.Path(x.Ino)
			if named, _ := p.object(path); linked && named.Ino != x.Ino && p.before(&x, w, own) {
				m, ok = x, true
				return false
			}
		}
		return seen < window && p.err == nil
	})
	return m, p.keep(err) && ok
}

// before reports whether content of x has to be in the bucket before that of w.
func (p *planner) before(x, w *index.Inode, own turn) bool {
	if x.Size >= bulky && w.Size >= bulky || x.Parent == w.Parent && !w.Synced && !p.fansOut(w.Parent) {
		return false
	}
	path, linked := p.v.Path(x.Ino)
	if !linked || p.f.Refused(path) {
		return false
	}
	h, recorded := p.object(path)
	s := p.since(x)
	if recorded && h.Ino != x.Ino {
		s = max(s, p.givenUp(&h))
	}
	if slices.Compare(p.turnOf(x, s), own) >= 0 {
		return false
	}
	u, needed := p.needs(&h, recorded)
	return !needed || u.Ino == x.Ino // otherwise it waits for that one to move, which may wait for w
}

// fansOut reports whether files in a directory are not alike only because they are in one.
func (p *planner) fansOut(dir index.Ino) bool {
	i, ok := p.inode(dir)
	return ok && i.FansOut()
}
