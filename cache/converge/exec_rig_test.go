package converge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// patience bounds every wait of a test.
const patience = time.Minute

// rig is a Converger on a real index and a fake bucket, and the file system calls that change the index.
type rig struct {
	t      testing.TB
	dir    string
	o      Options
	db     *index.DB
	c      *Converger
	store  *fakeStore
	bodies *fakeBodies

	mu       sync.Mutex // guards the fields below
	imported []string   // "key" or "key gone"
}

// newRig starts one. Zero durations mean: no waiting for quiet, requests live for 100 ms.
func newRig(t testing.TB, o Options) *rig {
	t.Helper()
	before := runtime.NumGoroutine()
	if o.Settle == 0 {
		o.Settle = -1
	}
	if o.Late == 0 {
		o.Late = 100 * time.Millisecond
	}
	r := &rig{t: t, dir: t.TempDir(), o: o, store: newFakeStore(t), bodies: &fakeBodies{sealed: map[uint64]fakeBody{}}}
	r.bodies.r = r
	r.start()
	t.Cleanup(func() {
		r.stop()
		r.store.late.Wait()
		r.until("all goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
	})
	return r
}

func (r *rig) start() {
	r.t.Helper()
	var err error
	if r.db, err = index.Open(r.dir, index.Options{}); err != nil {
		r.t.Fatal(err)
	}
	r.o.DB, r.o.Store, r.o.Bodies, r.o.Opens, r.o.Importer = r.db, r.store, r.bodies, noOpens{}, r
	if r.c, err = New(r.o); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) stop() {
	r.t.Helper()
	if err := errors.Join(r.c.Close(), r.db.Close()); err != nil {
		r.t.Error(err)
	}
}

// restart is what a crash and a new start are: nothing of the Converger's memory is left.
func (r *rig) restart() {
	r.t.Helper()
	r.stop()
	r.start()
}

// until waits for a condition.
func (r *rig) until(what string, is func() bool) {
	r.t.Helper()
	end := time.Now().Add(patience)
	for !is() {
		if time.Now().After(end) {
			r.t.Fatalf("waited in vain until %s; requests: %v", what, lastOf(r.store.requests()))
		}
		runtime.Gosched()
		<-time.After(time.Millisecond)
	}
}

func lastOf(list []string) []string { return list[max(0, len(list)-20):] }

// sync waits until the bucket is as the index.
func (r *rig) sync(prefix string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.c.Sync(ctx, prefix, nil); err != nil {
		stats, _ := r.c.Stats()
		r.t.Fatalf("sync %q: %v; %+v; requests %v", prefix, err, stats, lastOf(r.store.requests()))
	}
}

func (r *rig) update(fn func(tx *index.Tx) error) {
	r.t.Helper()
	if err := r.db.Update(fn); err != nil {
		r.t.Error(err)
	}
}

// Import implements Importer: the file follows what others did.
func (r *rig) Import(_ context.Context, key string, found *object.Info) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if found == nil {
		r.imported = append(r.imported, key+" gone")
		return r.db.Update(func(tx *index.Tx) error { return tx.DeleteObject(key) })
	}
	r.imported = append(r.imported, key)
	return r.db.Update(func(tx *index.Tx) error {
		ino, ok, err := tx.Resolve(key)
		if err != nil || !ok {
			return err
		}
		i, _, err := tx.Inode(ino)
		if err != nil {
			return err
		}
		i.Gen, i.Size, i.Sealed, i.CachedGen = tx.NextGen(), found.Size, true, 0
		if err := tx.ClearUnsent(ino); err != nil {
			return err
		}
		if err := tx.PutObject(index.Object{Key: key, Ino: ino, Gen: i.Gen, AttrVer: i.AttrVer, XattrVer: i.XattrVer, ETag: found.ETag, Size: found.Size}); err != nil {
			return err
		}
		return tx.PutInode(i)
	})
}

// Retired implements Importer; no key is retired here.
func (r *rig) Retired(context.Context, index.Ino) error { return nil }

// Covered implements Importer; without versioning it is not called.
func (r *rig) Covered(_ context.Context, key string, v object.Version, _ []string) error {
	r.t.Errorf("version %s of %q is brought back", v.ID, key)
	return nil
}

func (r *rig) imports() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.imported)
}

// noOpens says that nothing is open.
type noOpens struct{}

func (noOpens) Open(index.Ino) bool { return false }

// fakeBody is a sealed body.
type fakeBody struct {
	cipher []byte
	sealed *object.Sealed
}

// fakeBodies are sealed bodies in memory.
type fakeBodies struct {
	r      *rig
	mu     sync.Mutex // guards the fields below
	sealed map[uint64]fakeBody
	seals  int
	opens  func() error // called when a body is opened
}

type readBody struct{ *bytes.Reader }

func (readBody) Close() error { return nil }

