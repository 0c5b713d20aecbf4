package cache_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// retirement is a mount that has files of a former holder in its cache, made under a volume key that still counts.
type retirement struct {
	t       *testing.T
	env     *testenv.Env
	former  *object.Bucket
	volumes *object.Volumes
	ended   bool
}

func forged(t *testing.T) *retirement {
	t.Helper()
	r := &retirement{t: t, env: testenv.New(t, testenv.Options{NoMount: true, Cache: cache.Options{MetaTTL: time.Hour, Settle: time.Hour, Umask: 0o022}})}
	if _, err := r.env.Cache.Mkdir(t.Context(), cache.Root, "ok", cache.New{Mode: 0o755}); err != nil {
		t.Fatal(err)
	}
	r.env.Sync()
	r.former = r.client()
	r.write(r.former, "ok/own", object.ModeRegular|0o644, "written here")
	r.write(r.former, "forged", object.ModeRegular|0o666, "forged words")
	r.write(r.former, "empty", object.ModeRegular|0o666, "")
	r.write(r.former, "dir/", object.ModeDir|0o777, "")
	r.env.DropCache()
	for _, name := range []string{"forged", "ok/own"} {
		r.must(r.read(name))
	}
	for _, name := range []string{"dir", "empty"} {
		_, err := walk(t.Context(), r.env.Cache, name)
		r.must(err)
	}
	var err error
	if r.volumes, err = object.OpenVolumes(t.Context(), r.env.ObjectOptions(), ""); err == nil {
		t.Cleanup(func() { _ = r.volumes.Close() })
		_, err = r.volumes.NewEpoch(t.Context(), object.EpochRequest{Force: true})
	}
	r.must(err)
	return r
}

func (r *retirement) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// client is one more client of the bucket, which knows what its records say now.
func (r *retirement) client() *object.Bucket {
	r.t.Helper()
	b, err := object.Open(r.t.Context(), r.env.ObjectOptions())
	if err == nil {
		r.t.Cleanup(func() { _ = b.Close() })
		err = b.VerifyKey(r.t.Context())
	}
	r.must(err)
	return b
}

func (r *retirement) write(b *object.Bucket, key string, mode uint32, text string) {
	r.t.Helper()
	_, err := b.PutFile(r.t.Context(), object.FileRequest{Key: key, Source: strings.NewReader(text), Size: int64(len(text)), Attr: object.Attr{Mode: mode}})
	r.must(err)
}

// read reads a file of the mount.
func (r *retirement) read(name string) error {
	st, err := walk(r.t.Context(), r.env.Cache, name)
	if err == nil {
		err = r.env.Cache.Open(r.t.Context(), st.Ino, cache.OpenMode{})
	}
	if err != nil {
		return err
	}
	_, err = r.env.Cache.Read(r.t.Context(), st.Ino, 0, make([]byte, st.Size))
	return errors.Join(err, r.env.Cache.Release(r.t.Context(), st.Ino, false))
}

// remount ends the first epoch while the mount is away.
func (r *retirement) remount() {
	r.t.Helper()
	r.env.Unmount()
	r.end()
	r.env.Resume()
}

// end ends the first epoch.
func (r *retirement) end() {
	r.t.Helper()
	list, err := r.volumes.Retiring(1, false)
	r.must(err)
	r.must(r.volumes.Retire(r.t.Context(), list))
	r.ended = true
}

// retire ends the first epoch, and has the mount learn of it.
func (r *retirement) retire() {
	r.t.Helper()
	if !r.ended {
		r.end()
	}
	r.write(r.client(), "news", object.ModeRegular|0o600, "news")
	_, err := r.env.Store.Head(r.t.Context(), "news") // under a volume key that it does not know: it looks
	r.must(err)
	if len(r.env.Store.RetiredVolumes()) != 1 {
		r.t.Fatal("the mount has not learned of the retirement")
	}
	testenv.Eventually(r.t, "the look at what rests on the retired key", func() bool {
		left, err := r.env.Cache.LeftRetired()
		return err == nil && left
	})
}

