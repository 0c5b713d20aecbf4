package fs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Device is the kernel's side of a mount. It lives for as long as some process has it open, so that the process which answers
// may die and be replaced: requests wait meanwhile. Its owner mounts, and exchanges the first request, INIT, which the kernel
// sends only once; the answering processes get the descriptor and a copy of the exchange, see [Adopt].
type Device struct {
	fd    int
	dir   string
	dev   uint64
	init  []byte
	reply []byte
}

// Sizes of what is exchanged before a mount answers.
const (
	headerSize = 40       // fuse_in_header
	initSize   = 64 << 10 // more than the kernel asks of the first read
)

// Attach mounts on dir, in whose path no symbolic link may be, and reads the kernel's first request. Calls in the mount wait until a process
// has adopted it.
func Attach(dir string, o Options) (*Device, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("mount on %q: %w", dir, err)
	}
	m := mountOptions(o)
	mount := mountDirect
	if os.Geteuid() != 0 {
		mount = mountHelped
	}
	fd, dev, err := mount(abs, m)
	if err != nil {
		return nil, fmt.Errorf("mount on %q: %w", abs, err)
	}
	unix.CloseOnExec(fd)
	d := &Device{fd: fd, dir: abs, dev: dev}
	buf := make([]byte, initSize)
	n, err := retry(func() (int, error) { return unix.Read(fd, buf) })
	if err != nil || n < headerSize+20 {
		return nil, errors.Join(fmt.Errorf("mount on %q: the kernel's first request has %d bytes: %w", abs, n, err), d.Detach())
	}
	d.init = buf[:n:n]
	return d, nil
}

// retry repeats a system call that a signal interrupted.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// mountDirect mounts with mount(2), as root, and tells the descriptor and the device number of the mount.
func mountDirect(dir string, m *fuse.MountOptions) (fd int, dev uint64, err error) {
	in, err := openDir(filepath.Dir(dir))
	if err != nil {
		return -1, 0, err
	}
	defer unix.Close(in) //nolint:errcheck // it was not written to
	on, err := openIn(in, filepath.Base(dir))
	if err != nil {
		return -1, 0, err
	}
	defer unix.Close(on) //nolint:errcheck // it was not written to
	// Not os.OpenFile: that could make the descriptor non-blocking, for every process that shares it.
	fd, err = unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, 0, fmt.Errorf("/dev/fuse: %w", err)
	}
	options := append([]string{fmt.Sprintf("fd=%d", fd), fmt.Sprintf("rootmode=%o", unix.S_IFDIR), fmt.Sprintf("user_id=%d", os.Geteuid()),
		fmt.Sprintf("group_id=%d", os.Getegid()), fmt.Sprintf("max_read=%d", m.MaxWrite)}, m.Options...)
	if m.AllowOther {
		options = append(options, "allow_other")
	}
	if err := unix.Mount(m.FsName, fmt.Sprintf("/proc/self/fd/%d", on), "fuse."+m.Name, m.DirectMountFlags, strings.Join(options, ",")); err != nil {
		return -1, 0, errors.Join(err, unix.Close(fd))
	}
	if dev, err = deviceIn(in, filepath.Base(dir)); err != nil {
		return -1, 0, errors.Join(err, unix.Close(fd), Unmount(dir, 0, true))
	}
	return fd, dev, nil
}

// openDir opens a folder whose path was resolved before: a symbolic link in it has come since, from somebody who wants to have
// another folder mounted on, or another mount removed.
func openDir(dir string) (int, error) {
	fd, err := openIn(unix.AT_FDCWD, dir)
	if errors.Is(err, unix.ENOSYS) {
		return openEach(dir)
	}
	return fd, err
}

// openEach is openDir in steps.
func openEach(dir string) (int, error) {
	fd, err := unix.Open("/", folder, 0)
	for _, name := range strings.FieldsFunc(dir, func(r rune) bool { return r == filepath.Separator }) {
		if err != nil {
			break
		}
		above := fd
		fd, err = openIn(above, name)
		err = errors.Join(err, unix.Close(above))
	}
	return fd, err
}

// folder opens folders to reach what is in them.
const folder = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC

// openIn opens a folder and follows no symbolic link. A path of more than one name is ENOSYS before Linux 5.6, and where a container forbids what
// it takes.
func openIn(in int, path string) (int, error) {
	fd, err := unix.Openat2(in, path, &unix.OpenHow{Flags: folder, Resolve: unix.RESOLVE_NO_SYMLINKS})
	switch {
	case !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM):
		return fd, err
	case strings.Contains(path, string(filepath.Separator)):
		return -1, unix.ENOSYS
	}
	return unix.Openat(in, path, folder|unix.O_NOFOLLOW, 0)
}

