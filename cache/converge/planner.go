package converge

import (
	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// Plan says what to do next about a key. It reads only, and returns the same for the same state: the simulation in this package
// found its rules and tests them. The intent of a Send must be written in the transaction that v belongs to.
func Plan(v View, key string, f *Facts) (Action, error) {
	p := &planner{v: v, f: f}
	a := p.plan(key)
	if p.err != nil {
		return Action{}, p.err
	}
	return a, nil
}

// planner is one look at one key. Errors of the view stick.
type planner struct {
	v   View
	f   *Facts
	err error
}

func (p *planner) on(r rule) bool { return p.f.without != r }

func (p *planner) keep(err error) bool {
	if p.err == nil && err != nil {
		p.err = err
	}
	return p.err == nil
}

func (p *planner) inode(ino index.Ino) (index.Inode, bool) {
	i, ok, err := p.v.Inode(ino)
	return i, p.keep(err) && ok
}

func (p *planner) object(key string) (index.Object, bool) {
	o, ok, err := p.v.Object(key)
	return o, p.keep(err) && ok
}

func (p *planner) pend(key string) (index.Pend, bool) {
	q, ok, err := p.v.Pend(key)
	return q, p.keep(err) && ok
}

func (p *planner) wanter(key string) (index.Inode, bool) {
	ino, ok, err := p.v.Resolve(key)
	if !p.keep(err) || !ok {
		return index.Inode{}, false
	}
	return p.inode(ino)
}

// plan is R1 to R4: a key with an intent is closed until the outcome is certain.
func (p *planner) plan(key string) Action {
	own, pending := p.pend(key)
	if !pending || !p.on(ruleSerial) && !p.f.Flying(key) {
		return p.want(key, false)
	}
	if p.f.Flying(key) {
		return waitFor(key)
	}
	if a, refused := p.rescue(&own); refused {
		return a
	}
	now := p.f.Now
	switch {
	case own.Void:
		return p.void(key, &own)
	case own.Answered:
		if now >= own.Fence || !p.on(ruleRefence) {
			return Action{Kind: Forget, Pend: own}
		}
		return waitUntil(own.Fence)
	case now >= own.Until || !p.on(ruleFence):
		if at := p.f.RetryAt(key); now < at {
			return waitUntil(at)
		}
		return Action{Kind: Look, Pend: own}
	case !own.Error:
		if a := p.want(key, true); a.sameEffect(&own) {
			if at := p.f.RetryAt(key); now < at {
				return waitUntil(min(at, own.Until))
			}
			return p.repeat(&own)
		}
	}
	return waitUntil(own.Until)
}

// void says what becomes of a request that had no effect: it is sent again if the same is still wanted, and otherwise forgotten.
func (p *planner) void(key string, own *index.Pend) Action {
	a := p.want(key, true)
	if isParkKey(key) && p.wantsParking(own) {
		a = Action{Kind: Send, Pend: *own}
	}
	same := a.sameEffect(own) && a.Pend.IfAbsent == own.IfAbsent
	if at := p.f.RetryAt(key); p.f.Now < at && (same || a.acts()) {
		return waitUntil(at)
	}
	if same {
		return p.repeat(own)
	}
	return Action{Kind: Forget, Pend: *own}
}

// repeat sends a request again. Somebody else may have been at the key since the look before its first attempt.
func (p *planner) repeat(own *index.Pend) Action {
	h, recorded := p.object(own.Key)
	return Action{
		Kind: Resend, Pend: *own,
		Verify: recorded && (!index.IsDirKey(own.Key) || p.onlyMoved(own.Ino, &h)) && !p.f.Exclusive && p.on(ruleLook),
	}
}

func (p *planner) onlyMoved(ino index.Ino, h *index.Object) bool {
	i, ok := p.inode(ino)
	return ok && i.OnlyMoved(h)
}

// want says what the key needs when no request of ours for it is under way, or only the one that is to be repeated (again).
func (p *planner) want(key string, again bool) Action {
	if a, pinned := p.pinned(key); pinned {
		return a
	}
	h, recorded := p.object(key)
	w, wanted := p.wanter(key)
	if !recorded && (!wanted || w.IsDir() && !w.WantsMarker()) {
		return nothing // a directory without a marker lives by what is in it
	}
	if wanted && recorded && holds(&h, &w) {
		return nothing
	}
	if wanted && !w.Sealed && !w.IsDir() {
		return Action{Kind: Wait, Keys: []string{key}} // the seal queues the key
	}
	if v, needed := p.needs(&h, recorded); needed && (!wanted || v.Ino != w.Ino) {
		if !wanted {
			return p.leaves(key, &v)
		}
		return p.unblock(key, &v)
	}
	if !wanted {
		return p.remove(key, &h, again)
	}
	a := p.deliver(key, &w, &h, recorded)
	if a.Kind != Send {
		return a
	}
	return p.allow(a, &w, &h, recorded, again)
}

// holds reports whether a row is exactly what an inode wants.
func holds(h *index.Object, w *index.Inode) bool {
	return h.Ino == w.Ino && h.Gen == w.Gen && h.AttrVer == w.AttrVer && h.XattrVer == w.XattrVer && (w.Sealed || w.IsDir())
}

// leaves waits until an inode has moved its content away from a key by itself: to its own, or to be parked.
func (p *planner) leaves(key string, v *index.Inode) Action {
	if path, ok := p.v.Path(v.Ino); ok {
		return waitFor(key, path, p.f.ParkKey(v.Ino, v.Gen))
	}
	return waitFor(key)
}

// deliver chooses how the content and attributes of w come to a key that is free for it.
func (p *planner) deliver(key string, w *index.Inode, h *index.Object, recorded bool) Action {
	q := index.Pend{Key: key, Op: index.Put, Ino: w.Ino, Gen: w.Gen, AttrVer: w.AttrVer, XattrVer: w.XattrVer, IfAbsent: !recorded}
	send := Action{Kind: Send, Pend: q}
	if w.IsDir() {
		send.Pend.IfAbsent = false
		if recorded && h.Ino == w.Ino && h.XattrVer == w.XattrVer && h.State == object.StateSealed && w.Unproven&object.AllFields != 0 {
			send.Pend.Op = index.Tag // a new marker would sign what this host has only heard of
		}
		return send
	}
	if recorded && h.Ino == w.Ino && h.Gen == w.Gen {
		if h.XattrVer == w.XattrVer && !p.tightens(key, h, w) && !p.anew(key, h) {
			send.Pend.Op, send.Pend.IfAbsent = index.Tag, false
			return send
		}
		return p.put(send, w)
	}
	s, ok := p.home(w)
	if ok && s.Key != key && s.XattrVer == w.XattrVer && !p.tightens(key, &s, w) && !p.anew(key, &s) {
		send.Pend.Op, send.Pend.Src, send.Pend.SrcETag = index.Copy, s.Key, s.ETag
		return send
	}
	if !ok && !w.Cached() {
		return p.homeless(key, w)
	}
	return p.put(send, w)
}

// tightens reports whether a change of attributes is sent with the content, in headers and box, instead of as a tag: one that took rights away from
// a small file. Who may write to the bucket can take a tag away, and the attributes of before would count again. Where the service keeps the content
// from being read or replaced, a tag is all that there is.
func (p *planner) tightens(key string, h *index.Object, w *index.Inode) bool {
	return h.AttrVer < w.Tight && h.State == object.StateAuthentic && w.Size <= object.SmallFile && !p.f.Refused(key)
}

// anew reports whether an object of ours is stored anew because a tag or a copy of it was refused for what it is. What others wrote is not: it would
// become ours.
func (p *planner) anew(key string, h *index.Object) bool {
	return p.f.Refusing && h.State == object.StateAuthentic && p.f.Whole(key)
}

// put sends content from the local cache, where it must be.
func (p *planner) put(send Action, w *index.Inode) Action {
	if w.Cached() {
		return send
	}
	return Action{Kind: Fetch, Ino: w.Ino}
}

// homeless waits for the fence of the key that holds the content, or will hold it.
func (p *planner) homeless(key string, w *index.Inode) Action {
	rows, err := p.v.ObjectsOf(w.Ino)
	if !p.keep(err) {
		return nothing
	}
	wait := waitFor(key)
	for _, o := range rows {
		wait.Keys = append(wait.Keys, o.Key)
	}
	return wait
}

// allow holds a request back until the file is quiet and the order rule lets it go.
func (p *planner) allow(a Action, w *index.Inode, h *index.Object, recorded, again bool) Action {
	if again {
		return a
	}
	key := a.Pend.Key
	if at := p.settled(key, w); p.f.Now < at {
		return Action{Kind: Wait, At: at, Settle: true}
	}
	if recorded && !w.IsDir() {
		a.Verify = !p.f.Exclusive && p.on(ruleLook)
		if h.Ino != w.Ino || h.Gen != w.Gen {
			if hold, held := p.ordered(key, max(p.since(w), p.givenUp(h)), w.Ino); held {
				return hold
			}
		}
	} else if recorded {
		a.Verify = w.OnlyMoved(h) && !p.f.Exclusive && p.on(ruleLook) // nobody has set what else the marker says: it stays as others set it
	} else {
		if hold, held := p.published(w); held {
			return hold
		}
	}
	return a
}

// remove deletes what nobody wants or needs (R7).
func (p *planner) remove(key string, h *index.Object, again bool) Action {
	a := Action{Kind: Send, Pend: index.Pend{Key: key, Op: index.Delete, Ino: h.Ino}, Verify: !p.f.Exclusive && p.on(ruleLook)}
	if again {
		return a
	}
	if at := p.quiet(key); p.f.Now < at {
		return Action{Kind: Wait, At: at, Settle: true}
	}
	if hold, held := p.ordered(key, p.givenUp(h), h.Ino); held {
		return hold
	}
	if marker, first := p.movedMarker(h); first {
		return marker
	}
	if marker, first := p.markerFirst(key); first {
		return marker
	}
	return a
}