// wantNone fails when a new client reads anything of the former holder's.
func (r *retirement) wantNone() {
	r.t.Helper()
	b := r.client()
	for _, key := range r.env.Keys() {
		if strings.HasPrefix(key, ".ossencfs") {
			continue
		}
		var out bytes.Buffer
		if _, err := b.GetFile(context.Background(), key, &out, nil); err == nil && strings.Contains(out.String(), "words") {
			r.t.Errorf("%s: %q passes for authentic", key, out.String())
		}
		if info, err := b.Head(context.Background(), key); err == nil && info.State == object.StateAuthentic && info.Attr.Mode&0o002 != 0 {
			r.t.Errorf("%s: mode %o passes for authentic", key, info.Attr.Mode)
		}
	}
}

// look shows a name of the mount, which has nothing that a former holder said of it.
func (r *retirement) look(name string) (cache.Stat, error) {
	st, err := walk(r.t.Context(), r.env.Cache, name)
	if err == nil && st.Mode&0o022 != 0 {
		r.t.Errorf("%s shows mode %o", name, st.Mode)
	}
	return st, err
}

// sync lets the mount send what it wants to, for a while: what it must not send stays.
func (r *retirement) sync() {
	ctx, cancel := context.WithTimeout(r.t.Context(), 2*time.Second)
	defer cancel()
	_ = r.env.Cache.Sync(ctx, "", nil)
}

