package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/fs"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/localfile"
	"github.com/ossencfs/ossencfs/object"
)

// session is a mount in this process. It lives through three phases: mounted, uploading what is left (the mount has ended),
// finished.
type session struct {
	cfg     *mountConfig
	log     *slog.Logger
	ring    *keys.Keyring
	notices noticeRelay
	bucket  *object.Bucket
	cache   *cache.Cache
	server  *fs.Server
	daemon  *daemon // nil: the mount ends with this process
	record  *record
	control *control
	rate    rate
	own     *program
	options string // what another command for the bucket has to be given
	resumes string // what an earlier mount left to be uploaded, for people; empty: nothing

	hurry    context.Context // ends when uploads must be left for the next mount
	hurryNow context.CancelFunc

	upgraded chan struct{} // closed when another binary shall go on with the mount
	held     chan struct{} // closed when the mount is only in other mount namespaces
	finished chan struct{} // closed when everything is released
	asking   sync.Mutex    // one question to the supervisor at a time
	mu       sync.Mutex    // mu guards the fields below, and the closing of upgraded and held
	result   result
	holders  []fs.Holder // who has it there
}

// result is how a session ended.
type result struct {
	left  int64           // files that are not in the bucket yet
	bytes int64           // of them
	why   []uploadFailure // what failed last for some of them
	err   error
}

// openSession connects, opens the cache and mounts. When it fails, nothing is left behind.
func (c *call) openSession(ctx context.Context, cfg *mountConfig, p *prepared, log *slog.Logger) (_ *session, err error) {
	s := &session{cfg: cfg, log: log, daemon: p.daemon, upgraded: make(chan struct{}), held: make(chan struct{}), finished: make(chan struct{})}
	s.hurry, s.hurryNow = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close(context.Background(), cache.CloseNow))
		}
	}()
	s.ring = p.ring
	cfg.object.Keyring, cfg.object.PinFile, cfg.object.Notice = p.ring, cfg.pin.file(), s.notices.take
	if log.Enabled(ctx, slog.LevelDebug) {
		cfg.object.Connection.OnRequest = func(a object.Attempt) { logRequest(log, &a) }
		logKMS(log, p.ring)
	}
	cfg.object.RecordFile = filepath.Join(cfg.cache.Dir, recordFile)
	cfg.object.Reached = func() { log.Warn("the bucket has been reached; what waited goes on", "bucket", cfg.target.String()) }
	if err := s.connect(ctx, c.program); err != nil {
		return nil, err
	}
	if s.daemon != nil {
		cfg.cache.Life = s.daemon.hello.Life
	}
	cfg.cache.Bucket, cfg.cache.Logger = s.bucket, log
	if s.cache, err = cache.Open(ctx, cfg.cache); err != nil {
		return nil, err
	}
	if err := s.bucket.KeepRecords(cfg.object.RecordFile); err != nil {
		log.Warn("the volume's records are not kept for a mount without the bucket", "error", err)
	}
	s.notices.attach(s.cache)
	cfg.fs.Logger = log
	if s.daemon == nil || s.daemon.first() {
		s.resumes = s.left()
	}
	listener, err := s.mount(ctx, c.program, p) // whoever writes in a mount that goes on waits for this
	if err != nil {
		return nil, err
	}
	s.own, s.options = c.program, c.sameOptions()
	s.noteCache(s.own, false, 0, 0)
	s.control = serveControl(s, listener)
	s.control.refound = s.refind(c.program, s.control.serve)
	return s, nil
}

// left says what an earlier mount left to be uploaded.
func (s *session) left() string {
	st := s.status()
	if st.PendingFiles == 0 {
		return ""
	}
	return sprintf("it goes on with %s, %s, of an earlier mount that are not in the bucket yet", files(st.PendingFiles), formatSize(st.PendingBytes))
}

// mount mounts, or takes a mount over, and returns the control socket.
func (s *session) mount(ctx context.Context, own *program, p *prepared) (listener net.Listener, err error) {
	cfg := s.cfg
	if s.daemon != nil {
		s.server, s.record, listener, err = s.daemon.adopt(ctx, s.cache, cfg.fs)
		return listener, err
	}
	if s.server, err = fs.Mount(ctx, s.cache, cfg.dir, cfg.fs); err != nil {
		return nil, fail(exitMountPoint, err, "what fusermount3 or the kernel said is above, or in the log; the mount point must be yours to write to")
	}
	runtime, err := own.runtimeDir()
	if err != nil {
		return nil, err
	}
	s.record = newRecord(cfg.dir, cfg.target.String(), cfg.cache.Dir, p.logFile)
	return s.record.listen(runtime)
}

// recordFile keeps the volume's records in the cache folder, for a mount while the bucket cannot be reached.
const recordFile = "records"

// connect opens the bucket and its volume. Where the bucket cannot be reached, what this machine knows of it has to do.
func (s *session) connect(ctx context.Context, p *program) error {
	err := s.reach(ctx, p)
	if err == nil || !object.Away(err) || ctx.Err() != nil {
		return err
	}
	if s.bucket != nil {
		err = errors.Join(err, s.bucket.Close())
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout) // for KMS, which may be there
	defer cancel()
	if s.bucket, err = object.OpenAway(ctx, s.cfg.object, err); err != nil {
		return err
	}
	s.log.Warn("the bucket cannot be reached; mounted with what this machine knows of it", "bucket", s.cfg.target.String(), "error", s.bucket.Away())
	return nil
}

