package cli

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/ossencfs/ossencfs/test/procenv"
)

// records are the names of the volume records in the bucket.
func records(t *testing.T, w *procenv.World) []string {
	t.Helper()
	var names []string
	for _, o := range w.Server.Objects(procenv.Bucket) {
		if strings.Contains(o.Key, ".ossencfs/volume/") {
			names = append(names, o.Key)
		}
	}
	return names
}

// removeRecords does to a bucket what its owner can do.
func removeRecords(t *testing.T, w *procenv.World) {
	t.Helper()
	for _, name := range records(t, w) {
		if err := w.Server.RemoveObject(procenv.Bucket, name); err != nil {
			t.Fatal(err)
		}
	}
}

// newMachine is the environment of a machine that has never seen the bucket.
func newMachine(w *procenv.World, name string) []string {
	return []string{"OSSENCFS_STATE_DIR=" + filepath.Join(w.Base, "state-"+name)}
}

// TestFirstMountMakesAVolume: it says so once, and this machine remembers the volume in a file that is its user's alone.
func TestFirstMountMakesAVolume(t *testing.T) {
	w := procenv.New(t)
	a := mount(t, w)
	if !strings.Contains(a.stdout, "made volume") || !strings.Contains(a.stdout, "key add oss://"+procenv.Bucket+" --recovery --rsa-key="+w.Key+"`") {
		t.Errorf("mount says:\n%s", a.stdout)
	}
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
	dir := filepath.Join(w.Base, "state", "volumes")
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("remembered: %v, %v", entries, err)
	}
	pinned := filepath.Join(dir, entries[0].Name())
	for path, mode := range map[string]os.FileMode{dir: 0o700, pinned: 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v, want %o", path, info, err, mode)
		}
	}
	if a := mount(t, w); strings.Contains(a.stdout, "made volume") {
		t.Errorf("the second mount says:\n%s", a.stdout)
	}
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
	if err := os.Chmod(pinned, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(w.Cache); err != nil {
		t.Fatal(err)
	}
	ask(t, w, nil, mountArgs(w)...).want(t, 1, "open to others", "chmod 600 "+pinned)
	wantNothingLeft(t, w)
}

// TestVolumeRecordThatIsNotBelieved: what the bucket's owner does to the record refuses the mount and says what to do.
func TestVolumeRecordThatIsNotBelieved(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef"
	for _, tc := range []struct {
		name  string
		alter func(t *testing.T, w *procenv.World)
		env   bool // a machine that does not know the bucket
		args  []string
		texts []string
	}{
		{"removed", removeRecords, false, nil, []string{"record of a known volume is missing", "hint: somebody removed the record", "key import", "hint: if you know who did it and why: rm "}},
		{"removed, and a new volume asked for", removeRecords, false, []string{"--new-volume"}, []string{"record of a known volume is missing"}},
		{"removed, new machine", removeRecords, true, nil, []string{"holds objects and no volume record", "hint: if this bucket was never mounted by ossencfs", "--new-volume", "key import"}},
		{"removed, new machine that was told", removeRecords, true, []string{"--volume-id", id}, []string{id, "missing"}},
		{"another one expected", func(*testing.T, *procenv.World) {}, true, []string{"--volume-id", id}, []string{id, "missing"}},
		{"altered", func(t *testing.T, w *procenv.World) {
			err := w.Server.AlterObject(procenv.Bucket, records(t, w)[0], func(_ http.Header, body []byte) []byte {
				return []byte(strings.Replace(string(body), `"authentic": true`, `"authentic": false`, 1))
			})
			if err != nil {
				t.Fatal(err)
			}
		}, true, nil, []string{"not authentic", "hint: somebody changed the record"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := procenv.New(t)
			ask(t, w, nil, "put", w.Key, "oss://"+procenv.Bucket+"/file", "--rsa-key", w.Key).want(t, ok, "made volume")
			tc.alter(t, w)
			var env []string
			if tc.env {
				env = newMachine(w, "new")
			}
			ask(t, w, env, mountArgs(w, tc.args...)...).want(t, trust, tc.texts...)
			wantNothingLeft(t, w)
		})
	}
}

// TestObjectsOfOthers: a bucket that has some is mounted when its user says so, and who accepts them is decided for each mount.
func TestObjectsOfOthers(t *testing.T) {
	w := procenv.New(t)
	for _, name := range []string{"theirs/plain", "plain"} {
		if err := w.Server.WriteObject(procenv.Bucket, name, http.Header{}, []byte("plain text")); err != nil {
			t.Fatal(err)
		}
	}
	ask(t, w, nil, mountArgs(w)...).want(t, trust, "holds objects and no volume record", "--new-volume")
	if names := records(t, w); len(names) != 0 {
		t.Fatalf("a mount that is refused left %q", names)
	}
	if a := mount(t, w, "--new-volume"); !strings.Contains(a.stdout, "made volume") {
		t.Errorf("mount says:\n%s", a.stdout)
	}
	if text, err := os.ReadFile(filepath.Join(w.Dir, "plain")); err != nil || string(text) != "plain text" {
		t.Errorf("plain object: got %q, %v", text, err)
	}
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
	for _, tc := range []struct {
		name string
		more []string
		code int
	}{
		{"as the volume was made", nil, ok},
		{"refused", []string{"--require-authentic"}, trust},
		{"accepted everywhere", []string{"--require-authentic", "--accept-foreign"}, ok},
		{"accepted below a prefix", []string{"--require-authentic", "--accept-foreign=theirs"}, ok},
		{"accepted below another", []string{"--require-authentic", "--accept-foreign=others"}, trust},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := ask(t, w, nil, append([]string{"get", "oss://" + procenv.Bucket + "/theirs/plain", "-", "--rsa-key", w.Key}, tc.more...)...)
			a.want(t, tc.code)
			if tc.code == ok && a.stdout != "plain text" || tc.code != ok && a.stdout != "" {
				t.Errorf("got %q", a.stdout)
			}
			if tc.code != ok && !strings.Contains(a.stderr, "--accept-foreign") {
				t.Errorf("no way out is said in:\n%s", a.stderr)
			}
		})
	}
}

