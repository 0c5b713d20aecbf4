package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

func umountCommand() *command {
	return &command{name: "umount", usage: umountUsage, run: runUmount, options: []option{{name: "now", cli: true}, timeoutOption}}
}

// namedMount is the folder that the argument names, and the record of what is mounted there; nil for nothing of ours.
func (c *call) namedMount() (dir string, rec *record, err error) {
	if dir, err = resolveDir(c.args[0]); err != nil {
		return "", nil, fail(exitMountPoint, err)
	}
	rec, err = c.findRecord(dir)
	return dir, rec, err
}

func runUmount(ctx context.Context, c *call) error {
	if err := c.wantArgs("DIR"); err != nil {
		return err
	}
	r := c.read()
	now, limit := r.is("now"), r.duration("timeout")
	if r.err != nil {
		return r.err
	}
	dir, rec, err := c.namedMount()
	if err != nil {
		return err
	}
	if rec == nil {
		return c.umountWithoutSession(dir)
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	process, err := unix.PidfdOpen(rec.PID, 0)
	if err == nil {
		defer unix.Close(process)
	}
	tell, finish := c.tellUploads()
	limited, cancel := withTimeout(ctx, limit)
	defer cancel()
	last, err := rec.order(limited, "unmount", request{Now: now}, tell)
	if ctx.Err() == nil && limited.Err() != nil { // what is left stays for the next mount
		last, err = rec.order(ctx, "unmount", request{Now: true}, tell)
	}
	finish()
	switch {
	case errors.Is(err, errGone):
		return c.umountWithoutSession(dir)
	case ctx.Err() != nil:
		return fail(exitInterrupted, errors.New("interrupted; the uploads go on in the background"), "`ossencfs status` shows them")
	case err != nil:
		return err
	}
	awaitExit(process)
	if len(last.Held) > 0 {
		c.stderr.printf("ossencfs: a copy of the mount in another mount namespace has ended with it, that of %s\n", strings.Join(last.Held, ", "))
	}
	if last.Left > 0 {
		c.tellLeft(last.Why)
		c.stdout.printf("unmounted %s; not in the bucket yet: %s, %s\n", dir, files(last.Left), formatSize(last.LeftBytes))
		c.stderr.printf("%sthe next mount with cache folder %s uploads them\n", hintPrefix, rec.CacheDir)
		return quiet(exitPending)
	}
	c.stdout.printf("unmounted %s; the bucket has everything\n", dir)
	return nil
}

// findRecord finds the newest living session on a mount point, nil when there is none.
func (p *program) findRecord(dir string) (*record, error) {
	list, err := p.records()
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		if r.Mountpoint != dir {
			continue
		}
		conn, err := r.dial()
		if errors.Is(err, errGone) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("control socket of %s: %w", dir, err)
		}
		return r, conn.Close()
	}
	return nil, nil
}

// umountWithoutSession deals with a mount point that no process of this user serves: a dead mount is removed.
func (c *call) umountWithoutSession(dir string) error {
	m, ok, err := mountAt(dir)
	switch {
	case err != nil:
		return err
	case !ok || m.fstype != fuseType:
		return fail(exitMountPoint, fmt.Errorf("nothing of ours is mounted at %s", dir), "`ossencfs status` lists the mounts")
	}
	if !isDead(probe(dir)) {
		return fail(exitMountPoint, fmt.Errorf("%s is mounted by somebody else, or with another runtime folder", dir), "unmount it as that user")
	}
	if err := removeDead(dir); err != nil {
		return err
	}
	c.stdout.printf("removed the dead mount of %s at %s\n", m.source, dir)
	c.stderr.printf("%swhat it had not uploaded is in its cache folder, and goes up with the next mount\n", hintPrefix)
	return nil
}

// exitGrace is how long, in milliseconds, a session that said it is done may take to end its process.
const exitGrace = 5000

// awaitExit waits for the end of a process, so that a script finds nothing of it.
func awaitExit(pidfd int) {
	for pidfd >= 0 {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, exitGrace) //nolint:gosec // a descriptor fits
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
