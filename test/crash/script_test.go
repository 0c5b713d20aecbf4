package crash

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Bounds of a worker's directory.
const (
	mostFiles = 24
	mostDirs  = 6
	mostLinks = 4
)

// scripts are what a worker does, with their weights. A script that has nothing to work on returns nil.
var scripts = []struct {
	weight int
	make   func(*worker) []step
}{
	{8, (*worker).create}, {6, (*worker).appendTo}, {6, (*worker).overwrite}, {3, (*worker).rewrite}, {5, (*worker).save},
	{5, (*worker).rename}, {4, (*worker).renameOver}, {2, (*worker).exchange}, {4, (*worker).unlink}, {2, (*worker).unlinkOpen},
	{2, (*worker).mkdir}, {2, (*worker).rmdir}, {2, (*worker).renameDir}, {4, (*worker).chmod}, {3, (*worker).truncate},
	{2, (*worker).symlink}, {3, (*worker).setxattr}, {2, (*worker).syncDir},
}

// script is what the worker does next.
func (w *worker) script() []step {
	total := 0
	for _, s := range scripts {
		total += s.weight
	}
	for {
		at := w.random.IntN(total)
		for _, s := range scripts {
			if at -= s.weight; at >= 0 {
				continue
			}
			if steps := s.make(w); len(steps) > 0 {
				return steps
			}
			break
		}
	}
}

func (w *worker) path(name string) string { return filepath.Join(w.dir, name) }

// some is one of the names of a kind; "" where there is none.
func (w *worker) some(kind uint32) string {
	list := w.present().pick(kind)
	if len(list) == 0 {
		return ""
	}
	return list[w.random.IntN(len(list))]
}

// fresh is a name that is free.
func (w *worker) fresh(prefix string) string {
	dir := ""
	if dirs := w.present().pick(unix.S_IFDIR); len(dirs) > 0 && w.random.IntN(2) == 0 {
		dir = dirs[w.random.IntN(len(dirs))] + "/"
	}
	for {
		name := fmt.Sprintf("%s%s%03d", dir, prefix, w.random.IntN(1000))
		if w.present().at(name) == nil {
			return name
		}
	}
}

// bytes are random content: mostly small, sometimes some MiB.
func (w *worker) bytes() []byte {
	n := 0
	switch dice := w.random.IntN(100); {
	case dice < 4:
	case dice < 65:
		n = 1 + w.random.IntN(8<<10)
	case dice < 85:
		n = 1 + w.random.IntN(100<<10)
	case dice < 97:
		n = 1 + w.random.IntN(400<<10)
	default:
		n = 1 + w.random.IntN(4<<20)
	}
	p := make([]byte, n)
	for i := 0; i+8 <= n; i += 8 {
		x := w.random.Uint64()
		for k := range 8 {
			p[i+k] = byte(x >> (8 * k))
		}
	}
	return p
}

// maxCall is how much one write carries: the kernel sends it as one request.
const maxCall = 256 << 10

// openStep opens a file; the node's number is known when the state has been changed.
func (w *worker) openStep(name string, flags int, next func(*state)) step {
	return step{what: fmt.Sprintf("open %s %#x", name, flags), next: func(s *state) {
		if next != nil {
			next(s)
		}
		w.id = s.names[name]
	}, do: func() (err error) {
		w.open, err = os.OpenFile(w.path(name), flags, 0o644)
		return err
	}}
}

func (w *worker) closeStep() step {
	return step{what: "close", do: func() error {
		f := w.open
		w.open = nil
		return f.Close()
	}}
}

func (w *worker) fsyncStep() step {
	return step{what: "fsync", safe: true, file: true, do: func() error { return w.open.Sync() }}
}

// writeSteps write p at off in calls of bounded size.
func (w *worker) writeSteps(off int, p []byte) (steps []step) {
	for len(p) > 0 {
		n := min(len(p), maxCall)
		data, at := p[:n], off
		steps = append(steps, step{
			what: fmt.Sprintf("write %d at %d", n, at),
			next: func(s *state) { s.write(w.id, at, data) },
			part: &part{off: at, p: data},
			do: func() error {
				_, err := w.open.WriteAt(data, int64(at))
				return err
			},
		})
		p, off = p[n:], off+n
	}
	return steps
}

