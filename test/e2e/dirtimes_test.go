package e2e

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// TestDirectoryTimesFollow: the modification time of a directory that a change of its entries moved is in the bucket, whatever changed them, and a new
// machine sees it.
func TestDirectoryTimesFollow(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	calls := map[string]func(dir string) error{
		"create": func(dir string) error { return os.WriteFile(dir+"/new", nil, 0o644) },
		"mkdir":  func(dir string) error { return os.Mkdir(dir+"/new", 0o755) },
		"link":   func(dir string) error { return os.Symlink("x", dir+"/new") },
		"unlink": func(dir string) error { return os.Remove(dir + "/old") },
		"rmdir":  func(dir string) error { return os.Remove(dir + "/sub") },
		"rename": func(dir string) error { return os.Rename(dir+"/old", dir+"/new") },
		"leave":  func(dir string) error { return os.Rename(dir+"/old", env.Path("left")) },
		"arrive": func(dir string) error { return os.Rename(env.Path("coming"), dir+"/new") },
	}
	must(t, os.WriteFile(env.Path("coming"), nil, 0o644))
	for name := range calls {
		dir := env.Path(name)
		must(t, os.MkdirAll(dir+"/sub", 0o755))
		must(t, os.WriteFile(dir+"/old", nil, 0o644))
		must(t, os.Chtimes(dir, testTime, testTime))
	}
	env.Sync()
	want := map[string]time.Time{}
	for name, call := range calls {
		must(t, call(env.Path(name)))
		want[name] = modified(t, env.Path(name))
		if want[name].Equal(testTime) {
			t.Errorf("%s does not move the time of its directory", name)
		}
	}
	env.DropCache()
	for name, moved := range want {
		if got := modified(t, env.Path(name)); !got.Equal(moved) {
			t.Errorf("%s: a new machine sees %v, want %v", name, got, moved)
		}
	}
}

func modified(t *testing.T, path string) time.Time {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	return info.ModTime()
}

// TestDirectoryTimesAreCheap: many changes of a directory's entries cost one look at its marker and one marker; a directory without a marker gets none.
func TestDirectoryTimesAreCheap(t *testing.T) {
	env := testenv.New(t, testenv.Options{Cache: cache.Options{Settle: time.Hour}})
	_, err := env.Store.PutFile(t.Context(), object.FileRequest{Key: "implicit/f", Source: strings.NewReader("x"), Size: 1,
		Attr: object.Attr{Mode: object.ModeRegular | 0o644}})
	must(t, err)
	env.DropCache()
	must(t, os.Mkdir(env.Path("d"), 0o755))
	env.Sync()
	var mu sync.Mutex
	var got []string
	env.Server.Watch(func(s emulator.Step) {
		asked := s.Operation == "HeadObject" && s.Key != "d/" // for the attributes of the other directory
		if s.Moment == emulator.Before && strings.HasSuffix(s.Key, "/") && !asked {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, s.Operation+" "+s.Key)
		}
	})
	defer env.Server.Watch(nil)
	for n := range 300 {
		must(t, os.WriteFile(env.Path("d", strconv.Itoa(n)), nil, 0o644))
	}
	for n := range 100 {
		must(t, os.Remove(env.Path("d", strconv.Itoa(n))))
	}
	must(t, os.WriteFile(env.Path("implicit", "g"), nil, 0o644))
	env.Sync()
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"HeadObject d/", "PutObject d/"}; !slices.Equal(got, want) {
		t.Errorf("got the requests %v, want %v", got, want)
	}
}
