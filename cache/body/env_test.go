package body

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// bucket is a Remote in memory.
type bucket struct {
	mu      sync.Mutex
	objects map[string]stored
	gets    []object.GetRequest
	flying  int
	most    int                           // most requests at one time
	hook    func(object.GetRequest) error // called for each request, outside mu
	corrupt func(key string, data []byte) // may change what is sent
	cut     func(object.GetRequest) bool  // true: the answer breaks off half way
}

type stored struct {
	sealed []byte
	key    *object.ContentKey
	etag   string
	plain  bool
	volume object.ID // that vouches for it
}

func (k *bucket) Get(ctx context.Context, r object.GetRequest) (*object.Download, error) {
	k.mu.Lock()
	k.gets = append(k.gets, r)
	k.flying++
	k.most = max(k.most, k.flying)
	o, ok := k.objects[r.Key]
	hook := k.hook
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		k.flying--
		k.mu.Unlock()
	}()
	if hook != nil {
		if err := hook(r); err != nil {
			return nil, err
		}
	}
	if !ok {
		return nil, fmt.Errorf("get %q: %w", r.Key, object.ErrNotFound)
	}
	if r.ETag != "" && r.ETag != o.etag {
		return nil, fmt.Errorf("get %q: %w", r.Key, object.ErrPrecondition)
	}
	end := int64(len(o.sealed))
	if r.Len > 0 {
		end = min(end, r.Off+r.Len)
	}
	data := bytes.Clone(o.sealed[r.Off:end])
	if k.corrupt != nil {
		k.corrupt(r.Key, data)
	}
	key := o.key
	if o.plain {
		key = r.Content
		if key == nil {
			s, err := object.NewSealing()
			if err != nil {
				return nil, err
			}
			key = s.ContentKey()
		}
		key.XORKeyStreamAt(data, data, r.Off)
	}
	body := io.Reader(bytes.NewReader(data))
	if k.cut != nil && k.cut(r) {
		body = io.MultiReader(bytes.NewReader(data[:len(data)/2]), brokenReader{})
	}
	return &object.Download{Content: key, Body: io.NopCloser(body), TotalSize: int64(len(o.sealed)), Info: object.Info{Volume: o.volume}}, nil
}

// brokenReader is a connection that was lost.
type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, object.ErrUnreachable }

func (k *bucket) set(key string, o stored) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.objects[key] = o
}

func (k *bucket) remove(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.objects, key)
}

func (k *bucket) requests() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.gets)
}

// env is a store with an index and a bucket.
type env struct {
	t   testing.TB
	dir string
	db  *index.DB
	s   *Store
	k   *bucket
	o   Options
}

func newEnv(t *testing.T, o Options) *env {
	t.Helper()
	e := &env{t: t, dir: t.TempDir(), k: &bucket{objects: map[string]stored{}}, o: o}
	e.open()
	t.Cleanup(e.close)
	return e
}

var testSecret = [32]byte{1, 2, 3}

func (e *env) open() {
	e.t.Helper()
	db, err := index.Open(filepath.Join(e.dir, "index"), index.Options{Secret: testSecret})
	if err != nil {
		e.t.Fatal(err)
	}
	e.db = db
	o := e.o
	o.DB, o.Remote = db, e.k
	if e.s, err = Open(filepath.Join(e.dir, "body"), o); err != nil {
		_ = db.Close()
		e.db = nil
		e.t.Fatal(err)
	}
}

func (e *env) close() {
	e.t.Helper()
	if e.db == nil {
		return
	}
	if err := e.s.Close(); err != nil {
		e.t.Error(err)
	}
	if err := e.db.Close(); err != nil {
		e.t.Error(err)
	}
	e.db = nil
}

// stop ends the store's goroutines and leaves everything else as it is.
func (e *env) stop() {
	e.s.mu.Lock()
	e.s.closed = true
	e.s.mu.Unlock()
	e.s.cancel()
	e.s.wg.Wait()
	e.s.closeFiles()
}

// crash ends the store as a kill would, as far as one process can: nothing is finished, files stay as they are.
func (e *env) crash() {
	e.t.Helper()
	e.stop()
	if err := e.db.Close(); err != nil {
		e.t.Error(err)
	}
	e.open()
}

// file makes an inode for a regular file.
func (e *env) file(name string) index.Ino {
	e.t.Helper()
	var ino index.Ino
	err := e.db.Update(func(tx *index.Tx) error {
		ino = tx.NextIno()
		now := time.Now().UnixNano()
		return tx.PutInode(index.Inode{Ino: ino, Parent: index.Root, Name: name, Mode: unix.S_IFREG | 0o644,
			Gen: tx.NextGen(), AttrKnown: true, Mtime: now, Ctime: now})
	})
	if err != nil {
		e.t.Fatal(err)
	}
	return ino
}

