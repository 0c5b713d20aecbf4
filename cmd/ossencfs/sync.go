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
	path, err := resolvePath(c.args[0])
	if err != nil {
		return err
	}
	m, rel, ok, err := mountAbove(path)
	if err != nil {
		return err
	}
	if !ok {
		return fail(exitMountPoint, fmt.Errorf("%s is not in a mount of ossencfs", path), "`ossencfs status` lists the mounts")
	}
	rec, err := c.findRecord(m.dir)
	if err != nil {
		return err
	}
	if rec == nil {
		return fail(exitMountPoint, fmt.Errorf("%s is mounted by somebody else, or with another runtime folder", m.dir))
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	tell, finish := c.tellUploads()
	_, err = rec.order(ctx, c.runtimeDir(), "sync", request{Path: rel}, tell)
	finish()
	switch {
	case errors.Is(err, errGone):
		return fail(exitMountPoint, fmt.Errorf("the mount at %s is dead: %w", m.dir, err), "mount it again; what it had not uploaded is in its cache folder")
	case ctx.Err() != nil:
		return fail(exitInterrupted, errors.New("interrupted; the uploads go on in the background"), "`ossencfs status` shows them")
	case err != nil:
		return err
	}
	fmt.Fprintf(c.stdout, "the bucket has %s\n", path)
	return nil
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
