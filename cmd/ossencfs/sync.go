package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func syncCommand() *command {
	return &command{name: "sync", usage: syncUsage, run: runSync}
}

func runSync(ctx context.Context, c *call) error {
	if err := c.wantArgs("PATH"); err != nil {
		return err
	}
	rec, rel, err := c.sessionAbove(c.args[0])
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	tell, finish := c.tellUploads()
	_, err = rec.order(ctx, "sync", request{Path: rel}, tell)
	finish()
	switch {
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
