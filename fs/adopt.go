package fs

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
)

// Adoption is what a process needs to answer for a mount that another process made with [Attach].
type Adoption struct {
	// FD is the descriptor of the device; it is closed by Adopt.
	FD int
	// Dir is the mount point.
	Dir string
	// Number is what Device.Number tells; 0 from a process that does not know it.
	Number uint64
	// Init and Reply are what Device.Exchange tells; Reply is nil for the first process.
	Init, Reply []byte
	// Answer is called once by the first process with its answer to Init, before it answers anything else.
	Answer func(reply []byte) error
}

// ErrOtherSettings says that this program would not answer the kernel's first request as the one did that the mount was made
// with, for example because it is another version. The kernel cannot be told anew.
var ErrOtherSettings = errors.New("the mount was made with other settings than this program has")

// Adopt answers for a mount. The cache must have been opened with the right Life. When another process went before, the kernel
// sends its unanswered requests again.
func Adopt(ctx context.Context, c *cache.Cache, a Adoption, o Options) (*Server, error) {
	defer unix.Close(a.FD) //nolint:errcheck // a copy of what the device's owner has
	s, fd, reply, err := negotiate(c, a, o)
	if err != nil {
		return nil, fmt.Errorf("adopt the mount on %q: %w", a.Dir, err)
	}
	heir := a.Reply != nil
	switch {
	case heir && !bytes.Equal(reply, a.Reply):
		return nil, fmt.Errorf("adopt the mount on %q: %w", a.Dir, ErrOtherSettings)
	case !heir:
		if err := a.Answer(reply); err != nil {
			return nil, fmt.Errorf("adopt the mount on %q: %w", a.Dir, err)
		}
	}
	// The server has a socket for its device until here. Nothing reads it before serve.
	if err := unix.Dup3(a.FD, fd, unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("adopt the mount on %q: %w", a.Dir, err)
	}
	c.SetKernel(s.notify) // before the first write is answered, see cache.Kernel.ForgetAttr
	s.serve()
	if heir {
		return s, resend(a.FD)
	}
	if err := s.ready(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("mount on %q: %w", a.Dir, err), s.Unmount())
	}
	return s, nil
}

// Answer is what this program answers the kernel's first request with: another one that adopts the mount must answer the same.
func Answer(init []byte, o Options) ([]byte, error) {
	_, _, reply, err := negotiate(nil, Adoption{Init: init}, o)
	return reply, err
}

// negotiate makes a server that has read the kernel's first request from a socket in the place of the device, fd, and returns
// the server's answer.
func negotiate(c *cache.Cache, a Adoption, o Options) (s *Server, fd int, reply []byte, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, 0, nil, fmt.Errorf("socketpair: %w", err)
	}
	defer unix.Close(pair[1]) //nolint:errcheck // nothing was kept in it
	if _, err := unix.Write(pair[1], a.Init); err != nil {
		return nil, 0, nil, fmt.Errorf("first request: %w", err)
	}
	s, err = newServer(c, pair[0], a, o)
	if err != nil {
		return nil, 0, nil, err
	}
	prefault(s.fuse)
	buf := make([]byte, initSize)
	n, err := retry(func() (int, error) { return unix.Read(pair[1], buf) })
	if err != nil {
		return nil, 0, nil, fmt.Errorf("answer to the first request: %w", err)
	}
	return s, pair[0], buf[:n:n], nil
}

// newServer makes a server on a descriptor and reads the first request from it.
func newServer(c *cache.Cache, fd int, a Adoption, o Options) (*Server, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	f := &fileSystem{RawFileSystem: fuse.NewDefaultRawFileSystem(), cache: c, log: o.Logger, outdated: new(outdated), writeback: o.Writeback}
	forget := func(cache.Ino) {}
	if c != nil {
		f.dirs.tag, forget = c.HandleTag(), c.Forget
	}
	server, err := fuse.NewServer(f, fmt.Sprintf("/dev/fd/%d", fd), mountOptions(o))
	if err != nil {
		return nil, err
	}
	return &Server{fuse: server, files: f, dir: a.Dir, dev: a.Number, fd: fd, served: make(chan struct{}), notify: newNotifier(server, forget, f.outdated)}, nil
}

// serve begins to answer.
func (s *Server) serve() {
	go func() {
		defer close(s.served)
		s.fuse.Serve()
	}()
}

// notifyResend is FUSE_NOTIFY_RESEND.
const notifyResend = 7

// resend asks the kernel for everything that was read from the device and not answered.
func resend(fd int) error {
	// struct fuse_out_header: length, error (the kind of a notification), unique (0)
	message := binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(nil, 16), notifyResend)
	message = append(message, make([]byte, 8)...)
	if _, err := retry(func() (int, error) { return unix.Write(fd, message) }); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("ask the kernel for unanswered requests: %w", err)
	}
	return nil
}

// Quiesce lets no further request begin and waits for those that are being answered until ctx ends; it reports whether there
// are none left. The mount does not answer any more: its process must end, and the next one gets what waits.
func (s *Server) Quiesce(ctx context.Context) bool {
	quiet := make(chan struct{})
	go func() {
		s.files.gate.Lock() // for good
		close(quiet)
	}()
	select {
	case <-quiet:
		return true
	case <-ctx.Done():
		return false
	}
}
