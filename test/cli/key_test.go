package cli

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/test/procenv"
)

// oss is the bucket of the tests.
const oss = "oss://" + procenv.Bucket

// keyWorld is a bucket with one file in a volume, and a second key.
func keyWorld(t *testing.T) (w *procenv.World, second string) {
	t.Helper()
	w = procenv.New(t)
	ask(t, w, nil, "put", w.Key, oss+"/file", "--rsa-key", w.Key, "--quiet").want(t, ok)
	return w, otherKey(t, w, "second.pem")
}

// reads reports how reading the file ends with a key.
func reads(t *testing.T, w *procenv.World, key string, more ...string) int {
	t.Helper()
	return ask(t, w, newMachine(w, "reader"), append([]string{"get", oss + "/file", "-", "--rsa-key", key}, more...)...).code
}

// keyList is what the tests read of `ossencfs key list --json`.
type keyList struct {
	Root string
	Keys []struct {
		ID                string
		Epoch, Revision   int
		Opens, Writes     bool
		Slots             []struct{ Type, Key string }
		Hosts             []struct{ ID, Name string }
		Prefixes          []string
		Authentic, Pinned bool
	}
}

func listKeys(t *testing.T, w *procenv.World, more ...string) keyList {
	t.Helper()
	a := ask(t, w, nil, append([]string{"key", "list", oss, "--json"}, more...)...)
	var l keyList
	if err := json.Unmarshal([]byte(a.stdout), &l); err != nil || a.code != ok {
		t.Fatalf("key list: exit code %d, %v\n%s%s", a.code, err, a.stdout, a.stderr)
	}
	return l
}

// TestKeySlots: a second key is added, opens the volume alone and outlives the first; the last slot stays.
func TestKeySlots(t *testing.T) {
	w, second := keyWorld(t)
	if got := reads(t, w, second); got != key {
		t.Fatalf("the second key reads before it was added: exit code %d", got)
	}
	ask(t, w, nil, "key", "add", oss, "--rsa-key", w.Key, "--new-rsa-key", second).want(t, ok, "was added to 1 volume key")
	ask(t, w, nil, "key", "add", oss, "--rsa-key", w.Key, "--new-rsa-key", second).want(t, ok, "had its slot already")
	if got := reads(t, w, second); got != ok {
		t.Errorf("with the second key: exit code %d", got)
	}
	a := ask(t, w, nil, "key", "list", oss, "--rsa-key", second)
	a.want(t, ok)
	if got := words(a.stdout); !strings.Contains(got, "epoch 1, revision 2, bound to oss://crash, authentic, new objects go under it, remembered here") ||
		strings.Count(got, "opens with what is given") != 1 {
		t.Errorf("list says:\n%s", a.stdout)
	}
	l := listKeys(t, w)
	if len(l.Keys) != 1 || l.Keys[0].Opens || len(l.Keys[0].Slots) != 2 {
		t.Fatalf("without a key: %+v", l)
	}
	first, last := l.Keys[0].Slots[0].Key, l.Keys[0].Slots[1].Key
	ask(t, w, nil, "key", "remove", oss, first, "--rsa-key", second).want(t, ok, "may have kept the volume keys")
	if got := reads(t, w, w.Key); got != key {
		t.Errorf("with the first key after its removal: exit code %d", got)
	}
	if got := reads(t, w, second); got != ok {
		t.Errorf("with the second key after the removal: exit code %d", got)
	}
	ask(t, w, nil, "key", "remove", oss, last, "--rsa-key", second, "--force").want(t, 1, "at least one slot", "hint: add another key")
	ask(t, w, nil, "key", "remove", oss, first, "--rsa-key", second).want(t, key, "hint: `ossencfs key list`")
	ask(t, w, nil, "key", "add", oss, "--rsa-key", second, "--new-rsa-key", w.Key+".pub").want(t, key, "public key", "private one")
}

