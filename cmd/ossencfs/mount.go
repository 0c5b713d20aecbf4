package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/fs"
	"github.com/ossencfs/ossencfs/localfile"
	"github.com/ossencfs/ossencfs/object"
)

func mountCommand() *command {
	return &command{name: "mount", usage: mountUsage, run: runMount, bucket: bucketAt(0), options: join(
		generalOptions, bucketOptions, keyOptions, hostOptions, trustOptions, transferOptions, mountOptions, cacheOptions, logOptions, []option{
			newVolumeOption, {name: "foreground", cli: true},
			{name: "o", arg: "OPTIONS", many: true, cli: true},
			// mount(8) gives these to its helpers; they say nothing to us.
			{name: "n", cli: true}, {name: "s", cli: true}, {name: "v", cli: true},
			{name: "t", arg: "TYPE", cli: true},
		})}
}

// mountConfig is all that a mount was told.
type mountConfig struct {
	target   target // bucket and prefix
	dir      string // mount point; absolute once it was checked
	nonempty bool
	object   object.Options // without keyring
	cache    cache.Options  // without bucket and logger
	host     hostConfig     // of a write-only host
	fs       fs.Options     // without logger
	pin      pin            // what is remembered of the volume
	logFile  string
	logLevel string

	adopted      bool // the mount is there already
	madeCacheDir bool // by this process, which removes it again when the mount fails
}

func runMount(ctx context.Context, c *call) error {
	if err := c.wantArgs("oss://BUCKET", "DIR"); err != nil {
		return err
	}
	r := c.read()
	foreground := r.is("foreground")
	cfg, err := c.mountConfig(r)
	if err != nil {
		return err
	}
	if cfg.host.bundle != "" {
		if err := wipeMemory(c.getenv); err != nil {
			return err
		}
	}
	privateFiles()
	if l, err := linkToSupervisor(c.getenv); err != nil || l != nil {
		if err != nil {
			return err
		}
		return c.runDaemon(ctx, cfg, l)
	}
	if given, err := readBequest(c.getenv); err != nil || given != nil {
		if err != nil {
			return err
		}
		return c.supervise(cfg, given)
	}
	if err := r.refusePipes(); err != nil {
		return err
	}
	typed := secrets{}
	defer typed.wipe()
	asking, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM) // a prompt must not leave the terminal silent
	p, err := c.prepare(asking, cfg, typed)
	if err == nil {
		err = asking.Err()
	}
	stop()
	if err != nil {
		return err
	}
	if p.told != "" {
		c.stderr.printf("ossencfs: %s\n", p.told)
	}
	if foreground {
		err = c.becomeSupervisor(cfg, typed)
	} else {
		err = c.background(ctx, cfg, typed)
	}
	if err != nil {
		cfg.tidy()
	}
	return err
}

// refusePipes refuses files whose content can be read once only: the daemon reads them again whenever it begins.
func (r *reader) refusePipes() error {
	for _, name := range []string{"config", "ca-file", "rsa-key", "read-rsa-key", "key-passphrase-file", "host-bundle", "machine-key-file"} {
		for _, file := range r.values[name].list {
			if localfile.IsPipe(expandHome(file)) {
				return usageError(fmt.Errorf("--%s %s is a pipe, and a mount reads it again whenever its daemon begins", name, file),
					"give a file of mode 600; for a passphrase, --key-passphrase-command")
			}
		}
	}
	return nil
}

