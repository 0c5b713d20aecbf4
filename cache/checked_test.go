package cache_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/fs"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// TestImportInACallIsCheckedAnew: the kernel has checked a caller by what it knew, and the call itself learns that another machine has put something
// else there. In a sticky directory it counts whose that is, and only the kernel can tell whether this caller may take it away.
func TestImportInACallIsCheckedAnew(t *testing.T) {
	clock := testenv.NewClock() // it stands: of a marker that is stored again in the next second the kernel would have to look at the directory again
	here := testenv.New(t, testenv.Options{NoMount: true, Emulator: clock.Use, Cache: cache.Options{MetaTTL: time.Nanosecond}})
	there := testenv.New(t, testenv.Options{NoMount: true, Cache: cache.Options{MetaTTL: time.Nanosecond}, Share: here})
	c := here.Cache
	c.SetKernel(&kernel{cache: c, checks: true})
	for _, sticky := range []uint32{0, 0o1000} {
		for _, tt := range []struct {
			name string
			// made and theirs are what is made here before, and there behind it; call is what is called then.
			made, theirs []string
			call         func(dir cache.Ino) error
			want         error
		}{
			{"rename over what appeared", []string{"mine"}, []string{"new"},
				func(d cache.Ino) error { return c.Rename(t.Context(), d, "mine", d, "new", cache.RenameReplace) }, cache.ErrAppeared},
			{"rename over what changed", []string{"mine", "new"}, []string{"new"},
				func(d cache.Ino) error { return c.Rename(t.Context(), d, "mine", d, "new", cache.RenameReplace) }, cache.ErrOutdated},
			{"rename what changed", []string{"mine"}, []string{"mine"},
				func(d cache.Ino) error { return c.Rename(t.Context(), d, "mine", d, "new", cache.RenameReplace) }, cache.ErrOutdated},
			{"exchange with what changed", []string{"mine", "new"}, []string{"new"},
				func(d cache.Ino) error { return c.Rename(t.Context(), d, "mine", d, "new", cache.RenameExchange) }, cache.ErrOutdated},
			{"unlink what appeared", nil, []string{"new"}, func(d cache.Ino) error { return c.Unlink(t.Context(), d, "new") }, cache.ErrAppeared},
			{"unlink what changed", []string{"mine"}, []string{"mine"}, func(d cache.Ino) error { return c.Unlink(t.Context(), d, "mine") }, cache.ErrOutdated},
		} {
			name := map[uint32]string{0: "open, ", 0o1000: "sticky, "}[sticky] + tt.name
			dir, err := c.Mkdir(t.Context(), cache.Root, name, cache.New{Mode: 0o777 | sticky})
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range tt.made {
				storeIn(t, here, dir.Ino, file, "here")
			}
			here.Sync()
			elsewhere, _, err := there.Cache.Lookup(t.Context(), cache.Root, name)
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range tt.theirs {
				storeIn(t, there, elsewhere.Ino, file, "elsewhere")
			}
			there.Sync()
			want := tt.want
			if sticky == 0 {
				want = nil
			}
			if err := tt.call(dir.Ino); !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", name, err, want)
			}
		}
	}
}

// asked is a call that the kernel makes on behalf of a user.
type asked struct {
	context.Context
	by user
}

func (asked) Request() (uint64, bool) { return 0, false }
func (a asked) Caller() cache.Caller  { return a.by }

