package index

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// crashDir tells the test binary to be the process that is killed.
const crashDir = "OSSENCFS_INDEX_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := writeUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// writeUntilKilled counts upwards, in one transaction each, and says each number once it is acknowledged.
func writeUntilKilled(dir string) error {
	d, err := Open(dir, Options{Secret: testSecret})
	if err != nil {
		return err
	}
	for n := uint64(1); ; n++ {
		err := d.Update(func(tx *Tx) error {
			if err := tx.PutMeta("n", binary.BigEndian.AppendUint64(nil, n)); err != nil {
				return err
			}
			return tx.PutRaw('x', binary.BigEndian.AppendUint64(nil, n), make([]byte, 200))
		})
		if err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// TestKilled kills a writer at some moment, several times over one folder: what it had acknowledged is there, whole.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	last := uint64(0)
	for round := range 3 {
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), crashDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		acknowledged := uint64(0)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if acknowledged, err = strconv.ParseUint(lines.Text(), 10, 64); err != nil {
				t.Fatal(err)
			}
			if acknowledged == uint64(2000+1500*round) {
				break
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what it said before it died
			if n, err := strconv.ParseUint(lines.Text(), 10, 64); err == nil {
				acknowledged = n
			}
		}
		_ = cmd.Wait() // it was killed
		last = max(last, acknowledged)
		checkCounted(t, dir, acknowledged)
	}
	if last < 2000 {
		t.Errorf("the writer came to %d only", last)
	}
}

