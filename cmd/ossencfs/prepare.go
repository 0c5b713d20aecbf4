package main

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ossencfs/ossencfs/keys"
)

// prepared is what a mount needs and can be had without the network.
type prepared struct {
	ring    *keys.Keyring // nil for a write-only host
	told    string        // what was repaired on the way; "" for nothing
	logFile string        // "" in the foreground
	daemon  *daemon       // nil: the mount ends with this process
}

// prepare checks everything local: privileges, mount point, cache folder, keys. It makes the cache folder and removes a
// dead mount; cfg.dir is absolute afterwards.
func (c *call) prepare(ctx context.Context, cfg *mountConfig, typed secrets) (*prepared, error) {
	if err := cfg.checkPrivileges(); err != nil {
		return nil, err
	}
	if err := checkFUSE(); err != nil {
		return nil, err
	}
	told := ""
	if !cfg.adopted {
		var err error
		if cfg.dir, told, err = checkMountPoint(cfg.dir, cfg.nonempty); err != nil {
			return nil, err
		}
	}
	var err error
	if cfg.pin.path == "" {
		if cfg.pin, err = c.findPin(cfg.object.Connection, matchedPrefix(cfg.target.key)); err != nil {
			return nil, err
		}
	}
	p := &prepared{told: told}
	if cfg.host.bundle != "" {
		return p, cfg.loadHost(ctx)
	}
	if p.ring, err = c.keyring(ctx, c.read(), cfg.object.Connection, typed); err != nil {
		return nil, err
	}
	return p, cfg.makeCacheDir()
}

// checkPrivileges refuses options that only root may ask for.
func (cfg *mountConfig) checkPrivileges() error {
	if os.Geteuid() == 0 {
		return nil
	}
	for _, o := range []struct {
		on   bool
		name string
	}{{cfg.fs.Suid, "suid"}, {cfg.fs.Dev, "dev"}, {cfg.fs.Noexec, "noexec"}} {
		if o.on {
			return usageError(fmt.Errorf("--%s is for mounts made by root", o.name))
		}
	}
	if cfg.fs.AllowOther && !userAllowOther() {
		return usageError(errors.New("--allow-other is not allowed to ordinary users here"), "root allows it by a line user_allow_other in /etc/fuse.conf")
	}
	return nil
}

// userAllowOther reports whether the machine lets ordinary users share their mounts.
func userAllowOther() bool {
	raw, err := os.ReadFile("/etc/fuse.conf")
	if err != nil {
		return false
	}
	for _, line := range strings.Split(string(raw), "\n") {
		if strings.TrimSpace(line) == "user_allow_other" {
			return true
		}
	}
	return false
}

// makeCacheDir makes the cache folder, private to this user, or checks that it is.
func (cfg *mountConfig) makeCacheDir() error {
	dir := cfg.cache.Dir
	if isBelow(dir, cfg.dir) || isBelow(cfg.dir, dir) {
		return fail(exitCache, fmt.Errorf("cache folder %s and mount point %s lie within each other", dir, cfg.dir), "choose another --cache-dir")
	}
	_, err := os.Lstat(dir)
	cfg.madeCacheDir = errors.Is(err, iofs.ErrNotExist)
	if err = makePrivateDir(dir); err == nil {
		return nil
	}
	var f *failure
	if errors.As(err, &f) {
		return fail(exitCache, fmt.Errorf("cache folder: %w", f.err), f.hints...)
	}
	return fail(exitCache, fmt.Errorf("cache folder: %w", err))
}

// tidy removes the cache folder that a mount made which then failed, as long as there is nothing in it but an empty log.
func (cfg *mountConfig) tidy() {
	if !cfg.madeCacheDir {
		return
	}
	if info, err := os.Lstat(cfg.logFile); err == nil && info.Mode().IsRegular() && info.Size() == 0 && filepath.Dir(cfg.logFile) == cfg.cache.Dir {
		_ = os.Remove(cfg.logFile) // what is left behind is empty
	}
	_ = os.Remove(cfg.cache.Dir) // fails when something is in it, as it should
}
