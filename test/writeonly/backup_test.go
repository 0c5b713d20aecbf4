package writeonly

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/test/procenv"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// files is how many files the tree of TestBackup has.
const files = 120

// TestBackup: a write-only host backs up a tree by rsync, is killed in between, goes on and completes it; a reader restores it identically,
// and every object is authentic. Then somebody has the host's memory and disk in hand.
//
// What that part shows: that in the memory of the running daemon and in the files of its cache, the bundle included, lie neither the
// volume key, nor the primes of the RSA key, nor a content key of any object in the bucket, raw, backwards, in hex or in base64; the
// host's own signing key is looked for as well, and found, so that the search would find something. What it cannot show: a key in
// another form (xored, split, in a compressed page), in kernel memory, in swap, in blocks of the disk that were freed, or in what the
// host holds before an upload is done: somebody who sits on the host while it backs up reads what it backs up.
func TestBackup(t *testing.T) {
	testenv.Need(t, "rsync")
	w := newWorld(t, "")
	source := sourceTree(t, files)
	s := w.reader.Server
	s.ResetRequests()
	s.AddFault(emulator.Fault{Operation: "PutObject", Delay: 20 * time.Millisecond})
	d := w.host.Mount(t)
	backup := filepath.Join(w.host.Dir, "backup")
	interrupted := make(chan error, 1)
	go func() {
		_, err := rsync(t, source, backup, "--bwlimit=20m")
		interrupted <- err
	}()
	procenv.WaitFor(t, "a part of the uploads", func() bool { return s.Requests()["PutObject"] >= files/6 })
	d.Crash(t)
	if err := <-interrupted; err == nil && s.Requests()["PutObject"] >= files {
		t.Fatal("everything was uploaded before the kill: the test shows nothing")
	}
	s.ClearFaults()
	d = w.host.Mount(t)
	if out, err := exec.Command("find", backup, "-name", ".file-*", "-delete").CombinedOutput(); err != nil {
		t.Fatalf("remove what the first rsync left: %v\n%s", err, out)
	}
	if out, err := rsync(t, source, backup); err != nil {
		t.Fatalf("rsync after the kill: %v\n%s", err, out)
	}
	w.host.Run(t, "sync", w.host.Dir)
	sealed(t, backup)
	t.Run("again", func(t *testing.T) { unchanged(t, source, backup) })
	w.host.Run(t, "sync", w.host.Dir)
	t.Run("thief", func(t *testing.T) { w.thief(t, d) })
	d.Unmount(t)
	t.Run("restore", func(t *testing.T) { w.restore(t, source) })
}

// unchanged runs rsync once more: by sizes and times it finds that nothing has to be sent again but symbolic links, whose targets this host
// cannot read any more.
func unchanged(t *testing.T, source, backup string) {
	out, err := rsync(t, source, backup, "-i")
	if err != nil {
		t.Fatalf("rsync once more: %v\n%s", err, out)
	}
	for line := range strings.Lines(out) {
		if kind := strings.Fields(line)[0]; !strings.HasPrefix(kind, "cL") && !strings.HasPrefix(kind, ".d") {
			t.Errorf("sent again: %s", line)
		}
	}
}

// thief looks for keys with memory and disk in hand.
func (w *world) thief(t *testing.T, d *procenv.Daemon) {
	if os.Geteuid() != 0 {
		t.Skip("the daemon's memory is closed to all but root")
	}
	private, host := w.privateKey(t), newSecrets()
	look := newSecrets()
	look.add("volume key", w.volumeSecret(t))
	for name, n := range map[string][]byte{"first prime": private.Primes[0].Bytes(), "second prime": private.Primes[1].Bytes(), "exponent": private.D.Bytes()} {
		look.add(name, n)
		look.add("end of the "+name, n[len(n)-64:])
	}
	text, err := os.ReadFile(w.reader.Key)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	look.add("private key", block.Bytes)
	keys := w.contentKeys(t, "backup/")
	if len(keys) < files {
		t.Fatalf("got %d content keys, want those of %d files and more", len(keys), files)
	}
	for key, secret := range keys {
		look.add("content key of "+key, secret)
	}
	raw, err := os.ReadFile(w.bundle)
	if err != nil {
		t.Fatal(err)
	}
	var bundle struct{ Seed []byte }
	if err := json.Unmarshal(raw, &bundle); err != nil {
		t.Fatal(err)
	}
	host.add("signing key", bundle.Seed)
	if found := host.inMemory(t, d.DaemonPid(t)); len(found) == 0 {
		t.Fatal("not even the host's own signing key is found in its memory: the test shows nothing")
	}
	if found := append(host.inMemory(t, d.Pid()), look.inMemory(t, d.Pid())...); len(found) > 0 {
		t.Errorf("in the supervisor's memory: %q", found)
	}
	var found []string
	defer func() {
		if t.Failed() {
			t.Logf("last found in memory: %q", found)
		}
	}()
	procenv.WaitFor(t, "the memory to be wiped", func() bool {
		found = look.inMemory(t, d.DaemonPid(t))
		return len(found) == 0
	})
	if found := look.onDisk(t, w.host.Cache); len(found) > 0 {
		t.Errorf("in the cache folder: %q", found)
	}
	if _, err := os.ReadFile(filepath.Join(w.host.Dir, "older")); !errors.Is(err, unix.EACCES) {
		t.Errorf("root reads an older file on the host: got %v, want EACCES", err)
	}
}