// reach opens the bucket and its volume, which proves that the master key fits, within seconds.
func (s *session) reach(ctx context.Context, p *program) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	var err error
	if s.bucket, err = object.Open(ctx, s.cfg.object); err != nil {
		return fmt.Errorf("open bucket %s: %w", s.cfg.target.bucket, err)
	}
	if err := s.bucket.VerifyKey(ctx); err != nil {
		return s.cfg.pin.explain(fmt.Errorf("open the volume of %s: %w", s.cfg.target, err))
	}
	return p.remember(s.bucket, s.cfg.pin)
}

// run waits until the mount has ended — by a signal, by `ossencfs umount` or from outside — and then for the uploads.
func (s *session) run(ctx context.Context, sig *signals) error {
	stop := context.AfterFunc(sig.second, s.hurryNow)
	defer stop()
	select {
	case <-s.server.Done():
	case <-s.upgraded:
		return s.handOver()
	case <-s.held:
	case <-sig.first.Done():
		s.daemon.say(msgEnding)
		s.endMount(sig.second)
	case <-ctx.Done():
		s.hurryNow()
		s.endMount(s.hurry)
	}
	s.daemon.say(msgEnding)
	if s.isHeld() {
		s.cutOff(either(ctx, s.hurry))
	} else {
		s.server.Wait()
	}
	if left := s.status().PendingFiles; left > 0 && s.hurry.Err() == nil {
		s.log.Info("unmounted; uploading what is left", "files", left)
		if s.record.LogFile == "" && term.IsTerminal(int(os.Stderr.Fd())) {
			newPrinter(os.Stderr).printf("ossencfs: uploading %s; Ctrl-C leaves them for the next mount\n", files(left))
		}
	}
	err := s.close(either(ctx, s.hurry), cache.CloseDrain)
	s.mu.Lock()
	r := s.result
	s.mu.Unlock()
	if err == nil && r.left > 0 {
		return fail(exitPending, fmt.Errorf("not in the bucket yet: %s, %s", files(r.left), formatSize(r.bytes)), "the next mount with cache folder "+s.cfg.cache.Dir+" uploads them")
	}
	return err
}

// endMount unmounts for a signal. A busy mount is taken out of the tree and ends with its last open file, or at once when
// the second signal comes.
func (s *session) endMount(second context.Context) {
	err := s.server.Unmount()
	if err == nil || s.noteHeld(err) {
		return
	}
	s.log.Warn("the mount is busy; it ends when the last file in it is closed", "mountpoint", s.cfg.dir, "error", err)
	if err := s.server.Detach(); err != nil {
		s.log.Error("cannot detach the mount", "error", err)
	}
	select {
	case <-s.server.Done():
	case <-second.Done():
		if err := s.server.Abort(); err != nil {
			s.log.Error("cannot abort the mount", "error", err)
		}
	}
}

// close releases everything in the order in which it depends on each other, and tells those who wait.
func (s *session) close(ctx context.Context, mode cache.CloseMode) error {
	var errs []error
	if s.server != nil && !s.isHeld() { // else it is the supervisor's to say whether the mount ends
		s.daemon.say(msgEnding)
		if err := s.server.Unmount(); err != nil { // it is busy, and must not stay behind without us
			errs = append(errs, err, s.server.Detach())
		}
	}
	if s.cache != nil {
		errs = append(errs, s.closeCache(ctx, mode))
	}
	if s.bucket != nil {
		errs = append(errs, s.bucket.Close())
	}
	if s.record != nil {
		errs = append(errs, s.record.forget())
	}
	s.hurryNow()
	err := errors.Join(errs...)
	s.mu.Lock()
	s.result.err = err
	s.mu.Unlock()
	close(s.finished)
	if s.control != nil {
		err = errors.Join(err, s.control.stop())
	}
	return err
}

// closeCache ends the cache and notes how much is left. That uploads were cut short on request is no error.
func (s *session) closeCache(ctx context.Context, mode cache.CloseMode) error {
	err := s.cache.Close(ctx, mode)
	st := s.status()
	s.mu.Lock()
	s.result.left, s.result.bytes, s.result.why = st.PendingFiles, st.PendingBytes, st.Failures
	s.mu.Unlock()
	if s.own != nil {
		s.noteCache(s.own, true, st.PendingFiles, st.PendingBytes)
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// requestUnmount is what `ossencfs umount` asks for. With now, uploads are left for the next mount.
func (s *session) requestUnmount(now bool) error {
	select {
	case <-s.server.Done():
	default:
		if err := s.server.Unmount(); err != nil && !s.noteHeld(err) {
			if errors.Is(err, unix.EBUSY) || isBusy(s.cfg.dir) {
				return fail(exitMountPoint, fmt.Errorf("%s is busy: files are open or somebody works in it", s.cfg.dir), "`fuser -vm "+localfile.Word(s.cfg.dir)+"` shows who")
			}
			return fail(exitMountPoint, err)
		}
	}
	if now {
		s.hurryNow()
	}
	return nil
}

// isBusy reports whether our mount is still there after an unmount that failed.
func isBusy(dir string) bool {
	m, ok, err := mountAt(dir)
	return err == nil && ok && m.fstype == fuseType
}

// control is the session's end of the control socket.
type control struct {
	serve   func(net.Listener) // answers on one more socket
	shut    func(context.Context) error
	served  sync.WaitGroup
	refound func() error // ends the look for the socket
}

// controlGrace is how long those who wait for the end of a session have to be told.
const controlGrace = 5 * time.Second

// stop ends the control socket after everybody who waited was told.
func (c *control) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), controlGrace)
	defer cancel()
	err := errors.Join(c.refound(), c.shut(ctx))
	c.served.Wait()
	return err
}
