package converge

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// simObject is an object of the abstract store.
type simObject struct {
	content     uint64
	attr, xattr uint64
	upload      index.ID
	etag        string
	outside     bool // written by somebody else
}

// simRequest is a request that was sent. Until its answer, or until expires when there is none, it may be executed, at most
// twice.
type simRequest struct {
	pend     index.Pend
	content  uint64
	executed int
	status   int // of the last execution
	lost     bool
	expires  int64
}

// world is one run: the index and what it would be after a power cut, the store, the requests, and what is true.
type world struct {
	idx, durable *simIndex
	open         map[index.Ino]int
	store        map[string]simObject
	requests     []*simRequest
	now          int64
	contents     uint64
	ids          uint64
	without      rule
	late         int64
	outsiders    bool
	powerCuts    bool // the tables of commits below know nothing of calls that a power cut took back

	commits    map[index.Ino][]simCommit // committed contents of each inode, oldest first
	superseded map[uint64]uint64         // content to the sequence number when the tree stopped to have it
	owner      map[uint64]index.Ino
	foreign    map[uint64]bool    // contents of outsiders that nobody may lose
	theirs     map[uint64]bool    // contents of outsiders
	inBucket   map[index.Ino]bool // directories that the bucket showed
	sent       map[index.Op]int
	failure    string
}

type simCommit struct{ seq, content uint64 }

func newWorld(without rule) *world {
	w := &world{
		idx: newSimIndex(), open: map[index.Ino]int{}, store: map[string]simObject{}, without: without, late: 25, now: 1,
		commits: map[index.Ino][]simCommit{}, superseded: map[uint64]uint64{}, owner: map[uint64]index.Ino{},
		foreign: map[uint64]bool{}, theirs: map[uint64]bool{}, inBucket: map[index.Ino]bool{}, sent: map[index.Op]int{},
	}
	w.durable = w.idx.clone()
	return w
}

func (w *world) fail(format string, args ...any) {
	if w.failure == "" {
		w.failure = fmt.Sprintf(format, args...)
	}
}

func (w *world) facts() *Facts {
	return &Facts{
		Now: w.now, Open: func(ino index.Ino) bool { return w.open[ino] > 0 },
		Flying:  func(key string) bool { return w.flying(key) != nil },
		RetryAt: func(string) int64 { return 0 }, Since: func(string) int64 { return 0 }, Urgent: func(string) bool { return true },
		without: w.without,
	}
}

// flying finds the request for a key whose answer is awaited.
func (w *world) flying(key string) *simRequest {
	for _, r := range w.requests {
		if r.pend.Key == key && !r.lost {
			return r
		}
	}
	return nil
}

func (w *world) sync() { w.durable = w.idx.clone() }

// The calls of programs.

func (w *world) file(name string) (index.Inode, bool) {
	ino, ok, _ := w.idx.Resolve(name)
	if !ok {
		return index.Inode{}, false
	}
	return w.idx.inodes[ino], true
}

// place splits a name into its directory, which must exist, and the last component.
func (w *world) place(name string) (index.Ino, string, bool) {
	dir, base, deep := strings.Cut(name, "/")
	if !deep {
		return index.Root, name, true
	}
	parent, ok, _ := w.idx.Resolve(dir + "/")
	return parent, base, ok
}

func (w *world) newContent(ino index.Ino, gen uint64) uint64 {
	w.contents++
	w.owner[w.contents] = ino
	w.idx.truth[gen] = w.contents
	return w.contents
}

// commit notes the truth: the content of ino was committed, and the one before it is superseded.
func (w *world) commit(ino index.Ino, seq, content uint64) {
	list := w.commits[ino]
	if n := len(list); n > 0 {
		if list[n-1].content == content {
			return
		}
		w.supersede(list[n-1].content, seq)
	}
	w.commits[ino] = append(list, simCommit{seq, content})
}

func (w *world) supersede(content, seq uint64) {
	if _, ok := w.superseded[content]; !ok {
		w.superseded[content] = seq
	}
}