// restore compares what the reader sees with what was backed up.
func (w *world) restore(t *testing.T, source string) {
	w.reader.Run(t, "verify", "oss://"+procenv.Bucket, "--rsa-key", w.reader.Key, "--deep")
	d := w.reader.Mount(t)
	defer d.Unmount(t)
	out := t.TempDir()
	if text, err := rsync(t, filepath.Join(w.reader.Dir, "backup"), out); err != nil {
		t.Fatalf("restore: %v\n%s", err, text)
	}
	testenv.SameTree(t, testenv.Tree(t, out), testenv.Tree(t, source))
}

// TestStreams: what backup programs do that write each file once works: tar into one file, dumps, copies, and a store to which files are
// only ever added, each under a name of its own and renamed into its place.
func TestStreams(t *testing.T) {
	w := newWorld(t, "")
	d := w.host.Mount(t)
	source := sourceTree(t, 30)
	run := func(line string) {
		t.Helper()
		cmd := exec.Command("sh", "-ec", line, "sh", source, w.host.Dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
	run(`tar -C "$1" -cf - . > "$2/tree.tar"`)
	run(`seq 1 200000 | gzip > "$2/dump.sql.gz"`)
	run(`cp -a "$1/d0" "$2/copy"`)
	run(`mkdir -p "$2/repo/data" "$2/repo/snapshots"; for n in $(seq 1 40); do
		seq $n 5000 > "$2/repo/data/tmp-$n"; mv "$2/repo/data/tmp-$n" "$2/repo/data/$(printf %s $n | sha256sum | cut -c 1-16)"; done
		echo snapshot > "$2/repo/snapshots/one"`)
	w.host.Run(t, "sync", w.host.Dir)
	sealed(t, w.host.Dir)
	names, err := os.ReadDir(filepath.Join(w.host.Dir, "repo/data"))
	if err != nil || len(names) != 40 {
		t.Errorf("the host lists %d names, %v, want 40", len(names), err)
	}
	d.Unmount(t)
	d = w.reader.Mount(t)
	defer d.Unmount(t)
	cmd := exec.Command("sh", "-ec", `mkdir "$1/x"; tar -C "$1/x" -xf "$2/tree.tar"; gzip -dc "$2/dump.sql.gz" | tail -1; cat "$2/repo/snapshots/one"; ls "$2/repo/data" | wc -l`,
		"sh", t.TempDir(), w.reader.Dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !slices.Equal(strings.Fields(string(out)), []string{"200000", "snapshot", "40"}) {
		t.Errorf("restored: %q, %v", out, err)
	}
	testenv.SameTree(t, testenv.Tree(t, filepath.Join(w.reader.Dir, "copy")), testenv.Tree(t, filepath.Join(source, "d0")))
}

// until calls then when a text has come.
type until struct {
	text string
	then func()
	all  bytes.Buffer
	seen bool
}

// Write implements io.Writer.
func (u *until) Write(p []byte) (int, error) {
	u.all.Write(p)
	if !u.seen && strings.Contains(u.all.String(), u.text) {
		u.seen = true
		u.then()
	}
	return len(p), nil
}

// TestRestic: restic reads its configuration, keys and indexes back, so that a repository on a write-only mount is refused by EACCES, and
// nothing in it is damaged.
func TestRestic(t *testing.T) {
	testenv.Need(t, "restic")
	w := newWorld(t, "")
	t.Setenv("RESTIC_PASSWORD", "restic-pass")
	source := sourceTree(t, 10)
	restic := func(dir string, args ...string) (string, error) {
		out, err := exec.Command("restic", append([]string{"-q", "--no-cache", "-r", filepath.Join(dir, "restic")}, args...)...).CombinedOutput()
		return string(out), err
	}
	d := w.reader.Mount(t)
	for _, args := range [][]string{{"init"}, {"backup", source}} {
		if out, err := restic(w.reader.Dir, args...); err != nil {
			t.Fatalf("restic %s: %v\n%s", args[0], err, out)
		}
	}
	d.Unmount(t)
	d = w.host.Mount(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	said := &until{text: "permission denied", then: cancel} // it would try for a minute
	cmd := exec.CommandContext(ctx, "restic", "-q", "--no-cache", "-r", filepath.Join(w.host.Dir, "restic"), "backup", source)
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Run(); err == nil || !said.seen {
		t.Errorf("restic on the host: got %v, %s, want permission denied", err, said.all.String())
	}
	d.Unmount(t)
	d = w.reader.Mount(t)
	defer d.Unmount(t)
	if out, err := restic(w.reader.Dir, "check", "--read-data"); err != nil {
		t.Errorf("restic check: %v\n%s", err, out)
	}
}