// mountConfig reads the options of a mount. It touches nothing.
func (c *call) mountConfig(r *reader) (*mountConfig, error) {
	t, err := c.bucketOf(0)
	if err != nil {
		return nil, err
	}
	if prefix := strings.Trim(r.text("prefix"), "/"); prefix != "" {
		t.key = strings.Trim(strings.Trim(t.key, "/")+"/"+prefix, "/")
	}
	t.key = strings.Trim(t.key, "/")
	uid := uint32(r.number("uid", 10, int64(os.Geteuid()), 0, 1<<32-2)) //nolint:gosec // within the limits given
	gid := uint32(r.number("gid", 10, int64(os.Getegid()), 0, 1<<32-2)) //nolint:gosec // within the limits given
	umask := uint32(r.number("umask", 8, 0o022, 0, 0o777))              //nolint:gosec // within the limits given
	cfg := &mountConfig{target: t, dir: c.args[1], nonempty: r.is("nonempty"), object: r.objectOptions(t),
		logLevel: r.choice("log-level"), logFile: expandHome(r.text("log-file"))}
	cfg.object.Prefix, cfg.object.ReadOnly, cfg.object.Shared = t.key, r.is("read-only"), r.is("allow-other")
	cfg.object.Trust, cfg.object.VolumeIDs, cfg.object.NewVolume = r.trust(matchedPrefix(t.key)), r.volumeIDs(), r.is(newVolumeOption.name)
	cfg.object.DefaultAttr = object.DefaultAttr{UID: uid, GID: gid, Umask: umask}
	cfg.cache = cache.Options{
		Dir: expandHome(r.text("cache-dir")), Limit: r.size("cache-size"), Settle: r.duration("settle"), LateLimit: r.duration("late-limit"),
		MetaTTL: r.duration("metadata-ttl"), Workers: int(r.number("workers", 10, 16, 1, 1024)), ReadOnly: cfg.object.ReadOnly,
		FsyncRemote: r.choice("fsync") == "remote", CloseRemote: r.choice("close") == "remote", Exclusive: r.is("exclusive"), Locks: r.choice("lock") == "objects",
		CreateRemote: r.choice("exclusive-create") == "remote",
		Shared:       r.is("allow-other"), UID: uid, GID: gid, Umask: umask,
	}
	if cfg.cache.Limit > 0 && cfg.cache.Limit < cache.MinLimit {
		r.bad("cache-size", "the smallest cache has "+formatSize(cache.MinLimit))
	}
	cfg.fs = fs.Options{Source: t.String(), AllowOther: r.is("allow-other"), ReadOnly: cfg.object.ReadOnly, Suid: r.is("suid"), Dev: r.is("dev"),
		Noexec: r.is("noexec"), Writeback: r.is("writeback")}
	if cfg.cache.Exclusive && cfg.cache.Locks {
		r.bad("lock", "with exclusive there is nobody to lock against")
	}
	cfg.host = r.hostConfig()
	if r.err != nil {
		return nil, r.err
	}
	return cfg, c.placeFiles(cfg)
}

// placeFiles decides where cache and log are.
func (c *call) placeFiles(cfg *mountConfig) error {
	if cfg.cache.Dir == "" {
		cfg.cache.Dir = c.defaultCacheDir(cfg.object.Connection.Endpoint+cfg.object.Connection.Region, cfg.target.bucket, cfg.target.key)
	}
	dir, err := filepath.Abs(cfg.cache.Dir)
	if err != nil {
		return fmt.Errorf("cache folder: %w", err)
	}
	cfg.cache.Dir = dir
	if cfg.logFile == "" {
		cfg.logFile = filepath.Join(dir, "ossencfs.log")
	}
	cfg.logFile, err = filepath.Abs(cfg.logFile)
	return err
}

// greeting is what is said when the mount answers: where it is, and what close and fsync promise.
func (cfg *mountConfig) greeting() string {
	wait := map[bool]string{false: "this machine", true: "the bucket"}
	mode := map[bool]string{false: "local", true: "remote"}
	text := sprintf("mounted %s on %s\n", cfg.target, cfg.dir)
	if cfg.object.ReadOnly {
		return text + "read-only"
	}
	return text + sprintf("durability: close waits for %s (close=%s), fsync for %s (fsync=%s)", wait[cfg.cache.CloseRemote], mode[cfg.cache.CloseRemote],
		wait[cfg.cache.FsyncRemote], mode[cfg.cache.FsyncRemote])
}

// greeting is that of the mount, and what is to be known of a volume that it made.
func (s *session) greeting() string {
	text := s.cfg.greeting()
	if v := s.bucket.Volume(); v.Made {
		text += "\n" + newVolumeText(s.cfg.target.bucket, v, s.options)
	}
	if why := s.bucket.Away(); why != nil {
		text += sprintf("\nthe bucket cannot be reached: %v\nwhat is in the cache can be read, and what is changed waits until the bucket is there again", why)
	}
	if s.resumes != "" {
		text += "\n" + s.resumes
	}
	return text
}

// connectTimeout bounds how long a mount tries to reach OSS and KMS before it gives up.
const connectTimeout = 10 * time.Second

// serve opens a session, calls ready, and returns when the mount has ended and its uploads are done.
func (c *call) serve(ctx context.Context, cfg *mountConfig, p *prepared, log *slog.Logger, ready func(*session) error) error {
	takeLibraryLog(log)
	var orders <-chan int
	if p.daemon != nil {
		orders = p.daemon.orders
	}
	signals := catchSignals(orders)
	defer signals.stop()
	opening := signals.firstOr(ctx)
	if p.daemon != nil && !p.daemon.first() { // it must answer for the mount to end it in order
		opening = either(ctx, signals.second)
	}
	s, err := c.openSession(opening, cfg, p, log)
	if err != nil {
		return err
	}
	if err := ready(s); err != nil {
		return errors.Join(err, s.close(ctx, cache.CloseNow))
	}
	return s.run(ctx, signals)
}
