package fs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
)

// Sizes offered to the kernel (FUSE limits a request to 1 MiB by default) and its number of requests in the background.
const (
	maxRequest    = 1 << 20
	maxBackground = 64
	readAheadKiB  = maxRequest >> 10
)

// Options say how a mount looks to the system.
type Options struct {
	// Source is shown as the mounted device, for example "oss://bucket/prefix"; "ossencfs" when empty, which mount(2) refuses.
	Source string
	// AllowOther lets other users in.
	AllowOther bool
	// ReadOnly mounts with ro; the cache must have been opened so too.
	ReadOnly bool
	// Suid and Dev honour set-user-id bits and device nodes; both are off (nosuid, nodev) unless asked for.
	Suid, Dev bool
	// Noexec mounts with noexec; only root may ask for these three.
	Noexec bool
	// Writeback lets the kernel collect small writes before it sends them. Faster for random overwrites; what it has
	// not sent is lost with the machine or when the daemon is killed, as on a local disk before fsync.
	Writeback bool
	// Logger gets what goes wrong; nil is slog.Default.
	Logger *slog.Logger
	// Debug writes every request to the logger.
	Debug bool
}

// Server is a mount that answers the kernel.
type Server struct {
	fuse   *fuse.Server
	files  *fileSystem
	dir    string
	dev    uint64 // of the mount; 0 is not known
	fd     int    // of the device, as the library has it
	served chan struct{}
	notify *notifier
}

// fileSystem answers the kernel's requests.
type fileSystem struct {
	fuse.RawFileSystem
	cache *cache.Cache
	log   *slog.Logger
	dirs  dirTable
	calls atomic.Int64
	// outdated is that of the notifier.
	outdated *outdated
	gate     sync.RWMutex // held for reading by every request that is being answered; see Quiesce
	// writeback is Options.Writeback.
	writeback bool
}

// Mount mounts the cache on dir, in whose path no symbolic link may be, and answers for it in this process: [Attach] and [Adopt] in one. It
// returns when the kernel got its first answers. The mount ends by Unmount, or from outside (fusermount3 -u, umount); Wait returns then, and the
// caller drains and closes the cache.
func Mount(ctx context.Context, c *cache.Cache, dir string, o Options) (*Server, error) {
	d, err := Attach(dir, o)
	if err != nil {
		return nil, err
	}
	fd, err := unix.FcntlInt(uintptr(d.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("mount on %q: %w", d.dir, err), d.Detach())
	}
	s, err := Adopt(ctx, c, Adoption{FD: fd, Dir: d.dir, Number: d.dev, Init: d.init, Answer: d.Answer}, o)
	if err != nil {
		return nil, errors.Join(err, d.Detach())
	}
	if err := declinePoll(d.dir); err != nil {
		return nil, errors.Join(fmt.Errorf("mount on %q: %w", d.dir, err), s.Unmount(), d.Close())
	}
	return s, d.Close()
}

// declinePoll has the kernel ask once whether a file can be polled, which go-fuse declines for all of them, by a file of its own. Else Go would have it
// ask when this process opens a file of the mount that it serves, and wait for the answer without letting another goroutine give it.
func declinePoll(dir string) error {
	fd, err := unix.Open(filepath.Join(dir, ".go-fuse-epoll-hack"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)                                       //nolint:errcheck // nothing was written to it
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}} //nolint:gosec // a descriptor fits
	_, err = retry(func() (int, error) { return unix.Poll(fds, 0) })
	return err
}

// mountOptions are the settings measured as best for this kind of file system (ARCHITECTURE.md, Mount settings).
func mountOptions(o Options) *fuse.MountOptions {
	m := &fuse.MountOptions{
		AllowOther:               o.AllowOther,
		FsName:                   cmp.Or(o.Source, "ossencfs"),
		Name:                     "ossencfs",
		MaxWrite:                 maxRequest,
		MaxReadAhead:             maxRequest,
		MaxBackground:            maxBackground,
		ExplicitDataCacheControl: true,
		EnableSymlinkCaching:     true,
		DisableSplice:            true,
		ExtraCapabilities:        fuse.CAP_HANDLE_KILLPRIV_V2 | fuse.CAP_READDIRPLUS_AUTO | fuse.CAP_EXPORT_SUPPORT,
		DisabledCapabilities:     fuse.CAP_PASSTHROUGH | fuse.CAP_NO_OPEN_SUPPORT | fuse.CAP_NO_OPENDIR_SUPPORT,
		Logger:                   log.New(&logWriter{o.Logger}, "", 0),
		Debug:                    o.Debug,
		Options:                  []string{"default_permissions"}, // the kernel checks modes and owners, its user's own calls included
	}
	if o.Writeback {
		m.ExtraCapabilities |= fuse.CAP_WRITEBACK_CACHE
	}
	if os.Geteuid() == 0 {
		m.DirectMountFlags = directFlags(o)
		return m
	}
	if o.ReadOnly {
		m.Options = append(m.Options, "ro")
	}
	m.Options = append(m.Options, "nosuid", "nodev")
	return m
}

