package verify

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// mounted is a mount with the same files as a world, verified with what it remembers.
type mounted struct{ *testenv.Env }

func newMounted(t *testing.T) mounted {
	t.Helper()
	m := mounted{testenv.New(t, testenv.Options{})}
	for name, data := range map[string][]byte{"f": pattern(300_000, 1), "other": pattern(2*leafSize+9, 2), "old": pattern(1000, 3), "empty": {}} {
		must(t, os.WriteFile(m.Path(name), data, 0o640))
	}
	must(t, os.Mkdir(m.Path("d"), 0o750))
	must(t, os.WriteFile(m.Path("d/inner"), pattern(5000, 4), 0o600))
	must(t, os.Symlink("some/target", m.Path("link")))
	must(t, unix.Setxattr(m.Path("f"), "user.note", []byte("sealed"), 0))
	m.Sync()
	must(t, os.Chmod(m.Path("other"), 0o604))
	must(t, os.Rename(m.Path("d/inner"), m.Path("d/renamed")))
	m.Sync()
	return m
}

func (m mounted) verify(t *testing.T, o object.VerifyOptions) object.VerifyReport {
	t.Helper()
	o.Memory = m.Cache.Memory()
	return verify(t, m.Store, o)
}

// object is an object as it lies in the bucket.
func (m mounted) object(t *testing.T, key string) stored {
	t.Helper()
	body, h, err := m.Server.ReadObject(testenv.Bucket, key)
	must(t, err)
	return stored{h, body}
}

// replace puts an object in the place of another, its tags included.
func (m mounted) replace(t *testing.T, key string, s stored) {
	t.Helper()
	must(t, m.Server.RemoveObject(testenv.Bucket, key))
	must(t, m.Server.WriteObject(testenv.Bucket, key, s.h.Clone(), bytes.Clone(s.body)))
}

// TestMountRemembers: what the bucket alone cannot show is found by a mount, and --repair uploads again what its cache holds.
func TestMountRemembers(t *testing.T) {
	m := newMounted(t)
	wantFindings(t, m.verify(t, object.VerifyOptions{Deep: true}))
	first := m.object(t, "old")
	must(t, os.WriteFile(m.Path("old"), pattern(2000, 9), 0o640))
	m.Sync()
	wantFindings(t, m.verify(t, object.VerifyOptions{Deep: true}))
	untagged := m.object(t, "other")
	untagged.h.Del("X-Oss-Tagging")
	want := map[string][]byte{}
	for _, name := range []string{"f", "other", "old", "empty", "d/renamed"} {
		data, err := os.ReadFile(m.Path(name))
		must(t, err)
		want[name] = data
	}

	m.replace(t, "old", first)                                     // an old version
	must(t, m.Server.RemoveObject(testenv.Bucket, "empty"))        // gone
	m.replace(t, "f", stored{http.Header{}, []byte("plain text")}) // without a box
	must(t, m.Server.DamageObject(testenv.Bucket, "d/renamed", 7))
	m.replace(t, "other", untagged) // older attributes
	must(t, m.Server.RemoveObject(testenv.Bucket, "d/"))
	damage := []string{"rolled-back old", "vanished empty", "stripped f", "tampered d/renamed", "rolled-back other", "vanished d/"}
	wantFindings(t, m.verify(t, object.VerifyOptions{Deep: true}), damage...)
	r := m.verify(t, object.VerifyOptions{Deep: true, Repair: true})
	if wantFindings(t, r, damage...); r.Repaired != int64(len(damage)) || r.Damaged() != 0 {
		t.Errorf("%d of %d repaired: %+v", r.Repaired, len(damage), r.Findings)
	}
	m.Sync()
	wantFindings(t, m.verify(t, object.VerifyOptions{Deep: true}))
	m.DropCache()
	for name, data := range want {
		if got, err := os.ReadFile(m.Path(name)); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, %v, want %d", name, len(got), err, len(data))
		}
	}
	if info, err := os.Stat(m.Path("other")); err != nil || info.Mode().Perm() != 0o604 {
		t.Errorf("other: %v, %v", info, err)
	}
	for _, key := range m.Keys() {
		if bytes.Contains([]byte(key), []byte("conflict")) {
			t.Errorf("the repair left %s", key)
		}
	}
}

// TestRepairNeedsTheWholeFile: what the cache does not hold is not repaired, and stays reported.
func TestRepairNeedsTheWholeFile(t *testing.T) {
	m := newMounted(t)
	m.DropCache()
	_, err := os.Stat(m.Path("f"))
	must(t, err)
	must(t, m.Server.DamageObject(testenv.Bucket, "f", 7))
	for range 2 {
		r := m.verify(t, object.VerifyOptions{Deep: true, Repair: true})
		if wantFindings(t, r, "tampered f"); r.Repaired != 0 || r.Damaged() != 1 {
			t.Errorf("%d repaired, %d damaged", r.Repaired, r.Damaged())
		}
	}
}

// TestVerifyBesideWrites: files that are written, renamed and removed while they are verified are no findings.
func TestVerifyBesideWrites(t *testing.T) {
	m := newMounted(t)
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			err := os.WriteFile(m.Path("f"), pattern(20_000, byte(i)), 0o640)
			if err == nil {
				err = os.Rename(m.Path("f"), m.Path("old"))
			}
			if err == nil {
				err = os.Chmod(m.Path("other"), 0o600+os.FileMode(i%8))
			}
			if err == nil {
				err = m.Cache.Sync(context.Background(), "", nil)
			}
			if err != nil {
				done <- err
				return
			}
		}
	}()
	for range 30 {
		r := m.verify(t, object.VerifyOptions{Deep: true})
		if r.Damaged() != 0 || r.Counts[object.FoundOutside] != 0 {
			t.Errorf("found %+v", r.Findings)
		}
	}
	close(stop)
	must(t, <-done)
	m.Sync()
	wantFindings(t, m.verify(t, object.VerifyOptions{Deep: true}))
}

// TestVerifyBelowAPrefix: the root's own marker, and a prefix whose volume is above it, are nothing to report.
func TestVerifyBelowAPrefix(t *testing.T) {
	above := testenv.New(t, testenv.Options{})
	must(t, os.WriteFile(above.Path("f"), pattern(10, 1), 0o600))
	above.Sync()
	e := testenv.New(t, testenv.Options{Share: above, Prefix: "a/b/"})
	for _, m := range []*testenv.Env{above, e} {
		_, err := m.Store.PutFile(context.Background(), object.FileRequest{Source: bytes.NewReader(nil), Attr: object.Attr{Mode: object.ModeDir | 0o700}})
		must(t, err)
	}
	must(t, os.WriteFile(e.Path("f"), pattern(10, 1), 0o600))
	e.Sync()
	for _, m := range []*testenv.Env{above, e} {
		r := mounted{m}.verify(t, object.VerifyOptions{Deep: true})
		if wantFindings(t, r); r.Objects < 3 {
			t.Errorf("%d objects", r.Objects)
		}
	}
	must(t, e.Server.DamageObject(testenv.Bucket, "a/b/f", 3))
	wantFindings(t, mounted{above}.verify(t, object.VerifyOptions{Deep: true, Path: "a"}), "tampered a/b/f")
	wantFindings(t, mounted{e}.verify(t, object.VerifyOptions{Deep: true}), "tampered f")
}
