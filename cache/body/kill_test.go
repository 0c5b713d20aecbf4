package body

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

const killDir = "OSSENCFS_BODY_KILL_DIR"

// TestMain runs the process that TestKill kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		if err := writeUntilKilled(dir); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// killed is what file i of the killed process holds after n acknowledged writes: streams, overwrites and truncations by turns.
func killed(i, n int) []byte {
	var p []byte
	for k := range n {
		off, data := killedWrite(i, k, int64(len(p)))
		p = grow(p, off+int64(len(data)))
		copy(p[off:], data)
	}
	return p
}

func killedWrite(i, k int, size int64) (int64, []byte) {
	data := random(uint64(i*1000+k), 1+(i*7919+k*104729)%20_000)
	if i%2 == 1 && k%3 == 2 {
		return size / 3, data
	}
	return size, data
}

// writeUntilKilled writes to four files by turns and says so after each write.
func writeUntilKilled(dir string) error {
	db, err := index.Open(filepath.Join(dir, "index"), index.Options{Secret: testSecret})
	if err != nil {
		return err
	}
	s, err := Open(filepath.Join(dir, "body"), Options{DB: db})
	if err != nil {
		return err
	}
	var inos []index.Ino
	err = db.Update(func(tx *index.Tx) error {
		for i := range 4 {
			ino := tx.NextIno()
			inos = append(inos, ino)
			in := index.Inode{Ino: ino, Parent: index.Root, Name: fmt.Sprint("f", i), Mode: 0o100644, Gen: tx.NextGen()}
			if err := tx.PutInode(in); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	ctx := context.Background()
	size := make([]int64, 4)
	for k := 0; ; k++ {
		for i, ino := range inos {
			off, data := killedWrite(i, k, size[i])
			if err := s.Write(ctx, ino, off, data); err != nil {
				return err
			}
			size[i] = max(size[i], off+int64(len(data)))
			fmt.Println(i, k+1)
			if i == 3 && k%10 == 9 {
				if err := s.Seal(ctx, ino); err != nil {
					return err
				}
			}
		}
	}
}

// A SIGKILL loses no write that was acknowledged.
func TestKill(t *testing.T) {
	for _, after := range []int{3, 40, 101, 250} {
		dir := t.TempDir()
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), killDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		done := make([]int, 4)
		lines := bufio.NewScanner(out)
		for n := 0; n < after && lines.Scan(); n++ {
			note(t, lines.Text(), done)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what was acknowledged before the kill arrived
			if strings.Count(lines.Text(), " ") == 1 {
				note(t, lines.Text(), done)
			}
		}
		_ = cmd.Wait()
		e := &env{t: t, dir: dir, k: &bucket{objects: map[string]stored{}}}
		e.open()
		for i := range 4 {
			ino := index.Ino(2 + i)
			got := e.readAll(ino)
			// One more write may have been under way.
			if !bytes.Equal(got, killed(i, done[i])) && !bytes.Equal(got, killed(i, done[i]+1)) {
				t.Errorf("after %d lines: file %d has %d bytes, want %d writes: %d bytes", after, i, len(got), done[i], len(killed(i, done[i])))
			}
			e.seal(ino)
			e.upload(ino, fmt.Sprint("f", i))
		}
		e.close()
	}
}

func note(t *testing.T, line string, done []int) {
	t.Helper()
	var i, k int
	if _, err := fmt.Sscan(line, &i, &k); err != nil || i > 3 {
		t.Fatalf("child: %s", line)
	}
	done[i] = k
}

// Another boot and no clean end: what was not fsynced is compared with its digest. What the bucket has is fetched again, the
// rest is an error for its readers and nobody else's.
func TestDamagedCache(t *testing.T) {
	for _, size := range []int{5000, 200_000} {
		e := newEnv(t, Options{})
		clean, dirty, whole := e.file("clean"), e.file("dirty"), e.file("whole")
		for _, ino := range []index.Ino{clean, dirty, whole} {
			e.write(ino, 0, random(uint64(ino), size))
			e.seal(ino)
		}
		e.upload(clean, "clean")
		e.damage(clean)
		e.damage(dirty)
		err := e.db.Update(func(tx *index.Tx) error { return tx.PutMeta(metaBoot, []byte("another boot")) })
		if err != nil {
			t.Fatal(err)
		}
		e.crash()
		e.want(clean, random(uint64(clean), size))
		e.want(whole, random(uint64(whole), size))
		if _, _, err := e.s.OpenSealed(dirty, e.inode(dirty).Gen); err == nil {
			t.Error("damaged content is offered for upload")
		}
		if _, err := e.tryReadAll(dirty); !errors.Is(err, ErrDamaged) {
			t.Errorf("read of damaged content: %v", err)
		}
	}
}

// damage changes a byte of the inode's base on the disk.
func (e *env) damage(ino index.Ino) {
	e.t.Helper()
	row := e.s.bodies[ino].base.rowCopy()
	path, off := e.s.files.path(row.file), int64(0)
	if row.file == 0 {
		path, off = e.s.segs.files.path(uint64(row.pieces[0].seg)), row.pieces[0].off
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		e.t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, off); err != nil {
		e.t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b, off); err != nil {
		e.t.Fatal(err)
	}
}

// Files of the cache that are gone: what the bucket has comes back, the rest fails alone.
func TestMissingFiles(t *testing.T) {
	for _, size := range []int{5000, 200_000} {
		e := newEnv(t, Options{})
		clean, dirty := e.file("clean"), e.file("dirty")
		for _, ino := range []index.Ino{clean, dirty} {
			e.write(ino, 0, random(uint64(ino), size))
			e.seal(ino)
		}
		e.upload(clean, "clean")
		e.close()
		for _, sub := range []string{"segments", "files"} {
			if err := os.RemoveAll(filepath.Join(e.dir, "body", sub)); err != nil {
				t.Fatal(err)
			}
		}
		e.open()
		e.want(clean, random(uint64(clean), size))
		if _, err := e.tryReadAll(dirty); !errors.Is(err, ErrDamaged) {
			t.Errorf("read of lost content: %v", err)
		}
		if err := e.s.Truncate(context.Background(), dirty, 0); err != nil {
			t.Errorf("truncation of lost content: %v", err)
		}
		e.write(dirty, 0, []byte("begun anew"))
		e.want(dirty, []byte("begun anew"))
	}
}

var _ Remote = (*object.Bucket)(nil)
