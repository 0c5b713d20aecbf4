package converge

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// execute lets the store do a request.
func (w *world) execute(r *simRequest) {
	if r.executed >= 2 || r.lost && w.now > r.expires {
		return
	}
	if w.forbidden[r.pend.Key] {
		w.refuse(r)
		return
	}
	r.executed++
	p := &r.pend
	old, there := w.store[p.Key]
	created := simObject{content: r.content, attr: p.AttrVer, xattr: p.XattrVer, upload: p.Upload, moves: r.moves}
	r.status = 200
	switch p.Op {
	case index.Delete:
		delete(w.store, p.Key)
		w.destroyed(p, old, there)
		return
	case index.Tag:
		if !there {
			r.status = 404
			return
		}
		// A tag of another generation is ignored by readers; other programs' objects all have none.
		if old.content == r.content || w.theirs[old.content] && w.theirs[r.content] {
			old.attr, old.upload = p.AttrVer, p.Upload
			w.store[p.Key] = old
		}
		return
	case index.Copy:
		src, found := w.store[p.Src]
		if !found {
			r.status = 404
			return
		}
		if src.etag != p.SrcETag && w.without != rulePin { // with conditions on the source the rule only saves time
			r.status = 412
			return
		}
		created.content, created.xattr = src.content, src.xattr
	}
	if p.IfAbsent && there {
		r.status = 409
		return
	}
	created.etag = fmt.Sprintf("e%d", created.content)
	w.store[p.Key] = created
	w.destroyed(p, old, there)
}

// answer tells the converger the last result.
func (w *world) answer(r *simRequest) {
	if r.executed == 0 || r.lost {
		return
	}
	w.requests = slices.DeleteFunc(w.requests, func(q *simRequest) bool { return q == r })
	p, ok := w.idx.pends[r.pend.Key]
	if !ok || p.Upload != r.pend.Upload {
		return // only with a rule left out
	}
	info := object.Info{Size: 1, ETag: w.store[p.Key].etag, State: object.StateAuthentic}
	if w.without == ruleSent {
		p.Gen, p.AttrVer = w.idx.inodes[p.Ino].Gen, w.idx.inodes[p.Ino].AttrVer
	}
	switch {
	case r.status == 200:
		delete(w.refused, p.Key)
		w.must(answered(w.idx, p, info, w.now))
	case r.status == 409 && p.Op == index.Put && w.store[p.Key].upload == p.Upload:
		p.Fence = max(p.Fence, p.Until)
		w.must(answered(w.idx, p, info, w.now))
	default:
		w.must(failed(w.idx, p, w.now+w.late, true))
		if p.Op == index.Copy && !w.expected(p.Src) {
			w.importKey(p.Src)
		}
	}
}

// lose lets the client give up: the request lives on for a while.
func (w *world) lose(r *simRequest) {
	if r.lost {
		return
	}
	r.lost, r.expires = true, w.now+w.late-1
	if p, ok := w.idx.pends[r.pend.Key]; ok && p.Upload == r.pend.Upload {
		w.must(failed(w.idx, p, w.now+w.late, false))
	}
}

// forbid has the store refuse every write to a key, from now on or no longer.
func (w *world) forbid(key string) {
	if w.forbidden[key] = !w.forbidden[key]; !w.forbidden[key] {
		delete(w.forbidden, key)
	}
}

// permit ends all refusals.
func (w *world) permit() {
	clear(w.forbidden)
	clear(w.refused)
}

// refuse lets the store answer that it did nothing.
func (w *world) refuse(r *simRequest) {
	if r.executed > 0 || r.lost {
		return
	}
	w.requests = slices.DeleteFunc(w.requests, func(q *simRequest) bool { return q == r })
	if w.forbidden[r.pend.Key] {
		w.refused[r.pend.Key] = w.now + 20
	}
	if p, ok := w.idx.pends[r.pend.Key]; ok && p.Upload == r.pend.Upload {
		w.must(refused(w.idx, p))
	}
}

// crash ends the program; power also takes what was not synced.
func (w *world) crash(power bool) {
	for _, r := range w.requests {
		if !r.lost {
			r.lost, r.expires = true, w.now+w.late-1
		}
	}
	if power {
		w.idx = w.durable.clone()
		clear(w.inBucket)
	}
	w.open = map[index.Ino]int{}
	clear(w.refused)
	for _, ino := range slices.Sorted(maps.Keys(w.idx.inodes)) {
		i := w.idx.inodes[ino]
		switch {
		case i.Unlinked:
			w.idx.leaveKeys(ino)
			delete(w.idx.inodes, ino)
		case !i.Sealed:
			w.close(ino)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(w.idx.pends)) {
		w.must(rearm(w.idx, w.idx.pends[key], w.now+w.late))
	}
	w.sync()
}

// outside lets somebody else write a key, never while a request of ours for it or from it may be executed.
func (w *world) outside(key string, remove bool) {
	if isParkKey(key) || strings.HasSuffix(key, "/") || key == "" {
		return
	}
	for _, r := range w.requests {
		if (r.pend.Key == key || r.pend.Src == key) && (!r.lost || w.now <= r.expires) {
			return
		}
	}
	for _, p := range w.idx.pends {
		if !p.Void && (p.Src == key || p.Key == key && w.now < p.Until) {
			return
		}
	}
	old, there := w.store[key]
	if h, recorded := w.idx.objects[key]; there && recorded {
		i := w.idx.inodes[h.Ino]
		path, _ := w.idx.Path(h.Ino)
		if path != key || i.CachedGen != i.Gen || i.Gen != h.Gen {
			return // they would destroy the only copy themselves: nothing can be promised
		}
	}
	if there {
		w.supersede(old.content, 0)
		delete(w.foreign, old.content)
	}
	if remove {
		delete(w.store, key)
		return
	}
	w.contents++
	w.store[key] = simObject{content: w.contents, etag: fmt.Sprintf("e%d", w.contents), outside: true}
	w.foreign[w.contents], w.theirs[w.contents] = true, true
}
