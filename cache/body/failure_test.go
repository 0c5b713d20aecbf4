package body

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/ossencfs/ossencfs/cache/index"
)

// faulty is an env whose disk fails while the switch is on. A model is there for its look at the disk.
func faulty(t *testing.T) (*model, *atomic.Bool) {
	var full atomic.Bool
	m := &model{r: rand.New(rand.NewPCG(1, 1)), images: map[string][]byte{}}
	m.env = newEnv(t, Options{fault: func() error {
		if full.Load() {
			return syscall.ENOSPC
		}
		return nil
	}})
	return m, &full
}

// A disk error leaves the content as it was, and says what it is.
func TestDiskFull(t *testing.T) {
	for _, size := range []int{2000, 300_000} {
		for _, off := range []int{0, 1000, -1} {
			m, full := faulty(t)
			ino := m.file("f")
			want := random(50, size)
			m.write(ino, 0, want)
			full.Store(true)
			at := int64(off)
			if off < 0 {
				at = int64(size)
			}
			if err := m.s.Write(context.Background(), ino, at, random(51, 100_000)); !errors.Is(err, ErrNoSpace) {
				t.Errorf("write at %d to a full disk: %v", off, err)
			}
			m.want(ino, want)
			full.Store(false)
			m.write(ino, at, random(52, 100))
			want = grow(want, at+100)
			copy(want[at:], random(52, 100))
			m.want(ino, want)
			m.seal(ino)
			m.want(ino, want)
		}
	}
}

// A stream whose write failed is not continued: half of the ciphertext may be on the disk, and other bytes must not be sealed
// at the same place.
func TestFailedAppend(t *testing.T) {
	for _, size := range []int{500, 10_000, 200_000} {
		m, full := faulty(t)
		ino := m.file("f")
		m.inos = []index.Ino{ino}
		want := random(53, size)
		for off := 0; off < size; off += 400 { // many writes leave room in the last piece
			if size > 100_000 {
				m.write(ino, 0, want)
				break
			}
			m.write(ino, int64(off), want[off:min(off+400, size)])
		}
		full.Store(true)
		if err := m.s.Write(context.Background(), ino, int64(size), random(54, 3000)); !errors.Is(err, ErrNoSpace) {
			t.Fatal(err)
		}
		m.lookAtDisk()
		full.Store(false)
		more := random(55, 3000)
		m.write(ino, int64(size), more)
		m.lookAtDisk()
		m.want(ino, append(want, more...))
		m.seal(ino)
		m.lookAtDisk()
		m.want(ino, append(want, more...))
	}
}

// The same when the seal that continues a stream fails.
func TestFailedSeal(t *testing.T) {
	m, full := faulty(t)
	ino := m.file("f")
	m.inos = []index.Ino{ino}
	want := random(56, 300_000)
	m.write(ino, 0, want)
	if err := m.s.Truncate(context.Background(), ino, 600_000); err != nil {
		t.Fatal(err)
	}
	want = grow(want, 600_000)
	full.Store(true)
	if err := m.s.Seal(context.Background(), ino); !errors.Is(err, ErrNoSpace) {
		t.Fatal(err)
	}
	m.lookAtDisk()
	full.Store(false)
	m.want(ino, want)
	m.write(ino, 300_000, random(57, 5000))
	copy(want[300_000:], random(57, 5000))
	m.lookAtDisk()
	m.want(ino, want)
	m.seal(ino)
	m.lookAtDisk()
	m.want(ino, want)
}

// machine is a store whose index forgets at a power cut what was not synced.
type machine struct {
	*env
	disk *vfs.MemFS
}

func newMachine(t *testing.T) *machine {
	m := &machine{env: &env{t: t, dir: t.TempDir(), k: &bucket{objects: map[string]stored{}}}, disk: vfs.NewCrashableMem()}
	m.boot()
	t.Cleanup(m.close)
	return m
}

