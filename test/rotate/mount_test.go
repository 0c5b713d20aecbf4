package rotate

import (
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// TestMountsGoOn rewraps a bucket below two running mounts, one of which has files open, changes that are not sent, and old
// listings. Both read and show the same as before, what they change arrives, and nothing is taken for a conflict, a rollback or a
// loss.
func TestMountsGoOn(t *testing.T) {
	old, fresh := got[*keys.RSA](t)(rsa2048()), got[*keys.RSA](t)(rsa4096())
	small := object.Options{Keyring: keys.NewKeyring(old), PartSize: 1 << 20, MultipartThreshold: 1 << 20}
	a := testenv.New(t, testenv.Options{Object: small})
	text := func(name string, size int) []byte {
		return []byte(strings.Repeat(name+".", size/(len(name)+1)+1))[:size]
	}
	names := []string{"small", "large", "dirty", "over", "moved", "gone", "attr", "xattr", "appended"}
	must(t, os.Mkdir(a.Path("d"), 0o750))
	for _, name := range names {
		size := 1000
		if name == "large" || name == "appended" {
			size = 5<<20 + 3
		}
		must(t, os.WriteFile(a.Path("d", name), text(name, size), 0o640))
		must(t, unix.Setxattr(a.Path("d", name), "user.note", []byte(name), 0))
	}
	must(t, os.WriteFile(a.Path("d/empty"), nil, 0o600))
	must(t, os.Symlink("small", a.Path("d/link")))
	a.Sync()
	must(t, os.Chmod(a.Path("d/small"), 0o604)) // by a tag
	a.Sync()

	b := testenv.New(t, testenv.Options{Share: a, Object: small})
	before := testenv.Tree(t, b.Dir)
	large := got[*os.File](t)(os.Open(b.Path("d/large")))
	head := make([]byte, 1<<20)
	_, err := io.ReadFull(large, head)
	must(t, err)
	dirty := got[*os.File](t)(os.OpenFile(b.Path("d/dirty"), os.O_RDWR, 0))
	_, err = dirty.WriteAt([]byte("changed"), 0)
	must(t, err)
	added := got[*os.File](t)(os.OpenFile(b.Path("d/appended"), os.O_WRONLY|os.O_APPEND, 0))
	_, err = added.WriteString("more")
	must(t, err)

	rewrap(t, options(a.Server, old), fresh, old)

	rest, err := io.ReadAll(large)
	if want := text("large", 5<<20+3); err != nil || string(head)+string(rest) != string(want) {
		t.Errorf("an open file goes on with %d bytes that differ, or %v", len(rest), err)
	}
	must(t, large.Close())
	_, err = dirty.WriteAt([]byte("twice"), 100)
	must(t, err)
	must(t, dirty.Close())
	must(t, added.Close())
	must(t, os.WriteFile(b.Path("d/over"), []byte("new"), 0o640))
	must(t, os.Rename(b.Path("d/moved"), b.Path("d/moved-2")))
	must(t, os.Remove(b.Path("d/gone")))
	must(t, os.Chmod(b.Path("d/attr"), 0o4711))
	must(t, unix.Setxattr(b.Path("d/xattr"), "user.second", []byte("2"), 0))
	b.Sync()
	tree := func(env *testenv.Env) map[string]string {
		m := testenv.Tree(t, env.Dir)
		delete(m, "d") // what is done in it changes its time here alone
		return m
	}
	now := tree(b)
	for _, name := range []string{"d/small", "d/large", "d/empty", "d/link"} {
		if now[name] != before[name] {
			t.Errorf("%s:\n got  %s\n want %s", name, now[name], before[name])
		}
	}
	content := string(got[[]byte](t)(os.ReadFile(b.Path("d/dirty"))))
	if want := "changed" + string(text("dirty", 1000))[7:100] + "twice" + string(text("dirty", 1000))[105:]; content != want {
		t.Errorf("a file that was open for writing has %q", content)
	}
	for _, env := range []*testenv.Env{a, b} {
		env.DropCache()
		testenv.SameTree(t, tree(env), now)
		for _, word := range []string{"both versions are kept", string(object.NoticeRollback), "older", string(object.NoticeVanished), "is gone", "level=ERROR"} {
			if strings.Contains(env.Log(), word) {
				t.Errorf("%q is in the log:\n%s", word, env.Log())
				break
			}
		}
	}
	if want := len(before) - 2; len(now) != want { // one was removed, and the directory is left out
		t.Errorf("%d names, want %d: %v", len(now), want, now)
	}
}

// rewrap gives a key a slot and rewraps the bucket under it, all of it.
func rewrap(t *testing.T, o object.Options, fresh keys.MasterKey, old ...keys.MasterKey) object.RewrapReport {
	t.Helper()
	addSlot(t, o, fresh)
	o.Keyring = keys.NewKeyring(fresh, old...)
	rep, err := open(t, o).Rewrap(t.Context(), object.RewrapOptions{})
	if err != nil || !rep.Complete() || rep.Refused > 0 || rep.Rewrapped == 0 {
		t.Fatalf("rewrap: %+v, %v", rep, err)
	}
	return rep
}