// directFlags are the mount(2) flags; 0 would mean a default, so MS_MGC_VAL, which the kernel ignores, is in it.
func directFlags(o Options) uintptr {
	flags := uintptr(unix.MS_MGC_VAL)
	if !o.Suid {
		flags |= unix.MS_NOSUID
	}
	if !o.Dev {
		flags |= unix.MS_NODEV
	}
	if o.Noexec {
		flags |= unix.MS_NOEXEC
	}
	if o.ReadOnly {
		flags |= unix.MS_RDONLY
	}
	return flags
}

// ready waits for the first answer and lets the kernel read ahead as far as one request holds.
func (s *Server) ready(ctx context.Context) error {
	answered := make(chan error, 1)
	go func() {
		var st unix.Stat_t
		if err := unix.Stat(s.dir, &st); err != nil {
			answered <- err
			return
		}
		setReadAhead(s.dev)
		answered <- nil
	}()
	select {
	case err := <-answered:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// setReadAhead raises the kernel's read-ahead above the 128 KiB it offers at mount time. Only root may; without it large
// files are read in smaller requests, and nothing else changes.
func setReadAhead(dev uint64) {
	path := fmt.Sprintf("/sys/class/bdi/%d:%d/read_ahead_kb", unix.Major(dev), unix.Minor(dev))
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer file.Close()
	_, _ = io.WriteString(file, fmt.Sprint(readAheadKiB)) // best effort, see above
}

// Dir is the absolute path of the mount point.
func (s *Server) Dir() string { return s.dir }

// Wait returns when the mount has ended, whoever ended it, and all requests are answered.
func (s *Server) Wait() {
	<-s.served
	s.notify.close()
}

// Answered is how many of the kernel's requests were taken up.
func (s *Server) Answered() int64 { return s.files.calls.Load() }

// Done is closed when the mount has ended.
func (s *Server) Done() <-chan struct{} { return s.served }

// Unmount ends the mount and waits for its last requests. EBUSY (files are open, somebody works in it) is returned as is,
// and the mount goes on. It does nothing after the mount has ended.
func (s *Server) Unmount() error {
	var err error
	for try, pause := 0, 5*time.Millisecond; try < 5; try, pause = try+1, 2*pause { // the kernel may need a moment for files that were just closed
		select {
		case <-s.served:
			s.Wait()
			return nil
		default:
		}
		if err = Unmount(s.dir, s.dev, false); err == nil {
			return s.ended()
		}
		time.Sleep(pause)
	}
	if !mountedHere(s.dev) && len(s.Holders()) > 0 {
		return ErrHeld // somebody else has taken it out of the tree
	}
	return fmt.Errorf("unmount %q: %w", s.dir, err)
}

// Detach takes the mount out of the tree although it is busy (umount -l); it ends when its last file is closed.
func (s *Server) Detach() error {
	if err := Unmount(s.dir, s.dev, true); err != nil {
		return fmt.Errorf("detach %q: %w", s.dir, err)
	}
	return nil
}

// Abort cuts the connection to the kernel: every waiting call and every later one gets ENOTCONN or ECONNABORTED. It is for
// tests of crashes, and for a mount that must end at once or is only in other mount namespaces.
func (s *Server) Abort() error {
	dev := s.dev
	if dev == 0 {
		var st unix.Stat_t
		if err := unix.Stat(s.dir, &st); err != nil {
			return fmt.Errorf("abort %q: %w", s.dir, err)
		}
		dev = st.Dev
	}
	file, err := os.OpenFile(fmt.Sprintf("/sys/fs/fuse/connections/%d/abort", unix.Minor(dev)), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("abort %q: %w", s.dir, err)
	}
	defer file.Close()
	if !s.connected() {
		return nil // the number may be that of another mount by now
	}
	if _, err := file.WriteString("1"); err != nil {
		return fmt.Errorf("abort %q: %w", s.dir, err)
	}
	return nil
}

// connected reports whether the kernel still has the mount's connection. What was opened by its number before is its own then.
func (s *Server) connected() bool {
	fds := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}} //nolint:gosec // a descriptor fits
	_, err := retry(func() (int, error) { return unix.Poll(fds, 0) })
	select {
	case <-s.served:
		return false // and the descriptor may be another one's
	default:
		return err == nil && fds[0].Revents&(unix.POLLERR|unix.POLLNVAL) == 0
	}
}

// logWriter hands go-fuse's own lines to the logger.
type logWriter struct{ log *slog.Logger }

// Write logs one line.
func (w *logWriter) Write(p []byte) (int, error) {
	w.log.Warn("fuse", "message", strings.TrimSpace(string(p)))
	return len(p), nil
}

// String names the file system in debug output.
func (f *fileSystem) String() string { return "ossencfs" }