func (m *machine) boot() {
	m.t.Helper()
	var err error
	m.db, err = index.Open(filepath.Join(m.dir, "index"), index.Options{Secret: testSecret, FS: m.disk})
	if err != nil {
		m.t.Fatal(err)
	}
	if m.s, err = Open(filepath.Join(m.dir, "body"), Options{DB: m.db, Remote: m.k, Limit: MinLimit}); err != nil {
		m.t.Fatal(err)
	}
}

// powerCut ends everything without a sync and starts again from what the index had on the disk.
func (m *machine) powerCut() {
	m.t.Helper()
	m.stop()
	after := m.disk.CrashClone(vfs.CrashCloneCfg{})
	if err := m.db.Close(); err != nil {
		m.t.Fatal(err)
	}
	m.disk = after
	m.boot()
}

// A power cut takes back what the index had not on the disk. The fsynced content that comes back with it must still be there.
func TestPowerCut(t *testing.T) {
	ctx := context.Background()
	for _, size := range []int{5000, 200_000} {
		m := newMachine(t)
		ino := m.file("f")
		first := random(60, size)
		m.write(ino, 0, first)
		m.seal(ino)
		if err := m.s.Fsync(ctx, ino); err != nil {
			t.Fatal(err)
		}
		// From here on nothing is fsynced: a working copy, its seal, and what goes with it.
		m.write(ino, 100, []byte("overwritten"))
		second := bytes.Clone(first)
		copy(second[100:], "overwritten")
		m.seal(ino)
		if err := m.s.Truncate(ctx, ino, 0); err != nil {
			t.Fatal(err)
		}
		third := random(61, size)
		m.write(ino, 0, third)
		m.seal(ino)
		m.powerCut()
		got := m.readAll(ino)
		if !bytes.Equal(got, first) && !bytes.Equal(got, second) && !bytes.Equal(got, third) && len(got) != 0 {
			t.Errorf("size %d: content is none that ever was", size)
		}
	}
}

// The same for a working copy: the slots of fsynced chunks are not written again before the index has forgotten them.
func TestPowerCutOfWorkingCopy(t *testing.T) {
	m := newMachine(t)
	ino := m.file("f")
	want := random(62, 100_000)
	m.write(ino, 0, want)
	m.seal(ino)
	m.write(ino, 4096, bytes.Repeat([]byte{0}, 4096))
	if err := m.s.Fsync(context.Background(), ino); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		m.write(ino, 4096, bytes.Repeat([]byte{byte(i + 1)}, 4096))
	}
	m.powerCut()
	got := m.readAll(ino)
	if page := got[4096:8192]; bytes.Count(page, page[:1]) != len(page) || page[0] > 20 {
		t.Error("the page is none that was ever written")
	}
	copy(want[4096:8192], got[4096:8192])
	if !bytes.Equal(got, want) {
		t.Errorf("content differs at %d", differ(got, want))
	}
	m.seal(ino)
}

// TestDiskErrors: a full disk and a full quota are the same to a writer, a broken disk is not, and the content stays in each case.
func TestDiskErrors(t *testing.T) {
	for _, c := range []struct {
		errno syscall.Errno
		full  bool
	}{{syscall.ENOSPC, true}, {syscall.EDQUOT, true}, {syscall.EIO, false}} {
		t.Run(c.errno.Error(), func(t *testing.T) {
			var broken atomic.Bool
			e := newEnv(t, Options{fault: func() error {
				if broken.Load() {
					return c.errno
				}
				return nil
			}})
			ino := e.file("f")
			want := random(60, 200_000)
			e.write(ino, 0, want)
			broken.Store(true)
			err := e.s.Write(context.Background(), ino, 100, random(61, 5000))
			if !errors.Is(err, c.errno) || errors.Is(err, ErrNoSpace) != c.full {
				t.Errorf("got %v, want %v, full: %v", err, c.errno, c.full)
			}
			if disk := e.s.Usage().Disk; (disk != nil) == c.full {
				t.Errorf("usage says %v of the disk", disk)
			}
			broken.Store(false)
			e.want(ino, want)
			e.write(ino, 100, want[100:200])
			if disk := e.s.Usage().Disk; disk != nil {
				t.Errorf("usage still says %v", disk)
			}
		})
	}
}
