package model

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// call makes a call on the mount.
func (r *Run) call(s Step) error {
	switch s.Op {
	case OpOpen:
		return r.callOpen(s)
	case OpTmpfile:
		return r.callTmpfile(s)
	case OpLink:
		return again(func() error {
			return unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", r.open[s.Slot].fd), unix.AT_FDCWD, r.path(s.Path), unix.AT_SYMLINK_FOLLOW)
		})
	case OpClose, OpWrite, OpRead, OpTruncate, OpFsync, OpAllocate:
		return r.callHandle(s, r.open[s.Slot])
	case OpPut, OpPatch, OpMap:
		return r.callContent(s)
	case OpCopy:
		return r.callCopy(s)
	case OpResize:
		return again(func() error { return unix.Truncate(r.path(s.Path), s.Size) })
	case OpRename:
		return again(func() error {
			return unix.Renameat2(unix.AT_FDCWD, r.path(s.Path), unix.AT_FDCWD, r.path(s.Path2), uint(s.Flags))
		})
	case OpUnlink:
		return again(func() error { return unix.Unlink(r.path(s.Path)) })
	case OpMkdir:
		return withMode(s.Mode, func() error { return unix.Mkdir(r.path(s.Path), s.Mode) }, r.path(s.Path))
	case OpRmdir:
		return again(func() error { return unix.Rmdir(r.path(s.Path)) })
	case OpSymlink:
		return again(func() error { return unix.Symlink(s.Name, r.path(s.Path)) })
	}
	return r.callAttribute(s)
}

// again repeats a call that a signal of the Go runtime interrupted.
func again(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// withMode makes the umask of this process not matter.
func withMode(mode uint32, call func() error, path string) error {
	if err := again(call); err != nil {
		return err
	}
	return again(func() error { return unix.Chmod(path, mode) })
}

// openFile opens for reading and writing and never follows a last link.
func openFile(path string, flags int) (fd int, err error) {
	err = again(func() error {
		fd, err = unix.Open(path, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC|flags, 0o644)
		return err
	})
	return fd, err
}

func (r *Run) callOpen(s Step) error {
	fd, err := openFile(r.path(s.Path), s.Flags)
	return r.opened(s, fd, err)
}

func (r *Run) callTmpfile(s Step) error {
	fd := -1
	err := again(func() (err error) {
		fd, err = unix.Open(r.path(s.Path), unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC|s.Flags, 0o644)
		return err
	})
	return r.opened(s, fd, err)
}

// opened gives a new descriptor to the handle that the model made, where both agree.
func (r *Run) opened(s Step, fd int, err error) error {
	h := r.open[s.Slot]
	switch {
	case h == nil && err == nil:
		_ = unix.Close(fd)
		return nil // the model's error is what is missing
	case h != nil && err != nil:
		r.open[s.Slot] = nil
	case h != nil:
		h.fd = fd
	}
	return err
}

func (r *Run) callHandle(s Step, h *handle) error {
	switch s.Op {
	case OpClose:
		r.open[s.Slot] = nil
		return unix.Close(h.fd)
	case OpWrite:
		return writeAll(h.fd, content(s.Seed, s.Size), s.Off)
	case OpRead:
		got, err := readRange(h.fd, s.Off, s.Size)
		if err != nil {
			return err
		}
		have := int64(len(h.file.data))
		want := h.file.data[min(s.Off, have):min(s.Off+s.Size, have)]
		return sameBytes(got, want)
	case OpTruncate:
		return again(func() error { return unix.Ftruncate(h.fd, s.Size) })
	case OpFsync:
		return again(func() error { return unix.Fsync(h.fd) })
	}
	return again(func() error { return unix.Fallocate(h.fd, uint32(s.Flags), s.Off, s.Size) })
}

func (r *Run) callContent(s Step) (err error) {
	flags := 0
	if s.Op == OpPut {
		flags = unix.O_CREAT | unix.O_TRUNC
	}
	fd, err := openFile(r.path(s.Path), flags)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	if s.Op != OpMap {
		return writeAll(fd, content(s.Seed, s.Size), s.Off)
	}
	var st unix.Stat_t
	if err := again(func() error { return unix.Fstat(fd, &st) }); err != nil || s.Off >= st.Size {
		return err
	}
	p, err := unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	err = WriteMapped(p[s.Off:], content(s.Seed, s.Size))
	return errors.Join(err, again(func() error { return unix.Msync(p, unix.MS_SYNC) }), unix.Munmap(p))
}

func (r *Run) callCopy(s Step) (err error) {
	from, err := openFile(r.path(s.Path), 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Close(from)) }()
	to, err := openFile(r.path(s.Path2), 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Close(to)) }()
	if s.Path == s.Path2 {
		return nil // ranges that overlap are EINVAL
	}
	in, out, left := s.Off, s.Off2, s.Size
	for left > 0 {
		n, err := unix.CopyFileRange(from, &in, to, &out, int(left), 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return err
		}
		left -= int64(n)
	}
	return nil
}

func (r *Run) callAttribute(s Step) error {
	path := r.path(s.Path)
	return again(func() error {
		switch s.Op {
		case OpChmod:
			return unix.Chmod(path, s.Mode)
		case OpUtimes:
			times := []unix.Timespec{unix.NsecToTimespec(s.Off), unix.NsecToTimespec(s.Off)}
			return unix.UtimesNanoAt(unix.AT_FDCWD, path, times, unix.AT_SYMLINK_NOFOLLOW)
		case OpSetXattr:
			return unix.Lsetxattr(path, s.Name, content(s.Seed, s.Size), s.Flags)
		case OpDelXattr:
			return unix.Lremovexattr(path, s.Name)
		case OpFsyncPath:
			fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			return errors.Join(again(func() error { return unix.Fsync(fd) }), unix.Close(fd))
		}
		return fmt.Errorf("there is no call %q", s.Op)
	})
}

func writeAll(fd int, p []byte, off int64) error {
	for len(p) > 0 {
		n, err := unix.Pwrite(fd, p, off)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// readRange reads up to the end of the file.
func readRange(fd int, off, size int64) ([]byte, error) {
	var out bytes.Buffer
	buf := make([]byte, min(size, 128<<10))
	for size > 0 {
		n, err := unix.Pread(fd, buf[:min(int64(len(buf)), size)], off)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		out.Write(buf[:n])
		off, size = off+int64(n), size-int64(n)
	}
	return out.Bytes(), nil
}

// sameBytes tells where two contents begin to differ.
func sameBytes(got, want []byte) error {
	if bytes.Equal(got, want) {
		return nil
	}
	at := 0
	for at < len(got) && at < len(want) && got[at] == want[at] {
		at++
	}
	return fmt.Errorf("content of %d bytes, want %d, differs at %d: %w", len(got), len(want), at, io.ErrUnexpectedEOF)
}

// WriteMapped writes to a mapping of a file, by a system call. A plain copy waits for the pages inside of an instruction: where this process itself
// serves the file, the garbage collector waits for that goroutine, and the one that serves the pages for the collector.
func WriteMapped(to, from []byte) (err error) {
	fd, err := unix.MemfdCreate("mapped", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	if err := writeAll(fd, from, 0); err != nil {
		return err
	}
	to = to[:min(len(to), len(from))]
	for off := 0; off < len(to); {
		n, err := unix.Pread(fd, to[off:], int64(off))
		if err != nil && err != unix.EINTR {
			return err
		}
		off += max(n, 0)
	}
	return nil
}