func (w *world) create(name string) {
	parent, base, ok := w.place(name)
	if _, taken := w.idx.child(parent, base); !ok || taken {
		return
	}
	x := w.idx
	x.ino++
	x.gen++
	i := index.Inode{Ino: x.ino, Parent: parent, Name: base, Mode: fileMode, Size: 1, Gen: x.gen, CachedGen: x.gen, Sealed: true,
		AttrKnown: true, AttrVer: 1, PathSeq: x.nextSeq()}
	x.inodes[i.Ino] = i
	x.bodies[i.Gen] = w.newContent(i.Ino, i.Gen)
	w.close(i.Ino)
}

// close seals content and commits it.
func (w *world) close(ino index.Ino) {
	i := w.idx.inodes[ino]
	i.Sealed, i.CachedGen = true, i.Gen
	w.idx.inodes[ino] = i
	w.fsync(ino)
}

// fsync commits content, sealed or not.
func (w *world) fsync(ino index.Ino) {
	i := w.idx.inodes[ino]
	if i.Unlinked {
		return
	}
	if _, linked := w.idx.Path(ino); !linked {
		return
	}
	seq := w.idx.nextSeq()
	w.idx.noteUnsent(ino, seq)
	if !w.uploaded(ino) {
		w.commit(ino, seq, w.idx.bodies[i.Gen])
	}
}

func (w *world) uploaded(ino index.Ino) bool {
	for _, o := range w.idx.objects {
		if o.Ino == ino && o.Gen == w.idx.inodes[ino].Gen {
			return true
		}
	}
	return false
}

// beginWrite changes content in place; the file stays open.
func (w *world) beginWrite(name string) {
	i, ok := w.file(name)
	if !ok || i.IsDir() || i.CachedGen != i.Gen {
		return
	}
	w.idx.gen++
	i.Gen, i.Sealed = w.idx.gen, false
	w.idx.inodes[i.Ino] = i
	w.idx.bodies[i.Gen] = w.newContent(i.Ino, i.Gen)
	w.open[i.Ino] = max(w.open[i.Ino], 1)
}

func (w *world) endWrite(name string) {
	i, ok := w.file(name)
	if !ok || i.Sealed {
		return
	}
	delete(w.open, i.Ino)
	w.close(i.Ino)
}

func (w *world) openFile(name string) {
	if i, ok := w.file(name); ok && !i.IsDir() {
		w.open[i.Ino]++
	}
}

// closeFiles ends all openings, and the inodes that have no name.
func (w *world) closeFiles() {
	for _, ino := range slices.Sorted(maps.Keys(w.open)) {
		delete(w.open, ino)
		i, ok := w.idx.inodes[ino]
		switch {
		case !ok:
		case i.Unlinked:
			w.idx.leaveKeys(ino)
			delete(w.idx.inodes, ino)
		case !i.Sealed:
			w.close(ino)
		}
	}
}

// gone notes the truth about an inode that lost its name.
func (w *world) gone(ino index.Ino) {
	if list := w.commits[ino]; len(list) > 0 {
		w.supersede(list[len(list)-1].content, w.idx.seq+1)
	}
	for content, owner := range w.owner {
		if owner == ino {
			w.supersede(content, w.idx.seq+1)
		}
	}
	delete(w.inBucket, ino)
}

func (w *world) unlink(name string) {
	i, ok := w.file(name)
	if !ok || i.IsDir() {
		return
	}
	w.gone(i.Ino)
	w.idx.detach(i.Ino, w.open[i.Ino] > 0)
}

func (w *world) mkdir(name string) {
	if _, taken := w.idx.child(index.Root, name); taken {
		return
	}
	x := w.idx
	x.ino++
	x.gen++
	x.inodes[x.ino] = index.Inode{Ino: x.ino, Parent: index.Root, Name: name, Mode: dirMode, Gen: x.gen, Sealed: true, AttrKnown: true,
		AttrVer: 1, Marker: true, PathSeq: x.nextSeq()}
}