// put seals content of a generation.
func (b *fakeBodies) put(gen uint64, text string) fakeBody {
	s, err := object.NewSealing()
	if err != nil {
		b.r.t.Fatal(err)
	}
	out := make([]byte, len(text))
	if err := s.Seal(out, []byte(text)); err != nil {
		b.r.t.Fatal(err)
	}
	f := fakeBody{out, s.Finish()}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sealed[gen] = f
	return f
}

func (b *fakeBodies) share(gen uint64, f fakeBody) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sealed[gen] = f
}

func (b *fakeBodies) OpenSealed(_ index.Ino, gen uint64) (Sealed, *object.Sealed, error) {
	b.mu.Lock()
	f, ok := b.sealed[gen]
	opens := b.opens
	b.mu.Unlock()
	if opens != nil {
		if err := opens(); err != nil {
			return nil, nil, err
		}
	}
	if !ok {
		f = b.put(gen, "")
	}
	return readBody{bytes.NewReader(f.cipher)}, f.sealed, nil
}

func (b *fakeBodies) Fetch(_ context.Context, ino index.Ino) error {
	return b.r.db.Update(func(tx *index.Tx) error {
		i, _, err := tx.Inode(ino)
		if err != nil {
			return err
		}
		i.CachedGen = i.Gen
		return tx.PutInode(i)
	})
}

func (b *fakeBodies) Seal(_ context.Context, ino index.Ino) error {
	b.mu.Lock()
	b.seals++
	b.mu.Unlock()
	return b.r.db.Update(func(tx *index.Tx) error {
		i, ok, err := tx.Inode(ino)
		if err != nil || !ok {
			return err
		}
		i.Sealed, i.CachedGen = true, i.Gen
		return tx.PutInode(i)
	})
}

func (b *fakeBodies) Sent(index.Ino) {}

// file finds an inode by its path, with a slash at the end for a directory.
func (r *rig) file(tx *index.Tx, key string) index.Inode {
	r.t.Helper()
	ino, ok, err := tx.Resolve(key)
	if err != nil || !ok {
		r.t.Fatalf("no %q: %v", key, err)
	}
	i, _, err := tx.Inode(ino)
	if err != nil {
		r.t.Fatal(err)
	}
	return i
}

// place is the directory and name of a new path.
func (r *rig) place(tx *index.Tx, key string) (index.Ino, string) {
	r.t.Helper()
	dir, name := path.Split(strings.TrimSuffix(key, "/"))
	return r.file(tx, dir).Ino, name
}

func seq(tx *index.Tx) uint64 {
	n, err := tx.NextSeq()
	if err != nil {
		panic(err) // only in a View, which is a mistake of the test
	}
	return n
}

// create makes a closed file.
func (r *rig) create(key, text string) {
	r.t.Helper()
	r.update(func(tx *index.Tx) error {
		gen := tx.NextGen()
		if text != "" {
			r.bodies.put(gen, text)
		}
		return r.add(tx, key, gen, int64(len(text)))
	})
}

func (r *rig) add(tx *index.Tx, key string, gen uint64, size int64) error {
	dir, name := r.place(tx, key)
	s, now := seq(tx), time.Now().UnixNano()
	i := index.Inode{Ino: tx.NextIno(), Parent: dir, Name: name, Mode: unix.S_IFREG | 0o644, Size: size, Gen: gen, CachedGen: gen,
		Sealed: true, AttrKnown: true, PathSeq: s, ChangedAt: now, ClosedAt: now}
	if err := tx.PutInode(i); err != nil {
		return err
	}
	return tx.SetUnsent(i.Ino, s)
}

func (r *rig) mkdir(key string) {
	r.t.Helper()
	r.update(func(tx *index.Tx) error {
		dir, name := r.place(tx, key)
		return tx.PutInode(index.Inode{Ino: tx.NextIno(), Parent: dir, Name: name, Mode: unix.S_IFDIR | 0o755, Sealed: true,
			AttrKnown: true, Marker: true, PathSeq: seq(tx), ChangedAt: time.Now().UnixNano()})
	})
}

// change applies fn to the inode of a path.
func (r *rig) change(key string, fn func(tx *index.Tx, i *index.Inode) error) {
	r.t.Helper()
	r.update(func(tx *index.Tx) error {
		i := r.file(tx, key)
		i.ChangedAt = time.Now().UnixNano()
		if err := fn(tx, &i); err != nil {
			return err
		}
		return tx.PutInode(i)
	})
}

// rewrite gives a file new content and closes it.
func (r *rig) rewrite(key, text string) {
	r.t.Helper()
	r.update(func(tx *index.Tx) error {
		i := r.file(tx, key)
		i.Gen = tx.NextGen()
		i.CachedGen, i.Size, i.ChangedAt = i.Gen, int64(len(text)), time.Now().UnixNano()
		r.bodies.put(i.Gen, text)
		if err := tx.PutInode(i); err != nil {
			return err
		}
		return tx.SetUnsent(i.Ino, seq(tx))
	})
}