func (e *env) inode(ino index.Ino) index.Inode {
	e.t.Helper()
	in, err := e.s.inode(ino)
	if err != nil {
		e.t.Fatal(err)
	}
	return in
}

func (e *env) write(ino index.Ino, off int64, p []byte) {
	e.t.Helper()
	if err := e.s.Write(context.Background(), ino, off, p); err != nil {
		e.t.Fatalf("write %d at %d: %v", len(p), off, err)
	}
}

func (e *env) seal(ino index.Ino) {
	e.t.Helper()
	if err := e.s.Seal(context.Background(), ino); err != nil {
		e.t.Fatalf("seal: %v", err)
	}
	if in := e.inode(ino); !in.Sealed {
		e.t.Fatalf("after seal: %+v", in)
	}
}

func (e *env) readAll(ino index.Ino) []byte {
	e.t.Helper()
	p, err := e.tryReadAll(ino)
	if err != nil {
		e.t.Fatalf("read: %v", err)
	}
	return p
}

func (e *env) tryReadAll(ino index.Ino) ([]byte, error) {
	var all []byte
	buf := make([]byte, 128<<10)
	for {
		n, err := e.s.Read(context.Background(), ino, int64(len(all)), buf)
		all = append(all, buf[:n]...)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return all, nil
		}
	}
}

func (e *env) want(ino index.Ino, want []byte) {
	e.t.Helper()
	got := e.readAll(ino)
	if !bytes.Equal(got, want) {
		e.t.Fatalf("content of %d: got %d bytes, want %d; first difference at %d", ino, len(got), len(want), differ(got, want))
	}
}

func differ(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// upload does what converge does: the sealed body goes to the bucket and the index learns of it.
func (e *env) upload(ino index.Ino, key string) {
	e.t.Helper()
	in := e.inode(ino)
	r, sealed, err := e.s.OpenSealed(ino, in.Gen)
	if err != nil {
		e.t.Fatalf("open sealed: %v", err)
	}
	defer r.Close()
	data := make([]byte, r.Size())
	if _, err := r.ReadAt(data, 0); err != nil && !(errors.Is(err, io.EOF) && len(data) == 0) {
		e.t.Fatalf("read sealed: %v", err)
	}
	if sealed.Size() != in.Size || sealed.CRC64() != crcOf(data) {
		e.t.Fatalf("sealed %v does not describe %d bytes of inode %+v", sealed, len(data), in)
	}
	e.k.mu.Lock()
	e.k.objects[key] = stored{sealed: data, key: sealed.ContentKey(), etag: fmt.Sprintf("%x", sealed.GenerationID())}
	e.k.mu.Unlock()
	e.record(ino, key, sealed.GenerationID())
}

// record notes in the index that the bucket holds the inode's generation under key.
func (e *env) record(ino index.Ino, key string, generation index.ID) {
	e.t.Helper()
	in := e.inode(ino)
	e.k.mu.Lock()
	o := e.k.objects[key]
	e.k.mu.Unlock()
	err := e.db.Update(func(tx *index.Tx) error {
		return tx.PutObject(index.Object{Key: key, Ino: ino, Gen: in.Gen, ETag: o.etag, Size: in.Size, Generation: generation})
	})
	if err != nil {
		e.t.Fatal(err)
	}
	e.s.Sent(ino)
}

// foreign puts an object of another program into the bucket and its inode into the index.
func (e *env) foreign(name string, content []byte, plain bool) index.Ino {
	e.t.Helper()
	ino := e.file(name)
	s, err := object.NewSealing()
	if err != nil {
		e.t.Fatal(err)
	}
	o := stored{sealed: bytes.Clone(content), key: s.ContentKey(), etag: "etag-" + name, plain: plain}
	if !plain {
		if err := s.Seal(o.sealed, o.sealed); err != nil {
			e.t.Fatal(err)
		}
	}
	e.k.mu.Lock()
	e.k.objects[name] = o
	e.k.mu.Unlock()
	in := e.inode(ino)
	in.Sealed, in.Size = true, int64(len(content))
	if err := e.db.Update(func(tx *index.Tx) error { return tx.PutInode(in) }); err != nil {
		e.t.Fatal(err)
	}
	e.record(ino, name, index.ID{})
	return ino
}

// evictAll evicts whatever can go.
func (e *env) evictAll() {
	e.t.Helper()
	if _, err := e.s.Evict(context.Background(), 1<<50); err != nil {
		e.t.Fatal(err)
	}
}

// random returns n bytes that depend on seed only.
func random(seed uint64, n int) []byte {
	p := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	_, _ = r.Read(p)
	return p
}