// TestRetiredContentIsNotSealedAnew: what a mount has in its cache from a former holder, who made it while his volume key counted, does not get under
// the key in use by any step of the mount once it has learned that his was retired.
func TestRetiredContentIsNotSealedAnew(t *testing.T) {
	change := func(set cache.Change) func(*retirement, cache.Ino) error {
		return func(r *retirement, ino cache.Ino) error {
			_, err := r.env.Cache.SetAttr(r.t.Context(), ino, set)
			return err
		}
	}
	edit := func(r *retirement, ino cache.Ino) error {
		err := r.env.Cache.Open(r.t.Context(), ino, cache.OpenMode{Write: true})
		if err == nil {
			err = r.env.Cache.Write(r.t.Context(), ino, 0, []byte("F"), nil)
			err = errors.Join(err, r.env.Cache.Release(r.t.Context(), ino, true))
		}
		return err
	}
	repair := func(r *retirement, _ cache.Ino) error {
		_, err := r.env.Store.Verify(r.t.Context(), object.VerifyOptions{Repair: true, Memory: r.env.Cache.Memory()})
		return err
	}
	rename := func(r *retirement, _ cache.Ino) error {
		return r.env.Cache.Rename(r.t.Context(), cache.Root, "forged", cache.Root, "moved", 0)
	}
	goneDir := func(r *retirement, _ cache.Ino) error {
		r.write(r.former, "dir/inside", object.ModeRegular|0o600, "x")
		return r.env.Store.Delete(r.t.Context(), "dir/")
	}
	openForWriting := func(name string) func(*retirement, cache.Ino) error {
		return func(r *retirement, _ cache.Ino) error {
			st, err := walk(r.t.Context(), r.env.Cache, name)
			if err == nil {
				err = r.env.Cache.Open(r.t.Context(), st.Ino, cache.OpenMode{Write: true})
			}
			return err
		}
	}
	writeAnew := func(name string) func(*retirement, cache.Ino) error {
		return func(r *retirement, _ cache.Ino) error {
			st, err := r.look(name)
			if err == nil {
				err = r.env.Cache.Release(r.t.Context(), st.Ino, true)
			}
			if err == nil {
				err = r.env.Cache.Open(r.t.Context(), st.Ino, cache.OpenMode{Write: true, Truncate: true})
			}
			if err == nil {
				err = errors.Join(r.env.Cache.Write(r.t.Context(), st.Ino, 0, []byte("own"), nil), r.env.Cache.Release(r.t.Context(), st.Ino, true))
			}
			return err
		}
	}
	ends := func(r *retirement, _ cache.Ino) error {
		ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
		defer cancel()
		err := r.env.Cache.Sync(ctx, "", nil)
		if err != nil {
			r.t.Errorf("uploads do not come to an end: %v", err)
		}
		return err
	}
	relist := func(r *retirement) error {
		st, err := walk(r.t.Context(), r.env.Cache, "dir")
		if err == nil {
			err = r.env.Cache.Relist(r.t.Context(), st.Ino)
		}
		return err
	}
	timesOfDir := func(r *retirement, _ cache.Ino) error {
		st, err := r.look("dir")
		if err == nil {
			_, err = r.env.Cache.SetAttr(r.t.Context(), st.Ino, cache.Change{Set: cache.SetMtime, Mtime: 7})
		}
		return err
	}
	gone := func(r *retirement, _ cache.Ino) error { return r.env.Store.Delete(r.t.Context(), "forged") }
	for _, c := range []struct {
		name          string
		before, after func(*retirement, cache.Ino) error
	}{
		{name: "repair", after: repair},
		{name: "repair of what is gone", before: gone, after: repair},
		{name: "edit", after: edit},
		{name: "chmod", after: change(cache.Change{Set: cache.SetMode, Mode: 0o600})},
		{name: "chmod before", before: change(cache.Change{Set: cache.SetMode, Mode: 0o600})},
		{name: "truncate", after: change(cache.Change{Set: cache.SetSize, Size: 9})},
		{name: "rename", after: rename},
		{name: "rename before", before: rename},
		{name: "times before", before: change(cache.Change{Set: cache.SetMtime, Mtime: 7})},
		{name: "rename before, and gone", before: func(r *retirement, ino cache.Ino) error { return errors.Join(rename(r, ino), gone(r, ino)) }},
		{name: "extended attributes before", before: func(r *retirement, ino cache.Ino) error {
			return r.env.Cache.SetXattr(r.t.Context(), ino, "user.a", []byte("b"), 0)
		}, after: ends},
		{name: "open before, edit", before: func(r *retirement, ino cache.Ino) error {
			return r.env.Cache.Open(r.t.Context(), ino, cache.OpenMode{Write: true})
		}, after: func(r *retirement, ino cache.Ino) error {
			return errors.Join(r.env.Cache.Write(r.t.Context(), ino, 0, []byte("F"), nil), r.env.Cache.Release(r.t.Context(), ino, true))
		}},
		{name: "not mounted meanwhile, repair", before: func(r *retirement, _ cache.Ino) error { r.remount(); return nil }, after: repair},
		{name: "not mounted meanwhile, edit", before: func(r *retirement, _ cache.Ino) error { r.remount(); return nil }, after: edit},
		{name: "in a cache of the version before, repair", before: func(r *retirement, _ cache.Ino) error { return r.env.Cache.OriginsOfBefore() }, after: repair},
		{name: "in a cache of the version before, edit", before: func(r *retirement, _ cache.Ino) error { return r.env.Cache.OriginsOfBefore() }, after: edit},
		{name: "open before, written anew", before: openForWriting("forged"), after: writeAnew("forged")},
		{name: "empty, open before, written anew", before: openForWriting("empty"), after: writeAnew("empty")},
		{name: "empty, renamed and sent before, written anew", before: func(r *retirement, _ cache.Ino) error {
			err := r.env.Cache.Rename(r.t.Context(), cache.Root, "empty", cache.Root, "hollow", 0)
			r.sync()
			return err
		}, after: func(r *retirement, _ cache.Ino) error {
			return errors.Join(openForWriting("hollow")(r, 0), writeAnew("hollow")(r, 0))
		}},
		{name: "content in the marker's place, times", before: func(r *retirement, _ cache.Ino) error {
			return r.env.Server.WriteObject(r.env.Store.Name(), "dir/", nil, []byte("content"))
		}, after: timesOfDir},
		{name: "marker gone before, times", before: goneDir, after: timesOfDir},
		{name: "marker gone before, listed, times", before: goneDir, after: func(r *retirement, _ cache.Ino) error { return errors.Join(relist(r), timesOfDir(r, 0)) }},
		{name: "marker gone and listed before, times", before: func(r *retirement, _ cache.Ino) error { return errors.Join(goneDir(r, 0), relist(r)) }, after: timesOfDir},
		{name: "directory renamed before", before: func(r *retirement, _ cache.Ino) error {
			return r.env.Cache.Rename(r.t.Context(), cache.Root, "dir", cache.Root, "moveddir", 0)
		}},
		{name: "directory renamed before, and not answered", before: func(r *retirement, _ cache.Ino) error {
			r.env.Server.AddFault(emulator.Fault{Operation: "HeadObject", Key: "dir/", Status: 403, Code: "AccessDenied"})
			return r.env.Cache.Rename(r.t.Context(), cache.Root, "dir", cache.Root, "moveddir", 0)
		}, after: func(r *retirement, _ cache.Ino) error {
			r.env.Server.ClearFaults()
			return ends(r, 0)
		}},
		{name: "times of a directory", after: timesOfDir},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := forged(t)
			st, err := walk(t.Context(), r.env.Cache, "forged")
			r.must(err)
			if c.before != nil {
				r.must(c.before(r, st.Ino))
			}
			r.retire()
			if c.after != nil {
				t.Log(c.after(r, st.Ino)) // it may be refused
			}
			r.sync()
			r.wantNone()
		})
	}
}