func (w *world) rmdir(name string) {
	i, ok := w.file(name + "/")
	if !ok {
		return
	}
	for _, c := range w.idx.inodes {
		if c.Parent == i.Ino && !c.Unlinked {
			return
		}
	}
	w.gone(i.Ino)
	w.idx.detach(i.Ino, false)
}

func (w *world) find(name string) (index.Inode, bool) {
	if i, ok := w.file(name); ok {
		return i, true
	}
	return w.file(name + "/")
}

func (w *world) rename(from, to string) {
	i, ok := w.find(from)
	parent, base, there := w.place(to)
	if !ok || !there || from == to || i.IsDir() && parent != index.Root {
		return
	}
	if j, taken := w.find(to); taken {
		if i.IsDir() || j.IsDir() {
			return
		}
		w.gone(j.Ino)
		w.idx.detach(j.Ino, w.open[j.Ino] > 0)
	}
	w.idx.leave(i.Ino)
	w.idx.arrive(i.Ino, parent, base)
	w.committedByRename(i.Ino)
}

// committedByRename notes the truth: a rename commits content like a close does.
func (w *world) committedByRename(ino index.Ino) {
	delete(w.inBucket, ino)
	i := w.idx.inodes[ino]
	if !i.IsDir() && !w.uploaded(ino) {
		w.commit(ino, i.PathSeq, w.idx.bodies[i.Gen])
	}
}

func (w *world) exchange(a, b string) {
	i, ok := w.find(a)
	j, there := w.find(b)
	if !ok || !there || i.Ino == j.Ino || (i.IsDir() && j.Parent == i.Ino) || (j.IsDir() && i.Parent == j.Ino) ||
		(i.IsDir() && j.Parent != index.Root) || (j.IsDir() && i.Parent != index.Root) {
		return
	}
	w.idx.leave(i.Ino)
	w.idx.leave(j.Ino)
	tmp := w.idx.inodes[i.Ino]
	tmp.Name = "\x00moving"
	w.idx.inodes[i.Ino] = tmp
	w.idx.arrive(j.Ino, i.Parent, i.Name)
	w.idx.arrive(i.Ino, j.Parent, j.Name)
	w.committedByRename(j.Ino)
	w.committedByRename(i.Ino)
}

func (w *world) chmod(name string) {
	if i, ok := w.find(name); ok {
		i.AttrVer++
		i.Marker = i.IsDir()
		w.idx.inodes[i.Ino] = i
	}
}

func (w *world) setXattr(name string) {
	if i, ok := w.find(name); ok {
		i.XattrVer++
		i.Marker = i.IsDir()
		w.idx.inodes[i.Ino] = i
	}
}

// evict is R9: a home that is recorded and readable, and a sync, before the bytes go.
func (w *world) evict(name string) {
	i, ok := w.file(name)
	if !ok || i.IsDir() || !i.Sealed || i.CachedGen != i.Gen {
		return
	}
	p := &planner{v: w.idx, f: w.facts()}
	p.f.without = noRule
	h, ok := p.home(&i)
	if !ok || w.outsiders && !w.expected(h.Key) {
		return // what others destroyed is gone: nothing can be promised
	}
	i.CachedGen = 0
	w.idx.inodes[i.Ino] = i
	w.sync()
	delete(w.idx.bodies, i.Gen)
	delete(w.durable.bodies, i.Gen)
}

// fetch is R9: GET of the home with a compare of its ETag.
func (w *world) fetch(ino index.Ino) {
	i, ok := w.idx.inodes[ino]
	if !ok || !i.Sealed || i.CachedGen == i.Gen {
		return
	}
	p := &planner{v: w.idx, f: w.facts()}
	h, ok := p.home(&i)
	if !ok {
		return
	}
	if o, there := w.store[h.Key]; there && o.etag == h.ETag {
		w.idx.bodies[i.Gen] = o.content
		i.CachedGen = i.Gen
		w.idx.inodes[ino] = i
	}
}