// fusermount finds the program that mounts for ordinary users, also where PATH is bare.
func fusermount() (string, error) {
	path, err := exec.LookPath("fusermount3")
	if err != nil {
		path, err = exec.LookPath("/bin/fusermount3")
	}
	return path, err
}

// mountHelped has fusermount3 open and mount the device; it sends the descriptor through a socket.
func mountHelped(dir string, m *fuse.MountOptions) (fd int, dev uint64, err error) {
	path, err := fusermount()
	if err != nil {
		return -1, 0, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, 0, fmt.Errorf("socketpair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "fusermount3"), os.NewFile(uintptr(pair[1]), "fusermount3")
	defer ours.Close()
	options := append(append([]string{}, m.Options...), "fsname="+m.FsName, "subtype="+m.Name, fmt.Sprintf("max_read=%d", m.MaxWrite))
	if m.AllowOther {
		options = append(options, "allow_other")
	}
	for n := range options {
		options[n] = strings.NewReplacer(`\`, `\\`, ",", `\,`).Replace(options[n])
	}
	cmd := exec.CommandContext(context.Background(), path, "-o", strings.Join(options, ","), "--", dir)
	cmd.Env = append(helperEnv(), "_FUSE_COMMFD=3")
	cmd.ExtraFiles, cmd.Stderr = []*os.File{theirs}, os.Stderr
	err = cmd.Run()
	theirs.Close()
	if err != nil {
		return -1, 0, fmt.Errorf("fusermount3: %w", err)
	}
	if fd, err = receiveFD(ours); err != nil {
		return -1, 0, err
	}
	in, err := openDir(filepath.Dir(dir))
	if err == nil {
		dev, err = deviceIn(in, filepath.Base(dir))
		err = errors.Join(err, unix.Close(in))
	}
	if err != nil {
		return -1, 0, errors.Join(err, unix.Close(fd), Unmount(dir, 0, true))
	}
	return fd, dev, nil
}

// helperEnv is the environment of fusermount3: it needs nothing of ours, least of all access keys.
func helperEnv() []string { return []string{"PATH=" + os.Getenv("PATH")} }

// receiveFD takes a descriptor from a socket.
func receiveFD(f *os.File) (int, error) {
	conn, err := net.FileConn(f)
	if err != nil {
		return -1, err
	}
	defer conn.Close()
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return -1, errors.New("not a unix socket")
	}
	data, control := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := socket.ReadMsgUnix(data, control)
	if err != nil {
		return -1, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		return -1, fmt.Errorf("fusermount3 sent no descriptor: %w", err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return -1, fmt.Errorf("fusermount3 sent no descriptor: %w", err)
	}
	return fds[0], nil
}

// FD is the descriptor; it stays the Device's.
func (d *Device) FD() int { return d.fd }

// Dir is the absolute path of the mount point.
func (d *Device) Dir() string { return d.dir }

// Number is the device number of the mount: its files have it, whatever the path of the mount point leads to by now.
func (d *Device) Number() uint64 { return d.dev }

// Exchange is the kernel's first request and, once Answer was called, what it was answered.
func (d *Device) Exchange() (init, reply []byte) { return d.init, d.reply }

// Answer sends the answer to the first request, which the first adopting process made.
func (d *Device) Answer(reply []byte) error {
	if _, err := retry(func() (int, error) { return unix.Write(d.fd, reply) }); err != nil {
		return fmt.Errorf("answer the kernel's first request: %w", err)
	}
	d.reply = reply
	return nil
}

// Survives reports whether the kernel can send again what a dead process has read (Linux 6.9). Without that a mount whose process
// died would hang.
func (d *Device) Survives() bool {
	flags := uint64(binary.NativeEndian.Uint32(d.init[headerSize+12:]))
	if flags&fuse.CAP_INIT_EXT != 0 {
		flags |= uint64(binary.NativeEndian.Uint32(d.init[headerSize+16:])) << 32
	}
	return flags&fuse.CAP_HAS_RESEND != 0
}

// Alive reports whether the mount is still there.
func (d *Device) Alive() bool {
	fds := []unix.PollFd{{Fd: int32(d.fd), Events: unix.POLLIN}} //nolint:gosec // a descriptor fits
	n, err := retry(func() (int, error) { return unix.Poll(fds, 0) })
	return err == nil && (n == 0 || fds[0].Revents&(unix.POLLERR|unix.POLLNVAL) == 0)
}

// Detach takes the mount out of the tree, whoever uses it, and gives the device up: when no other process has it, calls under way
// fail with ECONNABORTED.
func (d *Device) Detach() error {
	var err error
	if d.Alive() && mountedHere(d.dev) {
		err = Unmount(d.dir, d.dev, true)
	}
	return errors.Join(err, d.Close())
}

// Close gives the device up.
func (d *Device) Close() error {
	if d.fd < 0 {
		return nil
	}
	err := unix.Close(d.fd)
	d.fd = -1
	return err
}