// TestChangedByOthersIsJudged: what others have changed is not left to the kernel, of which nobody can tell whether it took the new mode and owner from
// our answer: a notification that overtakes it makes them worth nothing. It is refused to a former owner, and allowed to the present one.
func TestChangedByOthersIsJudged(t *testing.T) {
	const former, owner = user(41), user(42)
	clock := testenv.NewClock()
	options := testenv.Options{NoMount: true, Cache: cache.Options{MetaTTL: time.Nanosecond}, Mount: fs.Options{AllowOther: true}, Emulator: clock.Use}
	here := testenv.New(t, options)
	options.Share = here
	there := testenv.New(t, options)
	c := here.Cache
	change := func(set cache.ChangeSet, to cache.Change) func(asked, cache.Ino) error {
		return func(ctx asked, ino cache.Ino) error {
			to := to
			to.Set, to.Asked = set, ctx.by
			_, err := c.SetAttr(ctx, ino, to)
			return err
		}
	}
	open := func(rights uint32) func(asked, cache.Ino) error {
		return func(ctx asked, ino cache.Ino) error {
			err := c.Open(ctx, ino, cache.OpenMode{Rights: rights})
			if err == nil {
				err = c.Release(ctx, ino, false)
			}
			return err
		}
	}
	attributes := map[string]struct {
		call func(asked, cache.Ino) error
		want error // to the former owner
	}{
		"chmod":    {change(cache.SetMode, cache.Change{Mode: 0o700}), cache.ErrNotPermitted},
		"chgrp":    {change(cache.SetGID, cache.Change{}), cache.ErrNotPermitted},
		"utimes":   {change(cache.SetMtime, cache.Change{Mtime: 1}), cache.ErrNotPermitted},
		"truncate": {change(cache.SetSize, cache.Change{}), cache.ErrAccess},
		"touch":    {change(cache.SetMtime, cache.Change{Touch: true}), cache.ErrAccess},
		"getxattr": {func(ctx asked, ino cache.Ino) error {
			_, err := c.GetXattr(ctx, ino, "user.a")
			return ignoring(err, cache.ErrNoAttr)
		}, cache.ErrAccess},
		"setxattr": {func(ctx asked, ino cache.Ino) error { return c.SetXattr(ctx, ino, "user.a", nil, cache.XattrAny) }, cache.ErrAccess},
		"read":     {open(unix.R_OK), cache.ErrAccess},
		"write":    {open(unix.W_OK), cache.ErrAccess},
		"run":      {open(unix.X_OK), cache.ErrAccess},
	}
	folder, err := c.Mkdir(t.Context(), cache.Root, "folder", cache.New{Mode: 0o777})
	must(t, err)
	number := 0
	exchanged := func(with string) string {
		storeIn(t, here, folder.Ino, with, "")
		return with
	}
	names := map[string]struct {
		call func(asked, cache.Ino) error
		want error
	}{
		"look": {func(ctx asked, d cache.Ino) error { _, _, err := c.Lookup(ctx, d, "old"); return err }, cache.ErrAccess},
		"look for what is not there": {func(ctx asked, d cache.Ino) error {
			_, _, err := c.Lookup(ctx, d, "absent")
			return ignoring(err, cache.ErrNotFound)
		}, cache.ErrAccess},
		"list": {func(ctx asked, d cache.Ino) error {
			dir, err := c.OpenDir(ctx, d)
			if err == nil {
				dir.Close()
			}
			return err
		}, cache.ErrAccess},
		"make": {func(ctx asked, d cache.Ino) error {
			_, err := c.Mkdir(ctx, d, "new", cache.New{Mode: 0o700})
			return err
		}, cache.ErrAccess},
		"remove": {func(ctx asked, d cache.Ino) error { return c.Unlink(ctx, d, "old") }, cache.ErrAccess},
		"rename": {func(ctx asked, d cache.Ino) error { return c.Rename(ctx, d, "old", d, "moved", cache.RenameReplace) }, cache.ErrAccess},
		"move": {func(ctx asked, d cache.Ino) error {
			return c.Rename(ctx, cache.Root, "in", d, "in", cache.RenameReplace)
		}, cache.ErrAccess},
		"exchange with": {func(ctx asked, d cache.Ino) error {
			at := fmt.Sprint(number)
			return c.Rename(ctx, folder.Ino, exchanged(at), cache.Root, at, cache.RenameExchange)
		}, cache.ErrAccess},
	}
	storeIn(t, here, cache.Root, "in", "")
	check := func(name string, mode uint32, call func(asked, cache.Ino) error, want error) {
		t.Helper()
		for _, who := range []user{former, owner} {
			number++
			path := fmt.Sprintf("%d", number)
			made := cache.New{Mode: 0o777, UID: uint32(former)}
			if mode&unix.S_IFDIR != 0 {
				dir, err := c.Mkdir(t.Context(), cache.Root, path, made)
				must(t, err)
				storeIn(t, here, dir.Ino, "old", "text")
			} else {
				_, err := c.Mknod(t.Context(), cache.Root, path, cache.New{Mode: unix.S_IFREG | 0o777, UID: uint32(former)})
				must(t, err)
			}
			here.Sync()
			clock.Advance(5 * time.Second)
			elsewhere, _, err := there.Cache.Lookup(t.Context(), cache.Root, path)
			must(t, err)
			_, err = there.Cache.SetAttr(t.Context(), elsewhere.Ino, cache.Change{Set: cache.SetMode | cache.SetUID, Mode: 0o700 | mode&0o7000, UID: uint32(owner)})
			must(t, err)
			there.Sync()
			clock.Advance(5 * time.Second)
			var st cache.Stat
			testenv.Eventually(t, name, func() bool {
				st, _, err = c.Lookup(t.Context(), cache.Root, path)
				must(t, err)
				if mode&unix.S_IFDIR != 0 {
					if _, _, err = c.Lookup(t.Context(), st.Ino, "old"); err != nil {
						must(t, ignoring(err, cache.ErrOutdated))
						return false
					}
				}
				st, err = c.GetAttr(t.Context(), st.Ino)
				return err == nil && st.UID == uint32(owner)
			})
			wanted := want
			if who == owner {
				wanted = nil
			}
			if err := call(asked{t.Context(), who}, st.Ino); !errors.Is(err, wanted) {
				t.Errorf("%s, user %d: got %v, want %v", name, who, err, wanted)
			}
		}
	}
	for name, tt := range attributes {
		check(name, 0, tt.call, tt.want)
	}
	for name, tt := range names {
		check(name, unix.S_IFDIR, tt.call, tt.want)
	}
}