// words is a text with one space between its words.
func words(text string) string { return strings.Join(strings.Fields(text), " ") }

// TestInspectVerifies where a key is given, and says nothing of it where none is.
func TestInspectVerifies(t *testing.T) {
	w := procenv.New(t)
	url := "oss://" + procenv.Bucket + "/dir/file"
	ask(t, w, nil, "put", w.Key, url, "--rsa-key", w.Key).want(t, ok)
	a := ask(t, w, nil, "inspect", url, "--rsa-key", w.Key)
	a.want(t, ok)
	for _, text := range []string{"state authentic", "box of volume ", "epoch 1", "master key rsa"} {
		if !strings.Contains(words(a.stdout), text) {
			t.Errorf("%q is not said in:\n%s", text, a.stdout)
		}
	}
	a = ask(t, w, nil, "inspect", url, "--rsa-key", w.Key, "--no-key")
	a.want(t, ok)
	if strings.Contains(a.stdout, "authentic") || !strings.Contains(words(a.stdout), "box of volume ") {
		t.Errorf("without a key:\n%s", a.stdout)
	}
	err := w.Server.AlterObject(procenv.Bucket, "dir/file", func(_ http.Header, body []byte) []byte {
		body[3] ^= 1
		return body
	})
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(w.Base, "out")
	ask(t, w, nil, "get", url, out, "--rsa-key", w.Key).want(t, trust, "was changed in the bucket")
	if _, err := os.Stat(out); err == nil {
		t.Error("get left a file")
	}
}

// TestStatusTellsWhatWasNotBelieved: the volume, which objects are refused and why, and how often the master key was needed.
func TestStatusTellsWhatWasNotBelieved(t *testing.T) {
	w := procenv.New(t)
	ask(t, w, nil, "put", w.Key, "oss://"+procenv.Bucket+"/dir/file", "--rsa-key", w.Key).want(t, ok)
	mount(t, w)
	if _, err := os.ReadFile(filepath.Join(w.Dir, "dir", "file")); err != nil {
		t.Fatal(err)
	}
	m := readStatus(t, w).Mounts[0]
	if len(m.Volume.Writer) != 32 || m.Volume.Epoch != 1 || !m.Volume.Authentic || len(m.Integrity.Counts) != 0 || len(m.Integrity.Last) != 0 {
		t.Errorf("before anything happened: %+v", m)
	}
	if m.MasterKeys.RSA != 1 || m.MasterKeys.KMS != 0 {
		t.Errorf("a mount and a file cost %+v, want 1 RSA operation for the volume", m.MasterKeys)
	}
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
	err := w.Server.AlterObject(procenv.Bucket, "dir/file", func(h http.Header, body []byte) []byte {
		for name := range h {
			if strings.HasSuffix(strings.ToLower(name), "-start") {
				h[name] = []string{"x" + h[name][0][1:]}
			}
		}
		return body
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(w.Cache); err != nil {
		t.Fatal(err)
	}
	mount(t, w)
	if _, err := os.ReadFile(filepath.Join(w.Dir, "dir", "file")); !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v, want EIO", err)
	}
	m = readStatus(t, w).Mounts[0]
	if m.Integrity.Counts["tampered"] == 0 || len(m.Integrity.Last) != 1 || m.Integrity.Last[0].Path != "/dir/file" || m.Integrity.Last[0].Error == "" {
		t.Errorf("got %+v", m.Integrity)
	}
	a := ask(t, w, nil, "status", w.Dir)
	for _, text := range []string{"volume " + m.Volume.Writer + ", epoch 1, authentic", "tampered /dir/file: ", "RSA private operations, 0 KMS calls"} {
		if !strings.Contains(words(a.stdout), text) {
			t.Errorf("%q is not said in:\n%s", text, a.stdout)
		}
	}
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
}

// TestRecoveryHintWorks: the command that a first mount recommends works as it is printed.
func TestRecoveryHintWorks(t *testing.T) {
	w := procenv.New(t)
	a := mount(t, w, "--read-rsa-key", otherKey(t, w, "it's old.pem"))
	found := regexp.MustCompile("`ossencfs (key add .*)`").FindStringSubmatch(a.stdout)
	if found == nil {
		t.Fatalf("mount said %q", a.stdout)
	}
	cmd := exec.Command("sh", "-c", procenv.Binary(t)+" "+found[1])
	cmd.Env = w.Env()
	code, err := cmd.Output()
	if err != nil || len(strings.TrimSpace(string(code))) < 20 {
		t.Errorf("%s: %q, %v", found[1], code, err)
	}
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
}