func checkCounted(t *testing.T, dir string, acknowledged uint64) {
	t.Helper()
	d, err := Open(dir, Options{Secret: testSecret})
	if err != nil {
		t.Fatal(err)
	}
	mustView(t, d, func(tx *Tx) error {
		row, _, err := tx.Meta("n")
		if err != nil {
			return err
		}
		n := binary.BigEndian.Uint64(row)
		if n < acknowledged {
			t.Errorf("%d was acknowledged, %d is there", acknowledged, n)
		}
		rows := uint64(0)
		err = tx.ScanRaw('x', nil, func(_, _ []byte) bool { rows++; return true })
		if rows < n {
			t.Errorf("%d rows of %d transactions", rows, n)
		}
		return err
	})
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestPowerCut copies what a disk would hold when the machine loses power: only what was synced.
func TestPowerCut(t *testing.T) {
	disk := vfs.NewCrashableMem()
	dir := t.TempDir() // for the lock and the version file, which stay on the true disk
	d, err := Open(dir, Options{Secret: testSecret, FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	put := func(update func(func(*Tx) error) error, n byte) {
		t.Helper()
		if err := update(func(tx *Tx) error { return tx.PutRaw('x', []byte{n}, []byte{n}) }); err != nil {
			t.Fatal(err)
		}
	}
	put(d.Update, 1)
	put(d.UpdateSync, 2)
	put(d.Update, 3)
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
	syncs := d.wal.syncs.Load()
	put(d.Update, 4)
	if d.wal.syncs.Load() != syncs {
		t.Error("an update without a barrier waited for the disk")
	}
	after := disk.CrashClone(vfs.CrashCloneCfg{})
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d, err = Open(dir, Options{Secret: testSecret, FS: after})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	mustView(t, d, func(tx *Tx) error {
		for n := byte(1); n <= 3; n++ {
			if _, ok, err := tx.GetRaw('x', []byte{n}); !ok || err != nil {
				t.Errorf("update %d before a barrier is lost (%v)", n, err)
			}
		}
		return nil
	})
}

// fullFS refuses to write logs once it is full.
type fullFS struct {
	vfs.FS
	full bool
}

type fullFile struct {
	vfs.File
	fs *fullFS
}

var errFull = errors.New("no space left")

func (f *fullFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, c)
	if err != nil || !strings.HasSuffix(name, ".log") {
		return file, err
	}
	return &fullFile{file, f}, nil
}

func (f *fullFile) Write(p []byte) (int, error) {
	if f.fs.full {
		return 0, errFull
	}
	return f.File.Write(p)
}

// TestLogCannotBeWritten: the change is refused, later ones are, reading goes on, and the process does not end.
func TestLogCannotBeWritten(t *testing.T) {
	disk := &fullFS{FS: vfs.NewMem()}
	d, err := Open(t.TempDir(), Options{Secret: testSecret, FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	f := file(t, d, Root, "a")
	disk.full = true
	for range 2 {
		if err := d.Update(func(tx *Tx) error { return tx.PutMeta("x", nil) }); !errors.Is(err, ErrFailed) {
			t.Errorf("got %v", err)
		}
	}
	if err := d.UpdateSync(func(tx *Tx) error { return tx.PutMeta("x", nil) }); !errors.Is(err, ErrFailed) {
		t.Errorf("got %v", err)
	}
	mustView(t, d, func(tx *Tx) error {
		_, ok, err := tx.Inode(f.Ino)
		if !ok {
			t.Error("the inode is gone")
		}
		return err
	})
	if err := d.Close(); !errors.Is(err, ErrFailed) {
		t.Errorf("close: %v", err)
	}
}

// tightFS has no room as long as the reserve takes it.
type tightFS struct {
	vfs.FS
	reserve string
	tight   bool
}

type tightFile struct {
	vfs.File
	fs *tightFS
}

func (f *tightFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, c)
	if err != nil {
		return nil, err
	}
	return &tightFile{file, f}, nil
}

func (f *tightFile) Write(p []byte) (int, error) {
	if _, err := os.Stat(f.fs.reserve); err == nil && f.fs.tight {
		return 0, unix.ENOSPC
	}
	return f.File.Write(p)
}

// TestDiskFull: the reserve keeps the log writable, only new inodes are refused, and all is well when there is room again.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	disk := &tightFS{FS: vfs.NewMem(), reserve: filepath.Join(dir, reserveFile)}
	d, err := Open(dir, Options{Secret: testSecret, FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	f := file(t, d, Root, "a")
	disk.tight = true
	f.Size = 5
	mustUpdate(t, d, func(tx *Tx) error { return tx.PutInode(f) })
	create := func() error {
		return d.Update(func(tx *Tx) error {
			return tx.PutInode(Inode{Ino: tx.NextIno(), Parent: Root, Name: "b", Mode: unix.S_IFREG})
		})
	}
	d.spare.mu.Lock()
	d.spare.try = time.Now().Add(time.Hour) // no room yet
	d.spare.mu.Unlock()
	if err := create(); !errors.Is(err, ErrFull) {
		t.Errorf("create on a full disk: %v", err)
	}
	mustUpdate(t, d, func(tx *Tx) error { return tx.DeleteInode(f.Ino) })
	disk.tight = false
	d.spare.mu.Lock()
	d.spare.try = time.Time{}
	d.spare.mu.Unlock()
	if err := create(); err != nil {
		t.Errorf("create with room again: %v", err)
	}
	if _, err := os.Stat(disk.reserve); err != nil {
		t.Errorf("the reserve was not made again: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// TestDamage changes bytes of each kind of file.
func TestDamage(t *testing.T) {
	for _, pattern := range []string{"MANIFEST-*", "*.sst", "marker.manifest*"} {
		t.Run(pattern, func(t *testing.T) {
			dir := t.TempDir()
			d := openTest(t, dir)
			for n := range 300 {
				mustUpdate(t, d, func(tx *Tx) error {
					return tx.PutRaw('x', []byte(strconv.Itoa(n)), []byte(strings.Repeat(strconv.Itoa(n), 50)))
				})
			}
			if err := d.pebble.Flush(); err != nil {
				t.Fatal(err)
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			names, err := filepath.Glob(filepath.Join(dir, "db", pattern))
			if err != nil {
				t.Fatal(err)
			}
			if len(names) == 0 {
				t.Fatal("no such file")
			}
			for _, name := range names {
				damage(t, name)
			}
			d, err = Open(dir, Options{Secret: testSecret})
			if err == nil {
				err = d.View(func(tx *Tx) error {
					return tx.ScanRaw('x', nil, func(_, _ []byte) bool { return true })
				})
				_ = d.Close()
			}
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(fmt.Sprint(err), dir) {
				t.Errorf("got %v, want ErrCorrupt with the path", err)
			}
		})
	}
}

func damage(t *testing.T, name string) {
	t.Helper()
	if strings.Contains(name, "marker") {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		return
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for n := 10; n < len(b); n += 97 {
		b[n] ^= 0x55
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