// TestSetGroupIDOfAnotherGroup: the kernel leaves the bit to members of the group that it remembers. Who is in none of the group that others gave a file
// does not get it, as on a local disk, and who may keep it does.
func TestSetGroupIDOfAnotherGroup(t *testing.T) {
	const owner, group = user(42), 43
	clock := testenv.NewClock()
	options := testenv.Options{NoMount: true, Cache: cache.Options{MetaTTL: time.Nanosecond}, Mount: fs.Options{AllowOther: true}, Emulator: clock.Use}
	here := testenv.New(t, options)
	options.Share = here
	there := testenv.New(t, options)
	_, err := here.Cache.Mknod(t.Context(), cache.Root, "f", cache.New{Mode: unix.S_IFREG | 0o777, UID: uint32(owner)})
	must(t, err)
	here.Sync()
	clock.Advance(5 * time.Second)
	elsewhere, _, err := there.Cache.Lookup(t.Context(), cache.Root, "f")
	must(t, err)
	_, err = there.Cache.SetAttr(t.Context(), elsewhere.Ino, cache.Change{Set: cache.SetGID, GID: group})
	must(t, err)
	there.Sync()
	clock.Advance(5 * time.Second)
	var st cache.Stat
	testenv.Eventually(t, "the new group", func() bool {
		st, _, err = here.Cache.Lookup(t.Context(), cache.Root, "f")
		must(t, err)
		return st.GID == group
	})
	for _, tt := range []struct {
		by   cache.Caller
		want uint32
	}{{owner, 0o755}, {keeper{owner}, 0o2755}} {
		st, err := here.Cache.SetAttr(t.Context(), st.Ino, cache.Change{Set: cache.SetMode, Mode: 0o2755, Asked: tt.by})
		if err != nil || st.Mode&0o7777 != tt.want {
			t.Errorf("%T: mode %o, %v, want %o", tt.by, st.Mode, err, tt.want)
		}
	}
}

// keeper is a user who may keep set-id bits.
type keeper struct{ user }

func (keeper) KeepsSetID() bool { return true }

