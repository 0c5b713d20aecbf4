package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/keys"
)

// A write-only host mounts with a bundle instead of a master key. Its cache is under a machine key, and this process wipes its memory.

// machineKind is where the machine key of a write-only host is kept.
type machineKind string

const (
	machineFile  machineKind = "file"          // 32 bytes in a file
	machineCreds machineKind = "systemd-creds" // sealed by systemd-creds, for the TPM or the key of this machine
)

// hostConfig is what a mount was told about a write-only host; without a bundle it is none.
type hostConfig struct {
	bundle      string
	machine     machineKind
	machineFile string // "" for the one in the cache folder
}

// hostConfig reads the options of a write-only host, with which master keys do not go together.
func (r *reader) hostConfig() hostConfig {
	h := hostConfig{bundle: expandHome(r.text("host-bundle")), machine: machineKind(r.choice("machine-key")), machineFile: expandHome(r.text("machine-key-file"))}
	if h.bundle == "" {
		if h.machineFile != "" {
			r.bad("machine-key-file", "it is for mounts with --host-bundle")
		}
		return h
	}
	for _, name := range []string{"rsa-key", "kms-key", "key-passphrase-file", "key-passphrase-env", "key-passphrase-command"} {
		if r.text(name) != "" {
			r.bad("host-bundle", "it takes the place of --"+name+", which is given too: a host that holds a key can read")
		}
	}
	for _, name := range []string{"read-rsa-key", "read-kms-key", "matdesc"} {
		if len(r.list(name)) > 0 {
			r.bad("host-bundle", "it takes the place of --"+name+", which is given too")
		}
	}
	return h
}

// wiping is the setting with which Go overwrites what is not used any more.
const wiping = "clobberfree=1"

// wipeMemory begins anew with that setting, which is read before main, unless it is there. The background process inherits it.
func wipeMemory(getenv func(string) string) error {
	setting := getenv("GODEBUG")
	if strings.Contains(setting, wiping) {
		return nil
	}
	self, err := os.Executable()
	if err == nil {
		err = os.Setenv("GODEBUG", strings.TrimPrefix(setting+","+wiping, ","))
	}
	if err == nil {
		err = unix.Exec(self, os.Args, os.Environ())
	}
	return fmt.Errorf("begin anew so that memory is wiped: %w", err)
}

// loadHost reads the bundle and the machine key, which is made with a new cache.
func (cfg *mountConfig) loadHost(ctx context.Context) error {
	h := &cfg.host
	if h.bundle == "" {
		return nil
	}
	var err error
	if cfg.object.Bundle, err = keys.LoadBundle(h.bundle); err != nil {
		return fail(exitKey, err, bundleHint(err, h.bundle))
	}
	if err := cfg.makeCacheDir(); err != nil {
		return err
	}
	if h.machineFile == "" {
		h.machineFile = filepath.Join(cfg.cache.Dir, map[machineKind]string{machineFile: "machine.key", machineCreds: "machine.cred"}[h.machine])
	}
	_, err = os.Lstat(h.machineFile)
	if errors.Is(err, iofs.ErrNotExist) {
		if _, used := os.Lstat(filepath.Join(cfg.cache.Dir, "key")); used == nil {
			return fail(exitKey, fmt.Errorf("the machine key %s of this cache folder is missing", h.machineFile),
				"without it nobody opens the cache, and what was not uploaded is lost; another --cache-dir begins a new one")
		}
		err = h.makeMachineKey(ctx)
	}
	if err == nil {
		cfg.object.MachineKey, err = h.loadMachineKey(ctx)
	}
	if err != nil {
		return fail(exitKey, fmt.Errorf("machine key: %w", err), bundleHint(err, h.machineFile))
	}
	return nil
}

// bundleHint says what to do about a file that cannot be used.
func bundleHint(err error, file string) string {
	if errors.Is(err, keys.ErrBundle) {
		return "want a file that `ossencfs key export-host` wrote"
	}
	return ""
}

// makeMachineKey makes the key and its file.
func (h *hostConfig) makeMachineKey(ctx context.Context) error {
	if h.machine == machineFile {
		return keys.MakeMachineKey(h.machineFile)
	}
	secret := make([]byte, 32)
	defer clear(secret)
	if _, err := rand.Read(secret); err != nil {
		return err
	}
	_, err := systemdCreds(ctx, secret, "encrypt", "--name="+credentialName, "-", h.machineFile)
	return err
}

// loadMachineKey reads the key.
func (h *hostConfig) loadMachineKey(ctx context.Context) (*keys.MachineKey, error) {
	if h.machine == machineFile {
		return keys.LoadMachineKey(h.machineFile)
	}
	secret, err := systemdCreds(ctx, nil, "decrypt", "--name="+credentialName, h.machineFile, "-")
	defer clear(secret)
	if err != nil {
		return nil, err
	}
	return keys.NewMachineKey(secret)
}

// credentialName is what systemd-creds binds the machine key to.
const credentialName = "ossencfs"

// systemdCredsTime bounds a call: a TPM takes seconds.
const systemdCredsTime = time.Minute

// systemdCreds runs systemd-creds. What it prints is never shown: it may be the key.
func systemdCreds(ctx context.Context, in []byte, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, systemdCredsTime)
	defer cancel()
	var out, complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, "systemd-creds", args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &complaint
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("systemd-creds %s: %w: %.400s", args[0], err, bytes.TrimSpace(complaint.Bytes()))
	}
	return out.Bytes(), nil
}
