package setid

import (
	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/test/model"
)

// target is the file that a call is tried on, and its folder. fd is open for writing (with the flags of the call), source for reading
// another file with some content.
type target struct {
	path, sibling string
	fd, source    int
}

// call is one row of the table. flags are added to those that the file is opened with, by root, before the caller comes in.
type call struct {
	name  string
	flags int
	do    func(t *target) error

	// unrefused is a call that the kernel neither checks nor tells from what it asks for before a write: who may not do it is
	// told nothing, but the mode stays.
	unrefused bool
}

// block is what is written: as large as direct I/O wants it, and aligned.
func block() []byte {
	p, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		panic(err)
	}
	copy(p, "other content")
	return p
}

// written runs a call that needs something to write.
func written(f func(t *target, p []byte) error) func(*target) error {
	return func(t *target) error {
		p := block()
		defer unix.Munmap(p) //nolint:errcheck // 4 KiB of a test
		return f(t, p)
	}
}

func allocate(mode uint32) func(*target) error {
	return func(t *target) error { return unix.Fallocate(t.fd, mode, 0, 4096) }
}

// opening opens the file once more, by its path, and closes it.
func opening(flags int) func(*target) error {
	return func(t *target) error {
		fd, err := unix.Open(t.path, flags|unix.O_CLOEXEC, 0o644)
		if err != nil {
			return err
		}
		return unix.Close(fd)
	}
}

func chmod(mode uint32) func(*target) error {
	return func(t *target) error { return unix.Chmod(t.path, mode) }
}

func chown(uid, gid int) func(*target) error {
	return func(t *target) error { return unix.Chown(t.path, uid, gid) }
}

var calls = []call{
	{name: "nothing", do: func(*target) error { return nil }},
	{name: "write", do: written(func(t *target, p []byte) error { _, err := unix.Write(t.fd, p); return err })},
	{name: "write of nothing", do: func(t *target) error { _, err := unix.Write(t.fd, nil); return err }},
	{name: "append", flags: unix.O_APPEND, do: written(func(t *target, p []byte) error { _, err := unix.Write(t.fd, p[:5]); return err })},
	{name: "write, direct", flags: unix.O_DIRECT, do: written(func(t *target, p []byte) error { _, err := unix.Write(t.fd, p); return err })},
	{name: "write, synchronous", flags: unix.O_SYNC, do: written(func(t *target, p []byte) error { _, err := unix.Write(t.fd, p); return err })},
	{name: "pwrite", do: written(func(t *target, p []byte) error { _, err := unix.Pwrite(t.fd, p[:1], 9000); return err })},
	{name: "writev", do: written(func(t *target, p []byte) error { _, err := unix.Writev(t.fd, [][]byte{p[:7], p[7:9]}); return err })},
	{name: "pwritev", do: written(func(t *target, p []byte) error { _, err := unix.Pwritev(t.fd, [][]byte{p[:7]}, 10); return err })},
	{name: "sendfile", do: func(t *target) error { _, err := unix.Sendfile(t.fd, t.source, nil, 100); return err }},
	{name: "splice", do: splice},
	{name: "mapping", do: mapping},
	{name: "fallocate", do: allocate(0)},
	{name: "fallocate beyond the end", do: func(t *target) error { return unix.Fallocate(t.fd, 0, 0, 20_000) }},
	{name: "fallocate, keep size", do: allocate(unix.FALLOC_FL_KEEP_SIZE)},
	{name: "punch hole", do: allocate(unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE)},
	{name: "zero range", do: allocate(unix.FALLOC_FL_ZERO_RANGE)},
	{name: "zero range, keep size", do: allocate(unix.FALLOC_FL_ZERO_RANGE | unix.FALLOC_FL_KEEP_SIZE)},
	{name: "fallocate of nothing", do: func(t *target) error { return unix.Fallocate(t.fd, 0, 0, 0) }},
	{name: "copy_file_range", do: func(t *target) error { _, err := unix.CopyFileRange(t.source, nil, t.fd, nil, 100, 0); return err }},
	{name: "copy_file_range at the end", do: func(t *target) error {
		off := int64(1 << 20)
		_, err := unix.CopyFileRange(t.source, &off, t.fd, nil, 100, 0)
		return err
	}},
	{name: "reflink", do: func(t *target) error { return unix.IoctlFileClone(t.fd, t.source) }},
	{name: "truncate", do: func(t *target) error { return unix.Truncate(t.path, 100) }},
	{name: "truncate to the same size", do: func(t *target) error { return unix.Truncate(t.path, size) }},
	{name: "ftruncate", do: func(t *target) error { return unix.Ftruncate(t.fd, 100) }},
	{name: "ftruncate to more", do: func(t *target) error { return unix.Ftruncate(t.fd, 100_000) }},
	{name: "open", do: opening(unix.O_WRONLY)},
	{name: "open, truncate", do: opening(unix.O_WRONLY | unix.O_TRUNC)},
	{name: "create over", do: opening(unix.O_WRONLY | unix.O_CREAT | unix.O_TRUNC)},
	{name: "chown to the same", do: chown(owner, team)},
	{name: "chown of nothing", do: chown(-1, -1), unrefused: true},
	{name: "fchown of nothing", do: func(t *target) error { return unix.Fchown(t.fd, -1, -1) }, unrefused: true},
	{name: "chown, same user", do: chown(owner, -1)},
	{name: "chown, same group", do: chown(-1, team)},
	{name: "chown to another user", do: chown(other, -1)},
	{name: "chown to another group", do: chown(-1, owner)},
	{name: "chown to both", do: chown(other, other)},
	{name: "fchown", do: func(t *target) error { return unix.Fchown(t.fd, owner, team) }},
	{name: "chmod", do: chmod(0o711)},
	{name: "chmod u+s", do: chmod(0o4755)},
	{name: "chmod g+s", do: chmod(0o2755)},
	{name: "chmod g+s without execution", do: chmod(0o2644)},
	{name: "chmod ug+s", do: chmod(0o6755)},
	{name: "fchmod ug+s", do: func(t *target) error { return unix.Fchmod(t.fd, 0o6775) }},
	{name: "utimensat", do: func(t *target) error {
		return unix.UtimesNanoAt(unix.AT_FDCWD, t.path, []unix.Timespec{{Sec: 5}, {Sec: 6}}, 0)
	}},
	{name: "utimensat, now", do: func(t *target) error { return unix.UtimesNanoAt(unix.AT_FDCWD, t.path, nil, 0) }},
	{name: "setxattr", do: func(t *target) error { return unix.Setxattr(t.path, "user.x", []byte("v"), 0) }},
	{name: "rename", do: func(t *target) error {
		if err := unix.Rename(t.path, t.sibling); err != nil {
			return err
		}
		return unix.Rename(t.sibling, t.path)
	}},
	{name: "fsync", do: func(t *target) error { return unix.Fsync(t.fd) }},
}