// TestRecoveryCode: it is printed once, alone, and with it a new key opens everything when all keys are lost.
func TestRecoveryCode(t *testing.T) {
	w, second := keyWorld(t)
	a := ask(t, w, nil, "key", "add", oss, "--rsa-key", w.Key, "--recovery")
	a.want(t, ok, "shown only now")
	code := strings.TrimSpace(a.stdout)
	if !regexp.MustCompile(`^([0-9A-Z]{5}-){5}[0-9A-Z]{5}$`).MatchString(code) || a.stdout != code+"\n" || strings.Contains(a.stderr, code[:11]) {
		t.Fatalf("the standard output is %q", a.stdout)
	}
	file := write(t, filepath.Join(w.Base, "code"), strings.ToLower(strings.ReplaceAll(code, "-", " "))+"\n", 0o600)
	ask(t, w, nil, "key", "check", oss, "--recovery-code-file", file).want(t, ok)
	ask(t, w, nil, "key", "add", oss, "--recovery-code-file", file, "--new-rsa-key", second).want(t, ok, "was added to 1 volume key")
	if got := reads(t, w, second); got != ok {
		t.Errorf("with the new key: exit code %d", got)
	}
	ask(t, w, nil, "key", "remove", oss, listKeys(t, w).Keys[0].Slots[0].Key, "--rsa-key", second).want(t, ok)
	ask(t, w, nil, "key", "remove", oss, listKeys(t, w).Keys[0].Slots[1].Key, "--rsa-key", second).want(t, 1, "only the recovery code", "hint: --force")
	typo := write(t, filepath.Join(w.Base, "typo"), strings.Replace(code, code[:1], map[bool]string{true: "3", false: "2"}[code[0] == '2'], 1), 0o600)
	ask(t, w, nil, "key", "check", oss, "--recovery-code-file", typo).want(t, key, "mistyped")
	for _, dir := range []string{w.Base + "/state", w.Store} {
		search(t, dir, []string{code})
	}
}

// TestKeyCheck says what is missing, by its exit code too.
func TestKeyCheck(t *testing.T) {
	w, second := keyWorld(t)
	check := func(code int, env []string, key string, texts ...string) {
		t.Helper()
		a := ask(t, w, env, "key", "check", oss, "--rsa-key", key)
		if a.code != code {
			t.Errorf("exit code %d, want %d\n%s%s", a.code, code, a.stdout, a.stderr)
		}
		for _, text := range texts {
			if !strings.Contains(a.stdout, text) {
				t.Errorf("%q is not said in:\n%s", text, a.stdout)
			}
		}
	}
	check(incomplete, nil, w.Key, "(epoch 1): opens", "only one slot", "no recovery code")
	ask(t, w, nil, "key", "add", oss, "--rsa-key", w.Key, "--recovery").want(t, ok)
	check(ok, nil, w.Key)
	check(incomplete, newMachine(w, "new"), w.Key, "does not remember")
	ask(t, w, nil, "key", "rotate", oss, "--rsa-key", w.Key, "--new-rsa-key", second, "--new-epoch", "--recovery").want(t, ok)
	check(ok, nil, second, "(epoch 2): opens", "(epoch 1): opens")
	removeRecords(t, w)
	ask(t, w, nil, "key", "check", oss, "--rsa-key", w.Key).want(t, bucket, "no volume record")
	ask(t, w, nil, "key", "check", oss).want(t, key, "no master key is given", "--recovery-code")
}

// TestKeyRotate: a new epoch for new files, with all who opened the old one or a refusal; both stay readable.
func TestKeyRotate(t *testing.T) {
	w, second := keyWorld(t)
	kms := []string{"--kms-endpoint", w.Server.KMSEndpoint()}
	ask(t, w, nil, append([]string{"key", "add", oss, "--rsa-key", w.Key, "--new-kms-key", w.Server.KMSKeyID()}, kms...)...).want(t, ok)
	ask(t, w, nil, "key", "rotate", oss, "--rsa-key", w.Key, "--new-rsa-key", second, "--new-epoch").
		want(t, 1, w.Server.KMSKeyID()+" (kms) would not open it", "--read-kms-key", "hint: --force")
	if l := listKeys(t, w, "--rsa-key", w.Key); len(l.Keys) != 1 {
		t.Fatalf("an epoch that was refused is there: %+v", l)
	}
	rotate := append([]string{"key", "rotate", oss, "--rsa-key", w.Key, "--read-kms-key", w.Server.KMSKeyID(), "--new-rsa-key", second, "--new-epoch"}, kms...)
	ask(t, w, nil, rotate...).want(t, ok, "epoch 2")
	ask(t, w, nil, "put", w.Key, oss+"/new", "--rsa-key", second).want(t, ok)
	l := listKeys(t, w, "--rsa-key", second)
	if len(l.Keys) != 2 || l.Keys[0].Epoch != 2 || !l.Keys[0].Writes || l.Keys[1].Writes || len(l.Keys[0].Slots) != 3 {
		t.Fatalf("got %+v", l)
	}
	a := ask(t, w, nil, "inspect", oss+"/new", "--rsa-key", second)
	if want := "box of volume " + l.Keys[0].ID + ", epoch 2"; !strings.Contains(words(a.stdout), want) {
		t.Errorf("want %q, got:\n%s", want, a.stdout)
	}
	for _, name := range []string{"/file", "/new"} {
		for _, with := range [][]string{{"--rsa-key", w.Key}, {"--rsa-key", second}, append([]string{"--kms-key", w.Server.KMSKeyID()}, kms...)} {
			ask(t, w, nil, append([]string{"get", oss + name, "-"}, with...)...).want(t, ok)
		}
	}
	ask(t, w, nil, "key", "rotate", oss, "--rsa-key", w.Key).want(t, usage, "not said what to rotate")
}

