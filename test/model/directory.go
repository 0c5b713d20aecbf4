package model

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// directory makes the calls that go over the entries of a directory.
func (r *Run) directory(s Step) error {
	n, err := r.tree.find(s.Path)
	if err != nil || !n.isDir() {
		return nil
	}
	if s.Op == OpFill {
		for i := range s.Size {
			put := Step{Op: OpPut, Path: join(s.Path, fmt.Sprintf("fill-%03d", i)), Size: i % 5 * 100, Seed: s.Seed + uint64(i)}
			want := r.modelContent(put, time.Now().UnixNano())
			if got := r.call(put); got != want {
				return fmt.Errorf("put %s: got %w, want %w", put.Path, orNil(got), orNil(want))
			}
		}
		return r.compareDeep(s.Path, true)
	}
	if err := r.purge(s, n); err != nil {
		return err
	}
	return r.compareDeep(s.Path, true)
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// purge lists a directory in small pieces and removes files meanwhile, as rm -r does. What was there at the beginning and is not
// removed before it is listed must be listed once.
func (r *Run) purge(s Step, n *node) (err error) {
	fd, err := unix.Open(r.path(s.Path), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	before := n.names()
	var seen []string
	buf := make([]byte, 600)
	for {
		size, err := unix.Getdents(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("getdents: %w", err)
		}
		if size == 0 {
			break
		}
		_, _, names := unix.ParseDirent(buf[:size], -1, nil)
		seen = append(seen, names...)
		for _, name := range names {
			if child := n.children[name]; child == nil || !child.isFile() || (s.Seed+uint64(len(seen)))%3 == 0 {
				continue
			}
			path := join(s.Path, name)
			now := time.Now().UnixNano()
			if err := again(func() error { return unix.Unlink(r.path(path)) }); err != nil {
				return fmt.Errorf("unlink %s while listing: %w", path, err)
			}
			r.tree.drop(path, now)
		}
	}
	slices.Sort(seen)
	if !slices.Equal(seen, before) {
		return fmt.Errorf("listed while deleting: got %q, want %q", seen, before)
	}
	return nil
}