// finish ends a script that has a file open: sometimes with fsync.
func (w *worker) finish(steps []step) []step {
	if w.random.IntN(3) == 0 {
		steps = append(steps, w.fsyncStep())
	}
	return append(steps, w.closeStep())
}

func (w *worker) room() bool { return len(w.present().pick(unix.S_IFREG)) < mostFiles }

func addFile(name string) func(*state) {
	return func(s *state) { s.add(name, &node{kind: unix.S_IFREG, perm: 0o644}) }
}

func (w *worker) create() []step {
	if !w.room() {
		return w.unlink()
	}
	name := w.fresh("f")
	steps := []step{w.openStep(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, addFile(name))}
	return w.finish(append(steps, w.writeSteps(0, w.bytes())...))
}

func (w *worker) appendTo() []step {
	name := w.some(unix.S_IFREG)
	if name == "" || len(w.present().at(name).data) > 8<<20 {
		return nil
	}
	steps := []step{w.openStep(name, os.O_RDWR, nil)}
	return w.finish(append(steps, w.writeSteps(len(w.present().at(name).data), w.bytes())...))
}

// overwrite writes inside a file, and now and then behind its end.
func (w *worker) overwrite() []step {
	name := w.some(unix.S_IFREG)
	if name == "" {
		return nil
	}
	steps := []step{w.openStep(name, os.O_RDWR, nil)}
	size := len(w.present().at(name).data)
	for range 1 + w.random.IntN(4) {
		p := w.bytes()
		steps = append(steps, w.writeSteps(w.random.IntN(size+size/8+100), p[:min(len(p), 50<<10)])...)
	}
	return w.finish(steps)
}

func (w *worker) rewrite() []step {
	name := w.some(unix.S_IFREG)
	if name == "" {
		return nil
	}
	cut := func(s *state) { s.change(s.names[name], func(n *node) { n.data = nil }) }
	steps := []step{w.openStep(name, os.O_RDWR|os.O_TRUNC, cut)}
	return w.finish(append(steps, w.writeSteps(0, w.bytes())...))
}

// save is what editors do: a new file, renamed over the old one.
func (w *worker) save() []step {
	name := w.some(unix.S_IFREG)
	if name == "" || !w.room() {
		return nil
	}
	temp := w.fresh("tmp")
	steps := []step{w.openStep(temp, os.O_CREATE|os.O_EXCL|os.O_RDWR, addFile(temp))}
	steps = w.finish(append(steps, w.writeSteps(0, w.bytes())...))
	return append(steps, w.renameStep(temp, name))
}

func (w *worker) renameStep(from, to string) step {
	return step{what: "rename " + from + " to " + to, next: func(s *state) { s.rename(from, to) }, do: func() error { return os.Rename(w.path(from), w.path(to)) }}
}

func (w *worker) rename() []step {
	from := w.some(unix.S_IFREG)
	if from == "" {
		return nil
	}
	return []step{w.renameStep(from, w.fresh("r"))}
}

func (w *worker) renameOver() []step {
	from, to := w.some(unix.S_IFREG), w.some(unix.S_IFREG)
	if from == to {
		return nil
	}
	return []step{w.renameStep(from, to)}
}

func (w *worker) exchange() []step {
	a, b := w.some(unix.S_IFREG), w.some(unix.S_IFREG)
	if a == b {
		return nil
	}
	return []step{{what: "exchange " + a + " and " + b,
		next: func(s *state) { s.names[a], s.names[b] = s.names[b], s.names[a] },
		do: func() error {
			return unix.Renameat2(unix.AT_FDCWD, w.path(a), unix.AT_FDCWD, w.path(b), unix.RENAME_EXCHANGE)
		}}}
}

func (w *worker) unlinkStep(name string) step {
	return step{what: "unlink " + name, next: func(s *state) { delete(s.names, name) }, do: func() error { return unix.Unlink(w.path(name)) }}
}

func (w *worker) unlink() []step {
	kind := uint32(unix.S_IFREG)
	if w.random.IntN(6) == 0 {
		kind = unix.S_IFLNK
	}
	name := w.some(kind)
	if name == "" {
		return nil
	}
	return []step{w.unlinkStep(name)}
}