// TestKeyExportImport: the record that somebody removed or rolled back comes back, and a mount that refused works again.
func TestKeyExportImport(t *testing.T) {
	w, second := keyWorld(t)
	old := copyRecords(t, w)
	ask(t, w, nil, "key", "add", oss, "--rsa-key", w.Key, "--new-rsa-key", second).want(t, ok)
	file := filepath.Join(w.Base, "records")
	ask(t, w, nil, "key", "export", oss, file, "--rsa-key", w.Key).want(t, ok)
	ask(t, w, nil, "key", "export", oss, file, "--rsa-key", w.Key).want(t, 1, "exists")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file: %v, %v", info, err)
	}
	get := []string{"get", oss + "/file", "-", "--rsa-key", w.Key}
	imp := []string{"key", "import", oss, file, "--rsa-key", w.Key}
	ask(t, w, nil, imp...).want(t, ok, "as new or newer")
	removeRecords(t, w)
	ask(t, w, nil, get...).want(t, trust, "missing", "key import")
	ask(t, w, nil, imp...).want(t, ok, "put back the record")
	ask(t, w, nil, get...).want(t, ok)
	removeRecords(t, w)
	for name, text := range old {
		if err := w.Server.WriteObject(procenv.Bucket, name, http.Header{}, text); err != nil {
			t.Fatal(err)
		}
	}
	ask(t, w, nil, get...).want(t, trust, "older than the one seen before", "key import")
	ask(t, w, nil, imp...).want(t, ok, "put back the record")
	ask(t, w, nil, get...).want(t, ok)
	if got := records(t, w); len(got) != 1 {
		t.Errorf("records %q, want one", got)
	}
	ask(t, w, nil, "key", "import", oss, file, "--rsa-key", otherKey(t, w, "third.pem")).want(t, key, "wrong master key")
	ask(t, w, nil, "key", "import", oss, w.Key, "--rsa-key", w.Key).want(t, usage, "unreadable file", "hint: want a file")
}

// copyRecords are the records in the bucket.
func copyRecords(t *testing.T, w *procenv.World) map[string][]byte {
	t.Helper()
	texts := map[string][]byte{}
	for _, name := range records(t, w) {
		text, _, err := w.Server.ReadObject(procenv.Bucket, name)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = text
	}
	return texts
}

// TestKeyHosts: a host gets a bundle of its own, mode 0600, and loses its right by name.
func TestKeyHosts(t *testing.T) {
	w, _ := keyWorld(t)
	file := filepath.Join(w.Base, "web1.host")
	ask(t, w, nil, "key", "export-host", oss+"/backup", file, "--rsa-key", w.Key, "--name", "web1", "--prefix", "web1").want(t, ok, "below backup/web1/")
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), `"ossencfs host v2"`) || !strings.Contains(string(text), `"backup/web1/"`) || strings.Contains(string(text), "PRIVATE KEY") {
		t.Errorf("bundle: %v\n%s", err, text)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("bundle: %v, %v", info, err)
	}
	ask(t, w, nil, "key", "export-host", oss, file, "--rsa-key", w.Key, "--name", "web2").want(t, 1, "exists already")
	ask(t, w, nil, "key", "export-host", oss, file+"2", "--rsa-key", w.Key).want(t, usage, "no name")
	l := listKeys(t, w, "--rsa-key", w.Key)
	if len(l.Keys) != 1 || len(l.Keys[0].Hosts) != 1 || l.Keys[0].Hosts[0].Name != "web1" {
		t.Fatalf("got %+v", l)
	}
	ask(t, w, nil, "key", "remove-host", oss, "web1", "--rsa-key", w.Key).want(t, ok, "retired")
	if a := ask(t, w, nil, "key", "list", oss, "--rsa-key", w.Key); !strings.Contains(words(a.stdout), "\"web1\" retired 2") {
		t.Errorf("list says:\n%s", a.stdout)
	}
	ask(t, w, nil, "key", "remove-host", oss, "web1", "--rsa-key", w.Key, "--stolen").want(t, ok, "not authentic any more")
	ask(t, w, nil, "key", "remove-host", oss, "web1", "--rsa-key", w.Key).want(t, 1, "no host")
}

