package fs

import (
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
	// Source is shown as the mounted device, for example "oss://bucket/prefix".
	Source string
	// AllowOther lets other users in; the kernel then checks modes and owners (default_permissions).
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
	fuse    *fuse.Server
	files   *fileSystem
	dir     string
	adopted bool // see Adopt
	served  chan struct{}
	notify  *notifier
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
}

// Mount mounts the cache on dir and returns when the kernel got its first answers. The mount ends by Unmount, or from
// outside (fusermount3 -u, umount); Wait returns then, and the caller drains and closes the cache.
func Mount(ctx context.Context, c *cache.Cache, dir string, o Options) (*Server, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("mount on %q: %w", dir, err)
	}
	s, err := newServer(c, abs, abs, o)
	if err != nil {
		return nil, fmt.Errorf("mount on %q: %w", abs, err)
	}
	c.SetKernel(s.notify) // before the first write is answered, see cache.Kernel.ForgetAttr
	s.serve()
	if err := s.ready(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("mount on %q: %w", abs, err), s.Unmount())
	}
	return s, nil
}

// mountOptions are the settings measured as best for this kind of file system (ARCHITECTURE.md, Mount settings).
func mountOptions(o Options) *fuse.MountOptions {
	m := &fuse.MountOptions{
		AllowOther:               o.AllowOther,
		FsName:                   o.Source,
		Name:                     "ossencfs",
		MaxWrite:                 maxRequest,
		MaxReadAhead:             maxRequest,
		MaxBackground:            maxBackground,
		ExplicitDataCacheControl: true,
		EnableSymlinkCaching:     true,
		DisableSplice:            true,
		ExtraCapabilities:        fuse.CAP_HANDLE_KILLPRIV_V2 | fuse.CAP_READDIRPLUS_AUTO,
		DisabledCapabilities:     fuse.CAP_PASSTHROUGH | fuse.CAP_NO_OPEN_SUPPORT | fuse.CAP_NO_OPENDIR_SUPPORT,
		Logger:                   log.New(&logWriter{o.Logger}, "", 0),
		Debug:                    o.Debug,
	}
	if o.Writeback {
		m.ExtraCapabilities |= fuse.CAP_WRITEBACK_CACHE
	}
	if o.AllowOther {
		m.Options = append(m.Options, "default_permissions")
	}
	if os.Geteuid() == 0 {
		m.DirectMountStrict = true
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
		if !s.adopted {
			if err := s.fuse.WaitMount(); err != nil {
				answered <- err
				return
			}
		}
		var st unix.Stat_t
		if err := unix.Stat(s.dir, &st); err != nil {
			answered <- err
			return
		}
		setReadAhead(st.Dev)
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
	select {
	case <-s.served:
		s.Wait()
		return nil
	default:
	}
	end := s.fuse.Unmount
	if s.adopted {
		end = s.unmountAdopted
	}
	if err := end(); err != nil {
		return fmt.Errorf("unmount %q: %w", s.dir, err)
	}
	s.Wait()
	return nil
}

// Detach takes the mount out of the tree although it is busy (umount -l); it ends when its last file is closed.
func (s *Server) Detach() error {
	if err := Unmount(s.dir, true); err != nil {
		return fmt.Errorf("detach %q: %w", s.dir, err)
	}
	return nil
}

// Abort cuts the connection to the kernel: every waiting call and every later one gets ENOTCONN or ECONNABORTED. It is for
// tests of crashes and for a mount that must end at once.
func (s *Server) Abort() error {
	var st unix.Stat_t
	if err := unix.Stat(s.dir, &st); err != nil {
		return fmt.Errorf("abort %q: %w", s.dir, err)
	}
	path := fmt.Sprintf("/sys/fs/fuse/connections/%d/abort", unix.Minor(st.Dev))
	if err := os.WriteFile(path, []byte("1"), 0); err != nil {
		return fmt.Errorf("abort %q: %w", s.dir, err)
	}
	return nil
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
