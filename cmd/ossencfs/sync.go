package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func syncCommand() *command {
	return &command{name: "sync", usage: syncUsage, run: runSync, options: []option{timeoutOption}}
}

func runSync(ctx context.Context, c *call) error {
	if err := c.wantArgs("PATH"); err != nil {
		return err
	}
	rec, rel, err := c.sessionAbove(c.args[0])
	if err != nil {
		return err
	}
	r := c.read()
	limit := r.duration("timeout")
	if r.err != nil {
		return r.err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	tell, finish := c.tellUploads()
	var last event
	limited, cancel := withTimeout(ctx, limit)
	defer cancel()
	e, err := rec.order(limited, "sync", request{Path: rel}, func(e event) { last = e; tell(e) })
	finish()
	c.tellLeft(e.Why)
	switch {
	case ctx.Err() == nil && limited.Err() != nil:
		return fail(exitPending, fmt.Errorf("the bucket does not have %s after %v: %s", filepath.Join(rec.Mountpoint, rel), limit, last.waitingLine()),
			"the uploads go on in the background; `ossencfs status` shows them")
	case errors.Is(err, errGone):
		return fail(exitMountPoint, fmt.Errorf("the mount at %s is dead: %w", rec.Mountpoint, err), "mount it again; what it had not uploaded is in its cache folder")
	case ctx.Err() != nil:
		return fail(exitInterrupted, errors.New("interrupted; the uploads go on in the background"), "`ossencfs status` shows them")
	case err != nil:
		return err
	}
	c.stdout.printf("the bucket has %s\n", filepath.Join(rec.Mountpoint, rel))
	return nil
}

// timeoutOption bounds what a command waits for.
var timeoutOption = option{name: "timeout", arg: "DURATION", def: "0s", cli: true}

// withTimeout bounds a context; 0 is no bound.
func withTimeout(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if limit <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, limit)
}

// sessionAbove finds the session that a path is in, and the path in its mount.
func (p *program) sessionAbove(path string) (rec *record, rel string, err error) {
	if path, err = resolvePath(path); err != nil {
		return nil, "", err
	}
	m, rel, ok, err := mountAbove(path)
	if err != nil {
		return nil, "", err
	}
	if !ok {
		return nil, "", fail(exitMountPoint, fmt.Errorf("%s is not in a mount of ossencfs", path), "`ossencfs status` lists the mounts")
	}
	rec, err = p.findRecord(m.dir)
	if err == nil && rec == nil {
		err = fail(exitMountPoint, fmt.Errorf("%s is mounted by somebody else, or with another runtime folder", m.dir))
	}
	return rec, rel, err
}

// resolvePath is the absolute path of a file without symbolic links on the way to it. The file itself may be a link, or gone.
func resolvePath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return "", err
	}
	abs = filepath.Join(parent, filepath.Base(abs))
	if info, err := os.Stat(abs); err == nil && info.IsDir() {
		return filepath.EvalSymlinks(abs)
	}
	return abs, nil
}