// TestKeyHelp: the manual of the group, and of one command.
func TestKeyHelp(t *testing.T) {
	w := procenv.New(t)
	for _, args := range [][]string{{"key"}, {"help", "key"}, {"key", "--help"}} {
		if a := ask(t, w, nil, args...); a.code != ok || !strings.HasPrefix(a.stdout, "usage: ossencfs key COMMAND") {
			t.Errorf("%q: exit code %d\n%s", args, a.code, a.stdout)
		}
	}
	if a := ask(t, w, nil, "help", "key", "add"); a.code != ok || !strings.HasPrefix(a.stdout, "usage: ossencfs key add") {
		t.Errorf("exit code %d\n%s", a.code, a.stdout)
	}
	ask(t, w, nil, "key", "ad").want(t, usage, `there is no command "key ad"`, "did you mean key add?", "help key")
}

// TestRewrap: afterwards the new key alone opens the objects for the SDKs, what is not believed is left alone, and a second run does
// nothing.
func TestRewrap(t *testing.T) {
	w, second := keyWorld(t)
	ask(t, w, nil, "key", "rotate", oss, "--rsa-key", w.Key, "--rewrap", "--dry-run").want(t, ok, "0 to rewrap", "1 already")
	ask(t, w, nil, "key", "rotate", oss, "--rsa-key", w.Key, "--new-rsa-key", second, "--new-epoch", "--rewrap", "--quiet").want(t, ok, "1 rewrapped")
	ask(t, w, nil, "key", "rotate", oss, "--rsa-key", second, "--read-rsa-key", w.Key, "--rewrap").want(t, ok, "0 rewrapped", "1 already")
	a := ask(t, w, nil, "inspect", oss+"/file", "--rsa-key", second)
	if text := words(a.stdout); !strings.Contains(text, "state authentic") || !strings.Contains(text, "epoch 2") || !strings.Contains(text, "master key rsa2048:") {
		t.Errorf("inspect says:\n%s", a.stdout)
	}
	// Without a volume only the SDK's headers open it, for those who accept that nothing is verified.
	removeRecords(t, w)
	if got := reads(t, w, second); got != trust {
		t.Errorf("with the new key alone: exit code %d", got)
	}
	if got := reads(t, w, second, "--accept-foreign"); got != ok {
		t.Errorf("with the new key alone, accepted: exit code %d", got)
	}
	if got := reads(t, w, w.Key, "--accept-foreign"); got != key {
		t.Errorf("with the old key alone: exit code %d", got)
	}
}

// TestRewrapLeavesAlone what was changed in the bucket.
func TestRewrapLeavesAlone(t *testing.T) {
	w, second := keyWorld(t)
	err := w.Server.AlterObject(procenv.Bucket, "file", func(_ http.Header, body []byte) []byte {
		body[0] ^= 1
		return body
	})
	if err != nil {
		t.Fatal(err)
	}
	before, _, err := w.Server.ReadObject(procenv.Bucket, "file")
	if err != nil {
		t.Fatal(err)
	}
	a := ask(t, w, nil, "key", "rotate", oss, "--rsa-key", w.Key, "--new-rsa-key", second, "--rewrap")
	if a.code != trust || !strings.Contains(a.stderr, "left alone: file: ") || !strings.Contains(a.stderr, "hint: `ossencfs inspect`") {
		t.Errorf("exit code %d\n%s", a.code, a.stderr)
	}
	if after, _, err := w.Server.ReadObject(procenv.Bucket, "file"); err != nil || string(after) != string(before) {
		t.Errorf("the object was written again, %v", err)
	}
}
