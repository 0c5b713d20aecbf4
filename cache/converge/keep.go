package converge

import (
	"context"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// keptFrom is the row of the object that a PUT takes the place of, whose tags, headers and storage class it goes on with: that of the same file or
// directory, under this key or the one that it had before, else what is replaced. A copy takes them along by itself.
func (p *planner) keptFrom(q *index.Pend) (h index.Object, ok bool) {
	h, ok = p.object(q.Key)
	if ok && h.Ino == q.Ino {
		return h, true
	}
	rows, err := p.v.ObjectsOf(q.Ino)
	if !p.keep(err) {
		return h, false
	}
	for n, o := range rows {
		if n == 0 || o.Gen > h.Gen {
			h, ok = o, true
		}
	}
	return h, ok
}

// kept finds what others said of that object. seen is what a look at the key itself has found already. Where nobody else writes
// nothing is looked at.
func (c *Converger) kept(q *index.Pend, seen *object.Info) (keep *object.Others, err error) {
	if q.Op != index.Put || c.o.Exclusive {
		return nil, nil //nolint:nilnil // nothing is kept
	}
	var h index.Object
	recorded := false
	err = c.o.DB.View(func(tx *index.Tx) error {
		p := &planner{v: tx, f: c.facts()}
		h, recorded = p.keptFrom(q)
		return p.err
	})
	if err != nil || !recorded {
		return nil, err
	}
	if seen == nil || h.Key != q.Key {
		ctx, cancel := context.WithTimeout(c.ctx, callTime)
		defer cancel()
		if seen, err = c.head(ctx, h.Key); ignoreAlien(err) != nil {
			return nil, err
		}
	}
	dir := index.IsDirKey(q.Key)
	switch {
	case seen == nil || !dir && h.Key != q.Key && !same(&h, seen):
		return nil, nil //nolint:nilnil // somebody else put another one there
	case dir || h.Gen == q.Gen:
		return seen.Others, nil
	}
	return seen.Others.ForNewContent(), nil
}