func splice(t *target) error {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	defer unix.Close(pipe[0]) //nolint:errcheck // a pipe
	defer unix.Close(pipe[1]) //nolint:errcheck // a pipe
	if _, err := unix.Write(pipe[1], []byte("through a pipe")); err != nil {
		return err
	}
	_, err := unix.Splice(pipe[0], nil, t.fd, nil, 14, 0)
	return err
}

// mapping writes to a shared mapping. That takes nothing from a file, on a local disk either.
func mapping(t *target) error {
	p, err := unix.Mmap(t.fd, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	if err = model.WriteMapped(p[7:], []byte("m")); err == nil {
		err = unix.Msync(p, unix.MS_SYNC)
	}
	if e := unix.Munmap(p); err == nil {
		err = e
	}
	return err
}

// making is a row of the table of new files: in is its folder, which belongs to owner and team.
type making struct {
	name string
	do   func(path string) error
}

// create opens a new file with its permissions whatever the umask is.
func create(mode uint32) func(string) error {
	return func(path string) error {
		fd, err := unix.Open(path, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, mode)
		if err != nil {
			return err
		}
		return unix.Close(fd)
	}
}

var makings = []making{
	{"create", create(0o755)},
	{"create, set-group-id", create(0o2755)},
	{"create, set-group-id without execution", create(0o2644)},
	{"create, both", create(0o6755)},
	{"mkdir", func(path string) error { return unix.Mkdir(path, 0o755) }},
	{"mkdir, set-group-id", func(path string) error { return unix.Mkdir(path, 0o2755) }},
	{"mknod", func(path string) error { return unix.Mknod(path, unix.S_IFREG|0o2755, 0) }},
	{"mkfifo", func(path string) error { return unix.Mknod(path, unix.S_IFIFO|0o2755, 0) }},
}
