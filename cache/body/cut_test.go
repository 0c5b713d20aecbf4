package body

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/ossencfs/ossencfs/cache/index"
)

// image is what the disk may hold when the power goes: the newest log of the index, no file that was removed, and of the bytes in the
// others either all, or only those that were there at the last barrier, of which durable is a copy.
func (e *env) image(durable string, all bool) *env {
	e.t.Helper()
	dir := e.t.TempDir()
	for _, sub := range []string{"index", "body"} {
		if err := os.CopyFS(filepath.Join(dir, sub), os.DirFS(filepath.Join(e.dir, sub))); err != nil {
			e.t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "index", "boot"), []byte("another boot\n"), 0o600); err != nil {
		e.t.Fatal(err)
	}
	body := filepath.Join(dir, "body")
	err := filepath.WalkDir(body, func(path string, entry os.DirEntry, err error) error {
		if all || err != nil || entry.IsDir() {
			return err
		}
		rel, err := filepath.Rel(body, path)
		if err != nil {
			return err
		}
		was, err := os.ReadFile(filepath.Join(durable, rel))
		if os.IsNotExist(err) {
			return os.WriteFile(path, nil, 0o600)
		}
		if err != nil {
			return err
		}
		return os.WriteFile(path, was, 0o600)
	})
	if err != nil {
		e.t.Fatal(err)
	}
	return &env{t: e.t, dir: dir, k: e.k}
}

// TestPowerCutKeepsTheOldVersion: what replaces a durable content without being durable itself never stands in its place, whatever the
// kernel has written back of the index: content is old or new, and never damaged.
func TestPowerCutKeepsTheOldVersion(t *testing.T) {
	for _, size := range []int{0, 5000, 300_000} {
		old, fresh := random(1, size), random(2, size+100)
		for name, change := range map[string]func(e *env, ino index.Ino){
			"append":    func(e *env, ino index.Ino) { e.write(ino, int64(size), fresh) },
			"overwrite": func(e *env, ino index.Ino) { e.write(ino, int64(size/2), fresh) },
			"again":     func(e *env, ino index.Ino) { e.truncate(ino, 0); e.write(ino, 0, fresh); e.seal(ino) },
			"sealed":    func(e *env, ino index.Ino) { e.write(ino, 3, fresh); e.seal(ino); e.write(ino, 5, fresh); e.seal(ino) },
			"truncate":  func(e *env, ino index.Ino) { e.truncate(ino, int64(size/3)) },
		} {
			e := newEnv(t, Options{})
			ino, other := e.file("f"), e.file("new")
			e.write(ino, 0, old)
			e.seal(ino)
			if err := e.s.Fsync(context.Background(), ino); err != nil {
				t.Fatal(err)
			}
			durable := filepath.Join(t.TempDir(), "body")
			if err := os.CopyFS(durable, os.DirFS(filepath.Join(e.dir, "body"))); err != nil {
				t.Fatal(err)
			}
			e.s.reaping.Lock() // no barrier but ours
			change(e, ino)
			e.write(other, 0, fresh)
			e.seal(other)
			cuts := []*env{e.image(durable, false), e.image(durable, true)}
			e.s.reaping.Unlock()
			for _, cut := range cuts {
				cut.open()
				if got := cut.readAll(ino); !bytes.Equal(got, old) {
					t.Errorf("%s of %d bytes: %d bytes are left, and not the old ones", name, size, len(got))
				}
				if got := cut.readAll(other); len(got) != 0 {
					t.Errorf("%s of %d bytes: a file that was never durable has %d bytes", name, size, len(got))
				}
				cut.close()
			}
		}
	}
}

func (e *env) truncate(ino index.Ino, size int64) {
	e.t.Helper()
	if err := e.s.Truncate(context.Background(), ino, size); err != nil {
		e.t.Fatal(err)
	}
}