// ignoring is err, but for one that is expected.
func ignoring(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

// TestOpenIsCheckedAnew: a mode that others changed has not been looked at by the kernel yet, which checked the old one.
func TestOpenIsCheckedAnew(t *testing.T) {
	env := testenv.New(t, testenv.Options{NoMount: true})
	k := &kernel{cache: env.Cache, checks: true}
	env.Cache.SetKernel(k)
	ino := writeFile(t, env, "f", "text")
	k.ForgetInode(ino)
	if err := env.Cache.Open(t.Context(), ino, cache.OpenMode{}); !errors.Is(err, cache.ErrOutdated) {
		t.Errorf("got %v, want %v", err, cache.ErrOutdated)
	}
	k.checks = false
	if err := env.Cache.Open(t.Context(), ino, cache.OpenMode{}); err != nil {
		t.Fatal(err)
	}
	if err := env.Cache.Release(t.Context(), ino, false); err != nil {
		t.Error(err)
	}
}

// TestXattrsAreCheckedAnew: who may read and write those of user.* is decided by the mode. For those of trusted.* the kernel looks at no file.
func TestXattrsAreCheckedAnew(t *testing.T) {
	env := testenv.New(t, testenv.Options{NoMount: true})
	c, k := env.Cache, &kernel{cache: env.Cache, checks: true}
	c.SetKernel(k)
	ino := writeFile(t, env, "f", "text")
	for name, want := range map[string]error{"user.a": cache.ErrOutdated, "trusted.a": nil} {
		for call, do := range map[string]func() error{
			"set":    func() error { return c.SetXattr(t.Context(), ino, name, []byte("v"), cache.XattrAny) },
			"get":    func() error { _, err := c.GetXattr(t.Context(), ino, name); return err },
			"remove": func() error { return c.RemoveXattr(t.Context(), ino, name) },
		} {
			k.checks = false
			if err := c.SetXattr(t.Context(), ino, name, []byte("v"), cache.XattrAny); err != nil {
				t.Fatal(err)
			}
			k.checks = true
			k.ForgetInode(ino)
			if err := do(); !errors.Is(err, want) {
				t.Errorf("%s %s: got %v, want %v", call, name, err, want)
			}
		}
	}
}

// TestCallOfBeforeIsCheckedAnew: others closed a directory, and a call of somebody whom the kernel let in before learns of it. That the kernel has
// looked again meanwhile, for another call, does not mean that it would let this one in.
func TestCallOfBeforeIsCheckedAnew(t *testing.T) {
	clock := testenv.NewClock()
	options := testenv.Options{NoMount: true, Cache: cache.Options{MetaTTL: time.Nanosecond}, Mount: fs.Options{AllowOther: true}, Emulator: clock.Use}
	here := testenv.New(t, options)
	options.Share = here
	there := testenv.New(t, options)
	c := here.Cache
	c.SetKernel(&kernel{cache: c}) // it looks at once
	ctx := foreign{t.Context()}
	for name, call := range map[string]func(dir cache.Ino) error{
		"lookup": func(d cache.Ino) error { _, _, err := c.Lookup(ctx, d, "old"); return err },
		"open": func(d cache.Ino) error {
			dir, err := c.OpenDir(ctx, d)
			if err == nil {
				dir.Close()
			}
			return err
		},
		"mkdir": func(d cache.Ino) error {
			_, err := c.Mkdir(ctx, d, "new", cache.New{Mode: 0o755})
			return err
		},
		"rename": func(d cache.Ino) error { return c.Rename(ctx, d, "old", d, "moved", cache.RenameReplace) },
		"unlink": func(d cache.Ino) error { return c.Unlink(ctx, d, "old") },
	} {
		dir, err := c.Mkdir(t.Context(), cache.Root, name, cache.New{Mode: 0o777})
		if err != nil {
			t.Fatal(err)
		}
		storeIn(t, here, dir.Ino, "old", "here")
		here.Sync()
		clock.Advance(5 * time.Second)
		elsewhere, _, err := there.Cache.Lookup(t.Context(), cache.Root, name)
		if err == nil {
			_, err = there.Cache.SetAttr(t.Context(), elsewhere.Ino, cache.Change{Set: cache.SetMode, Mode: 0o700})
		}
		if err != nil {
			t.Fatal(err)
		}
		there.Sync()
		clock.Advance(5 * time.Second)
		if err := call(dir.Ino); !errors.Is(err, cache.ErrOutdated) {
			t.Errorf("%s: got %v, want %v", name, err, cache.ErrOutdated)
		}
		st, err := c.GetAttr(t.Context(), dir.Ino)
		if err != nil || st.Mode&0o777 != 0o700 {
			t.Errorf("%s: mode %o, %v", name, st.Mode, err)
		}
		if err := call(dir.Ino); err != nil {
			t.Errorf("%s, by whom the mode lets in: %v", name, err)
		}
	}
}

// foreign is a call by somebody of whom only the kernel can tell what rights he has.
type foreign struct{ context.Context }

func (foreign) Request() (uint64, bool) { return 0, false }
func (foreign) Caller() cache.Caller    { return foreigner{} }

type foreigner struct{ user }

func (foreigner) Owner(uint32) (is, known bool)             { return false, false }
func (foreigner) May(*cache.Stat, uint32) (may, known bool) { return false, false }

// storeIn writes a file of a directory, which may exist.
func storeIn(t *testing.T, env *testenv.Env, dir cache.Ino, name, text string) {
	t.Helper()
	c := env.Cache
	st, _, err := c.Lookup(t.Context(), dir, name)
	if errors.Is(err, cache.ErrNotFound) {
		st, err = c.Create(t.Context(), dir, name, cache.New{Mode: 0o600}, cache.OpenMode{Write: true})
	} else if err == nil {
		err = c.Open(t.Context(), st.Ino, cache.OpenMode{Write: true, Truncate: true})
	}
	if err == nil {
		err = c.Write(t.Context(), st.Ino, 0, []byte(text), nil)
	}
	if err = errors.Join(err, c.Release(t.Context(), st.Ino, true)); err != nil {
		t.Fatal(err)
	}
}

// user is one without any rights but those of his id.
type user uint32

func (u user) MayChange(uid uint32) bool         { return uint32(u) == uid }
func (u user) Owner(uid uint32) (is, known bool) { return uint32(u) == uid, true }
func (user) InGroup(uint32) bool                 { return false }
func (user) KeepsSetID() bool                    { return false }
func (u user) Is(uid uint32) bool                { return uint32(u) == uid }
func (user) Gives() (may, known bool)            { return false, true }
func (u user) May(st *cache.Stat, rights uint32) (may, known bool) {
	granted := st.Mode & 7
	if u.Is(st.UID) {
		granted = st.Mode >> 6 & 7
	}
	return rights&^granted == 0, true
}

// TestOwnerThatNobodyVouchesFor: the tag with the owner of a file was taken away in the bucket. Whom its box names may have given it to somebody else
// since, and has no right to it, as it is shown.
func TestOwnerThatNobodyVouchesFor(t *testing.T) {
	const former = 99
	options := testenv.Options{NoMount: true, Mount: fs.Options{AllowOther: true}}
	there := testenv.New(t, options)
	st, err := there.Cache.Create(t.Context(), cache.Root, "f", cache.New{Mode: 0o600, UID: former}, cache.OpenMode{Write: true})
	must(t, err)
	must(t, there.Cache.Write(t.Context(), st.Ino, 0, make([]byte, object.SmallFile+1), nil))
	must(t, there.Cache.Release(t.Context(), st.Ino, true))
	there.Sync()
	must(t, there.Server.AlterObject(testenv.Bucket, "f", func(h http.Header, body []byte) []byte {
		h.Set("X-Oss-Tagging", "")
		return body
	}))
	options.Share = there
	here := testenv.New(t, options)
	st, _, err = here.Cache.Lookup(t.Context(), cache.Root, "f")
	must(t, err)
	if st.UID == former {
		t.Fatalf("shown as a file of %d", st.UID)
	}
	k := &kernel{cache: here.Cache, checks: true}
	here.Cache.SetKernel(k)
	k.ForgetInode(st.Ino)
	_, err = here.Cache.SetAttr(t.Context(), st.Ino, cache.Change{Set: cache.SetMode, Mode: 0o777, Asked: user(former)})
	if !errors.Is(err, cache.ErrNotPermitted) {
		t.Errorf("got %v, want %v", err, cache.ErrNotPermitted)
	}
}
