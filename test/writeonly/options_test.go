package writeonly

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/test/procenv"
)

// refused runs the mount command of a host, which has to fail with each of the texts.
func (w *world) refused(t *testing.T, args []string, texts ...string) {
	t.Helper()
	h := w.host
	all := append([]string{"mount", "oss://" + procenv.Bucket, h.Dir, "--cache-dir", h.Cache}, args...)
	out, err := h.Try(t, all...)
	if err == nil {
		t.Errorf("%q mounted", args)
		h.Run(t, "umount", "--now", h.Dir)
		return
	}
	for _, text := range texts {
		if !strings.Contains(out, text) {
			t.Errorf("%q: %q is not said in:\n%s", args, text, out)
		}
	}
}

// TestHostOptions: what does not go together, and files that others can read, are refused with a word on what to do.
func TestHostOptions(t *testing.T) {
	w := newWorld(t, "")
	bundle := []string{"--host-bundle", w.bundle}
	w.refused(t, append(bundle, "--rsa-key", w.host.Key), "takes the place of --rsa-key", "can read")
	w.refused(t, append(bundle, "--read-rsa-key", w.host.Key), "takes the place of --read-rsa-key")
	w.refused(t, append(bundle, "--matdesc", "a=b"), "takes the place of --matdesc")
	w.refused(t, []string{"--rsa-key", w.host.Key, "--machine-key-file", w.host.Key}, "--host-bundle")
	w.refused(t, []string{"--host-bundle", w.host.Key}, "unreadable host bundle", "key export-host")
	if err := os.Chmod(w.bundle, 0o640); err != nil {
		t.Fatal(err)
	}
	w.refused(t, bundle, "open to others", "chmod 600 "+w.bundle)
	if err := os.Chmod(w.bundle, 0o600); err != nil {
		t.Fatal(err)
	}
	d := w.host.Mount(t)
	write(t, filepath.Join(w.host.Dir, "f"), []byte("text"))
	d.Unmount(t)
	machine := filepath.Join(w.host.Cache, "machine.key")
	if err := os.Chmod(machine, 0o604); err != nil {
		t.Fatal(err)
	}
	w.refused(t, bundle, "machine key", "chmod 600 "+machine)
	if err := os.Remove(machine); err != nil {
		t.Fatal(err)
	}
	w.refused(t, bundle, "machine key "+machine, "is missing")
	w.reader.Run(t, "key", "remove-host", "oss://"+procenv.Bucket, "web-1", "--rsa-key", w.reader.Key)
	w.host.Cache += "-new"
	w.refused(t, bundle, "does not let this host write", "key export-host")
}

// TestHostPrefix: outside of its prefix a host is told so by EACCES and the log.
func TestHostPrefix(t *testing.T) {
	w := newWorld(t, "hosts/web-1")
	d := w.host.Mount(t)
	defer d.Unmount(t)
	err := os.WriteFile(filepath.Join(w.host.Dir, "outside"), []byte("x"), 0o600)
	if !os.IsPermission(err) {
		t.Errorf("outside: got %v, want EACCES", err)
	}
	if log, err := os.ReadFile(w.host.LogFile); err != nil || !strings.Contains(string(log), "this host may not write there") {
		t.Errorf("the log says %s, %v", log, err)
	}
}

// TestMachineKeys: the key of the cache lies where the options say, and the next mount finds it.
func TestMachineKeys(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options []string // FILE stands for a file of the test
		file    string   // below the cache folder; "" for FILE
	}{
		{"in the cache folder", nil, "machine.key"},
		{"elsewhere", []string{"--machine-key-file", "FILE"}, ""},
		{"systemd-creds", []string{"--machine-key", "systemd-creds"}, "machine.cred"},
		{"systemd-creds elsewhere", []string{"--machine-key", "systemd-creds", "--machine-key-file", "FILE"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if strings.HasPrefix(tt.name, "systemd") {
				needCreds(t)
			}
			w := newWorld(t, "")
			file := filepath.Join(w.host.Base, "machine")
			options := []string{}
			for _, o := range tt.options {
				options = append(options, strings.Replace(o, "FILE", file, 1))
			}
			if tt.file != "" {
				file = filepath.Join(w.host.Cache, tt.file)
			}
			d := w.host.Mount(t, options...)
			write(t, filepath.Join(w.host.Dir, "f"), []byte("text"))
			d.Crash(t)
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
				t.Fatalf("%s: got %v, %v, want a file of mode 0600", file, info, err)
			}
			d = w.host.Mount(t, options...)
			w.host.Run(t, "sync", w.host.Dir)
			d.Unmount(t)
			w.reader.Run(t, "get", "oss://"+procenv.Bucket+"/f", filepath.Join(t.TempDir(), "f"), "--rsa-key", w.reader.Key)
		})
	}
}

// needCreds skips a test where systemd-creds has neither a TPM nor a key of the host.
func needCreds(t *testing.T) {
	t.Helper()
	cmd := exec.Command("systemd-creds", "encrypt", "--name=ossencfs", "-", filepath.Join(t.TempDir(), "cred"))
	cmd.Stdin = strings.NewReader("text")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("systemd-creds cannot be used here: %v, %s", err, out)
	}
}