// unlinkOpen writes to a file that has no name any more.
func (w *worker) unlinkOpen() []step {
	name := w.some(unix.S_IFREG)
	if name == "" {
		return nil
	}
	steps := []step{w.openStep(name, os.O_RDWR, nil), w.unlinkStep(name)}
	return append(append(steps, w.writeSteps(0, w.bytes())...), w.closeStep())
}

func (w *worker) mkdir() []step {
	if len(w.present().pick(unix.S_IFDIR)) >= mostDirs {
		return nil
	}
	name := w.fresh("d")
	return []step{{what: "mkdir " + name, next: func(s *state) { s.add(name, &node{kind: unix.S_IFDIR, perm: 0o755}) },
		do: func() error { return unix.Mkdir(w.path(name), 0o755) }}}
}

func (w *worker) rmdir() []step {
	name := w.some(unix.S_IFDIR)
	if name == "" || !w.present().empty(name) {
		return nil
	}
	return []step{{what: "rmdir " + name, next: func(s *state) { delete(s.names, name) }, do: func() error { return unix.Rmdir(w.path(name)) }}}
}

// renameDir moves a directory with all it holds; it stays where it is in the tree, so that it does not move into itself.
func (w *worker) renameDir() []step {
	from := w.some(unix.S_IFDIR)
	if from == "" {
		return nil
	}
	to := filepath.Join(parent(from), fmt.Sprintf("e%03d", w.random.IntN(1000)))
	if w.present().at(to) != nil {
		return nil
	}
	return []step{w.renameStep(from, to)}
}

func (w *worker) chmod() []step {
	kind := uint32(unix.S_IFREG)
	if w.random.IntN(4) == 0 {
		kind = unix.S_IFDIR
	}
	name := w.some(kind)
	if name == "" {
		return nil
	}
	perm := uint32(0o600 | w.random.IntN(0o100))
	if kind == unix.S_IFDIR {
		perm |= 0o700
	}
	return []step{{what: fmt.Sprintf("chmod %s %o", name, perm), next: func(s *state) { s.change(s.names[name], func(n *node) { n.perm = perm }) },
		do: func() error { return unix.Chmod(w.path(name), perm) }}}
}

func (w *worker) truncate() []step {
	name := w.some(unix.S_IFREG)
	if name == "" {
		return nil
	}
	size := len(w.present().at(name).data)
	size = w.random.IntN(size + size/4 + 1000)
	return []step{{what: fmt.Sprintf("truncate %s to %d", name, size), next: func(s *state) {
		s.change(s.names[name], func(n *node) {
			data := make([]byte, size)
			copy(data, n.data)
			n.data = data
		})
	}, do: func() error { return unix.Truncate(w.path(name), int64(size)) }}}
}

func (w *worker) symlink() []step {
	if len(w.present().pick(unix.S_IFLNK)) >= mostLinks {
		return nil
	}
	name, target := w.fresh("l"), fmt.Sprintf("nowhere/%d", w.random.IntN(1000))
	return []step{{what: "symlink " + name, next: func(s *state) { s.add(name, &node{kind: unix.S_IFLNK, perm: 0o777, data: []byte(target)}) },
		do: func() error { return unix.Symlink(target, w.path(name)) }}}
}

func (w *worker) setxattr() []step {
	name := w.some(unix.S_IFREG)
	if name == "" {
		return nil
	}
	attr, value := fmt.Sprintf("user.a%d", w.random.IntN(3)), fmt.Sprint("value ", w.random.IntN(1000))
	return []step{{what: "setxattr " + name, next: func(s *state) {
		s.change(s.names[name], func(n *node) {
			attrs := map[string]string{attr: value}
			for k, v := range n.xattrs {
				if k != attr {
					attrs[k] = v
				}
			}
			n.xattrs = attrs
		})
	}, do: func() error { return unix.Setxattr(w.path(name), attr, []byte(value), 0) }}}
}

func (w *worker) syncDir() []step {
	dir := w.path(w.some(unix.S_IFDIR))
	return []step{{what: "fsync of a directory", safe: true, do: func() error {
		f, err := os.Open(dir)
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Sync()
	}}}
}