// The converger.

// keys lists all keys that anything is known of.
func (w *world) keys() []string {
	set := map[string]bool{}
	for ino := range w.idx.inodes {
		if key, ok := w.idx.Path(ino); ok && key != "" {
			set[key] = true
		}
	}
	for key := range w.idx.objects {
		set[key] = true
	}
	for key := range w.idx.pends {
		set[key] = true
	}
	return slices.Sorted(maps.Keys(set))
}

func (w *world) newID() (id index.ID) {
	w.ids++
	for n := range 8 {
		id[n] = byte(w.ids >> (8 * n))
	}
	return id
}

// work plans a key and does what the plan says; it reports whether there was anything to do.
func (w *world) work(key string) bool {
	a, err := Plan(w.idx, key, w.facts())
	if err != nil {
		w.fail("plan %q: %v", key, err)
		return false
	}
	switch a.Kind {
	case Forget:
		w.must(w.idx.DeletePend(key))
	case Look:
		w.look(a.Pend)
	case Send:
		w.send(a)
	case Resend:
		p, err := begin(w.idx, a.Pend, w.now+w.late, true)
		w.must(err)
		w.sync()
		w.launch(p)
	case Fetch:
		w.fetch(a.Ino)
	case Seal:
		w.close(a.Ino)
	default:
		return false
	}
	return true
}

func (w *world) must(err error) {
	if err != nil {
		w.fail("%v", err)
	}
}

func (w *world) send(a Action) {
	if a.Verify && !w.expected(a.Pend.Key) {
		w.importKey(a.Pend.Key)
		return
	}
	if w.flying(a.Pend.Key) != nil && w.without == noRule {
		w.fail("two requests for %q", a.Pend.Key)
	}
	a.Pend.Upload = w.newID()
	if a.Pend.Op == index.Put {
		if i := w.idx.inodes[a.Pend.Ino]; !i.IsDir() && (i.Gen != a.Pend.Gen || w.idx.bodies[i.Gen] == 0) {
			w.fail("PUT %q of inode %d generation %d without its bytes", a.Pend.Key, a.Pend.Ino, a.Pend.Gen)
			return
		}
	}
	p, err := begin(w.idx, a.Pend, w.now+w.late, false)
	w.must(err)
	w.sync()
	w.launch(p)
}

func (w *world) launch(p index.Pend) {
	w.sent[p.Op]++
	w.requests = append(w.requests, &simRequest{pend: p, content: w.idx.truth[p.Gen]})
}

// expected is the look of rule O: is the object what is recorded?
func (w *world) expected(key string) bool {
	h, recorded := w.idx.objects[key]
	return unchanged(&h, recorded, w.head(key))
}

func (w *world) head(key string) *object.Info {
	o, ok := w.store[key]
	if !ok {
		return nil
	}
	return &object.Info{Key: key, ETag: o.etag, Size: 1, Upload: object.ID(o.upload)}
}

func (w *world) look(p index.Pend) {
	f, err := looked(w.idx, p, w.head(p.Key))
	w.must(err)
	if f == foundOther {
		w.importKey(p.Key)
	}
}

// execute lets the store do a request.
func (w *world) execute(r *simRequest) {
	if r.executed >= 2 || r.lost && w.now > r.expires {
		return
	}
	r.executed++
	p := &r.pend
	old, there := w.store[p.Key]
	created := simObject{content: r.content, attr: p.AttrVer, xattr: p.XattrVer, upload: p.Upload}
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
	info := object.Info{Size: 1, ETag: w.store[p.Key].etag}
	if w.without == ruleSent {
		p.Gen, p.AttrVer = w.idx.inodes[p.Ino].Gen, w.idx.inodes[p.Ino].AttrVer
	}
	switch {
	case r.status == 200:
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
		if p.Key == key || p.Src == key {
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