// TestSameGenerationOtherBytes: what is in the cache stays only if it is what the object under the key in use holds. A former holder can have given two
// bodies one generation, and have had one of them rewrapped.
func TestSameGenerationOtherBytes(t *testing.T) {
	r := forged(t)
	info, err := r.former.Head(t.Context(), "forged")
	r.must(err)
	text := []byte("honest texts")
	sealing, err := r.former.NewSealing()
	r.must(err)
	r.must(sealing.Seal(text, text))
	_, err = r.former.Put(t.Context(), object.PutRequest{Key: "forged", Body: bytes.NewReader(text), Sealed: sealing.Finish(), Attr: info.Attr,
		Upload: object.NewID(), Generation: info.Generation})
	r.must(err)
	_, err = r.client().Rewrap(t.Context(), object.RewrapOptions{})
	r.must(err)
	r.retire()
	testenv.Eventually(t, "the rewrapped content", func() bool {
		got, err := content(t, r.env.Cache, "forged")
		if err == nil && got != "honest texts" {
			t.Errorf("read %q", got)
		}
		return err == nil
	})
}

// TestWhatCountsStays: what a machine wrote itself it repairs although the object is under a retired volume key, and what is under the key in use by now it
// reads and changes as before, without another download.
func TestWhatCountsStays(t *testing.T) {
	r := forged(t)
	store(t, r.env, "mine", "my text") // under the old key: the mount does not know another one yet
	r.env.Sync()
	st, err := walk(t.Context(), r.env.Cache, "ok/own")
	r.must(err)
	r.must(r.env.Cache.Open(t.Context(), st.Ino, cache.OpenMode{Write: true})) // and stays open
	r.must(r.read("ok/own"))
	o := r.env.ObjectOptions()
	o.Prefix = "ok/"
	b, err := object.Open(t.Context(), o)
	r.must(err)
	t.Cleanup(func() { _ = b.Close() })
	r.must(b.VerifyKey(t.Context()))
	report, err := b.Rewrap(t.Context(), object.RewrapOptions{})
	r.must(err)
	if report.Rewrapped == 0 {
		t.Fatalf("nothing was rewrapped: %+v", report)
	}
	r.retire()
	if err := r.read("forged"); !errors.Is(err, cache.ErrUntrusted) {
		t.Errorf("what is under the retired key alone: got %v, want ErrUntrusted", err)
	}
	fault := r.env.Server.AddFault(emulator.Fault{Operation: "GetObject", Key: "ok/own", Status: 403, Code: "AccessDenied"})
	r.must(r.read("ok/own"))
	r.must(r.env.Cache.Write(t.Context(), st.Ino, 0, []byte("W"), nil))
	r.must(r.env.Cache.Release(t.Context(), st.Ino, true))
	r.env.Server.RemoveFault(fault)
	if _, err = r.env.Store.Verify(t.Context(), object.VerifyOptions{Repair: true, Memory: r.env.Cache.Memory()}); err != nil {
		t.Error(err)
	}
	r.sync()
	b = r.client()
	for key, want := range map[string]string{"mine": "my text", "ok/own": "Written here"} {
		var out bytes.Buffer
		if _, err := b.GetFile(t.Context(), key, &out, nil); err != nil || out.String() != want {
			t.Errorf("%s: %q, %v, want %q", key, out.String(), err, want)
		}
	}
}