func (r *rig) rewriteOrCreate(key, text string, known bool) {
	if known {
		r.rewrite(key, text)
	} else {
		r.create(key, text)
	}
}

func (r *rig) chmod(key string, mode uint32) {
	r.t.Helper()
	r.change(key, func(_ *index.Tx, i *index.Inode) error {
		i.Mode = i.Mode&unix.S_IFMT | mode
		i.AttrVer++
		return nil
	})
}

func (r *rig) evict(key string) {
	r.t.Helper()
	r.change(key, func(_ *index.Tx, i *index.Inode) error { i.CachedGen = 0; return nil })
}

func (r *rig) unlink(key string) {
	r.t.Helper()
	r.update(func(tx *index.Tx) error { return tx.DeleteInode(r.file(tx, key).Ino) })
}

// rename moves a file or directory, over a file when there is one.
func (r *rig) rename(from, to string) {
	r.t.Helper()
	r.update(func(tx *index.Tx) error {
		if ino, taken, err := tx.Resolve(to); err != nil {
			return err
		} else if taken {
			if err := tx.DeleteInode(ino); err != nil {
				return err
			}
		}
		i := r.file(tx, from)
		i.Parent, i.Name = r.place(tx, to)
		i.PathSeq = seq(tx)
		if err := tx.PutInode(i); err != nil {
			return err
		}
		if _, _, unsent, err := tx.UnsentOf(i.Ino); err != nil || !unsent {
			return err
		}
		return tx.SetUnsent(i.Ino, i.PathSeq)
	})
}

// converged fails the test unless the bucket holds exactly the tree, and nothing is noted as to be done.
func (r *rig) converged() {
	r.t.Helper()
	want := map[string]index.Inode{}
	err := r.db.View(func(tx *index.Tx) error {
		if err := tx.Queue("", "", func(key string) bool { r.t.Errorf("%q is still queued", key); return true }); err != nil {
			return err
		}
		if err := tx.Pends(func(p index.Pend) bool { r.t.Errorf("an intent is left: %+v", p); return true }); err != nil {
			return err
		}
		return tx.Inodes(func(i index.Inode) bool {
			if key, ok := tx.Path(i.Ino); ok && i.Ino != index.Root {
				want[key] = i
			}
			return true
		})
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	for key, i := range want {
		o, ok := r.store.objects[key]
		if !ok {
			r.t.Errorf("%q is missing", key)
			continue
		}
		body := r.bodies.sealed[i.Gen]
		if o.info.Attr.Mode != i.Mode || o.body != string(body.cipher) {
			r.t.Errorf("%q: got mode %o and %d bytes, want %o and %d, the same", key, o.info.Attr.Mode, len(o.body), i.Mode, len(body.cipher))
		}
	}
	for key := range r.store.objects {
		if _, ok := want[key]; !ok {
			r.t.Errorf("%q should not be in the bucket", key)
		}
	}
}

// calm waits until nothing is queued, and checks the bucket.
func (r *rig) calm() {
	r.t.Helper()
	r.until("nothing is queued", func() bool {
		busy := false
		if err := r.db.View(func(tx *index.Tx) error {
			if err := tx.Queue("", "", func(string) bool { busy = true; return false }); err != nil {
				return err
			}
			return tx.Pends(func(index.Pend) bool { busy = true; return false })
		}); err != nil {
			r.t.Fatal(err)
		}
		return !busy
	})
	r.converged()
}

// uploadedAlready makes files that the bucket has, without requests.
func (r *rig) uploadedAlready(n int, name func(n int) string) {
	r.t.Helper()
	r.update(func(tx *index.Tx) error {
		for k := range n {
			gen := tx.NextGen()
			f := r.bodies.put(gen, fmt.Sprintf("content %d", k))
			key := name(k)
			if err := r.add(tx, key, gen, f.sealed.Size()); err != nil {
				return err
			}
			i := r.file(tx, key)
			upload := object.NewID()
			if err := tx.PutObject(index.Object{Key: key, Ino: i.Ino, Gen: gen, Upload: index.ID(upload), Generation: f.sealed.GenerationID(), ETag: key, Size: i.Size}); err != nil {
				return err
			}
			if err := tx.SentGen(i.Ino, gen); err != nil {
				return err
			}
			r.store.mu.Lock()
			r.store.objects[key] = fakeObject{object.Info{Key: key, Size: i.Size, ETag: key, Attr: object.Attr{Mode: i.Mode}, Upload: upload,
				Generation: f.sealed.GenerationID()}, string(f.cipher)}
			r.store.mu.Unlock()
		}
		return nil
	})
}
