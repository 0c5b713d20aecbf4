package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/test/procenv"
)

// hostileText tries what a terminal obeys: a new title, colours in both forms of the control sequence, another direction of the text, a
// line of its own in each of the ways to begin one.
const hostileText = "a\x1b]0;owned\x07\x1b[31m\u009b31m\x7f\u202egnp\u2066\u061c\u2028forged\nforged: line\r\nforged: line"

// inHeader is as much of it as an HTTP header can hold.
const inHeader = "a\u009b31m\u202egnp\u2066\u061c\u2028forged"

// wantPlain checks that a text speaks to nobody but its reader.
func wantPlain(t *testing.T, what, text string) {
	t.Helper()
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\ufffd"):
			t.Errorf("%s: byte %#x is no text in:\n%q", what, text[i], text)
		case r == '\n' || r == '\t':
			continue
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp):
			t.Errorf("%s: %U comes out in:\n%q", what, r, text)
		default:
			continue
		}
		return
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "forged") {
			t.Errorf("%s: a line is forged in:\n%s", what, text)
			return
		}
	}
}

// refusing stands before the emulator and, once it is told to, answers everything with an error in hostile words.
func refusing(t *testing.T, w *procenv.World) (endpoint string, refuse *atomic.Bool) {
	t.Helper()
	target, err := url.Parse(w.Server.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	refuse = &atomic.Bool{}
	forward := httputil.NewSingleHostReverseProxy(target)
	front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !refuse.Load() {
			forward.ServeHTTP(rw, r)
			return
		}
		rw.Header().Set("x-oss-request-id", inHeader)
		rw.Header().Set("x-oss-ec", inHeader)
		rw.Header().Set("Content-Type", "application/xml")
		rw.WriteHeader(http.StatusForbidden)
		said := strings.NewReplacer("\x1b", "", "\x07", "").Replace(hostileText) // XML has none of these
		fmt.Fprintf(rw, "<Error><Code>%[1]s</Code><Message>%[1]s</Message><RequestId>%[1]s</RequestId><HostId>%[1]s</HostId><EC>%[1]s</EC></Error>", said)
	}))
	t.Cleanup(front.Close)
	return front.URL, refuse
}

// TestNothingSpeaksToTheTerminal: whatever the bucket's owner writes into names, headers, tags, the volume's record and error messages, no
// command prints it as it is, to people or to programs, and no log and no attribute has it.
func TestNothingSpeaksToTheTerminal(t *testing.T) {
	w := procenv.New(t)
	root := "oss://" + procenv.Bucket
	name := "dir/" + strings.ReplaceAll(hostileText, "/", "")
	source := write(t, filepath.Join(w.Base, "source"), "content", 0o600)
	second := otherKey(t, w, "second.pem")
	said := func(env []string, args ...string) answer {
		t.Helper()
		a := ask(t, w, env, args...)
		wantPlain(t, args[0]+" says", a.stdout)
		wantPlain(t, args[0]+" complains", a.stderr)
		return a
	}
	with := func(args ...string) []string { return append(args, "--rsa-key", w.Key) }
	said(nil, with("put", source, root+"/"+name)...).want(t, ok)
	said(nil, with("put", source, root+"/plain")...).want(t, ok)
	alter(t, w, name, func(h http.Header, body []byte) []byte {
		h["X-Oss-Meta-Client-Side-Encryption-Matdesc"] = []string{`{"a\u001b[31m\n":"\u001b]0;owned\u0007\u202e\u2028\nforged"}`}
		h["X-Oss-Meta-Note"] = []string{inHeader}
		h["X-Oss-Tagging"] = []string{url.QueryEscape("a=b")}
		body[0] ^= 1
		return body
	})
	if err := w.Server.WriteObject(procenv.Bucket, "planted "+hostileText, http.Header{"Content-Type": {inHeader}}, []byte("plain")); err != nil {
		t.Fatal(err)
	}

	for _, args := range [][]string{
		with("inspect", root+"/"+name), with("inspect", root+"/"+name, "--json"), {"inspect", root + "/" + name, "--no-key"},
		with("inspect", root+"/planted "+hostileText), with("inspect", root+"/none"+hostileText),
		with("get", root+"/"+name, filepath.Join(w.Base, "out")), with("get", root+"/none"+hostileText, "-"),
		with("verify", root, "--deep"), with("verify", root, "--deep", "--json"), with("verify", root+"/"+name),
		with("put", filepath.Join(w.Base, "none"+hostileText), root+"/x"), with("put", source, "oss://"+hostileText),
		{"status", w.Dir + hostileText}, {"sync", w.Dir + hostileText}, {"umount", w.Dir + hostileText}, {"upgrade", w.Dir + hostileText},
		{"mount", root, w.Dir + hostileText, "--rsa-key", w.Key}, {"get", root + "/plain", "-", "--rsa-key", w.Key + hostileText},
		{"keygen", filepath.Join(w.Base, hostileText, "key")}, {hostileText}, {"key", hostileText}, {"help", hostileText}, {"get", "--" + hostileText},
		{"inspect", root + "/plain", "--config", write(t, filepath.Join(w.Base, "bad.toml"), "[bucket.\"x\\u001b[31m\\u202e\"]\n\"y\\u001b\\n\" = 1\n", 0o600)},
		{"inspect", root + "/plain", "--config", filepath.Join(w.Base, "none"+hostileText)},
		{"inspect", root + "/plain", "--region", hostileText, "--endpoint", hostileText}, {"inspect", root + "/plain", "--dialect", hostileText},
		{"version", hostileText}, {"demo", w.Base + hostileText, hostileText}, {"emulator", "--listen", hostileText},
	} {
		said(nil, args...)
	}
	if a := said(nil, with("inspect", root+"/"+name)...); !strings.Contains(a.stdout, `matdesc a\x1b[31m\n = \x1b]0;owned\x07\u202e\u2028\nforged`) {
		t.Errorf("inspect does not spell the description of the key out:\n%s", a.stdout)
	}
	keyCommands(t, w, said, second)

	endpoint, refuse := refusing(t, w)
	mount(t, w, "--settle", "0s", "--endpoint", endpoint, "--log-level", "debug", "--metadata-ttl", "1s")
	if _, err := os.ReadFile(filepath.Join(w.Dir, name)); err == nil {
		t.Error("altered content is read")
	}
	wantPlain(t, "user.ossencfs.error", attribute(filepath.Join(w.Dir, name), "user.ossencfs.error"))
	wantPlain(t, "user.ossencfs.state", attribute(filepath.Join(w.Dir, name), "user.ossencfs.state"))
	if a := said(nil, "status"); !strings.Contains(a.stdout, "tampered") {
		t.Errorf("status does not say that the object is not believed:\n%s", a.stdout)
	}
	said(nil, "verify", w.Dir, "--json")
	refuse.Store(true)
	write(t, filepath.Join(w.Dir, "new "+strings.ReplaceAll(hostileText, "/", "")), "text", 0o600)
	procenv.WaitFor(t, "an upload to be refused", func() bool { return strings.Contains(ask(t, w, nil, "status").stdout, "attempts)") })
	said(nil, "status")
	said(nil, "status", "--json")
	said(nil, "verify", w.Dir)
	said([]string{"OSS_ENDPOINT=" + endpoint}, with("get", root+"/plain", "-")...)
	said([]string{"OSS_ENDPOINT=" + endpoint}, with("put", source, root+"/plain")...)
	said([]string{"OSS_ENDPOINT=" + endpoint}, with("inspect", root+"/plain")...)
	said([]string{"OSS_ENDPOINT=" + endpoint}, with("key", "list", root)...)
	said(nil, "inspect", root+"/plain", "--kms-key", "key", "--kms-endpoint", endpoint, "--kms-region", "cn-hangzhou")
	refuse.Store(false)
	said(nil, "umount", "--now", w.Dir)
	log, err := os.ReadFile(filepath.Join(w.Cache, "ossencfs.log"))
	if err != nil || !strings.Contains(string(log), "owned") {
		t.Errorf("the log does not name the object, %v", err)
	}
	wantPlain(t, "the log", string(log))
}

// keyCommands runs those of `ossencfs key` on a record in which hosts and slots have hostile names.
func keyCommands(t *testing.T, w *procenv.World, said func([]string, ...string) answer, second string) {
	t.Helper()
	root := "oss://" + procenv.Bucket
	base := []string{root, "--rsa-key", w.Key}
	on := func(command string, more ...string) []string {
		return append(append([]string{"key", command}, base...), more...)
	}
	said(nil, on("add", "--new-rsa-key", second)...).want(t, ok)
	said(nil, "key", "export-host", root, filepath.Join(w.Base, "bundle"), "--rsa-key", w.Key, "--name", "host", "--prefix", "p"+inHeader+"/")
	said(nil, "key", "export-host", root, filepath.Join(w.Base, "bundle2"+hostileText), "--rsa-key", w.Key, "--name", hostileText)
	said(nil, "key", "export", root, filepath.Join(w.Base, "none"+hostileText, "x"), "--rsa-key", w.Key)
	said(nil, "key", "remove-host", root, hostileText, "--rsa-key", w.Key)
	said(nil, "key", "import", root, w.Base+hostileText, "--rsa-key", w.Key)
	said(nil, "key", "import", root, write(t, filepath.Join(w.Base, "export"), hostileText, 0o600), "--rsa-key", w.Key)
	said(nil, "key", "remove", root, hostileText, "--rsa-key", w.Key)
	said(nil, on("list")...).want(t, ok)
	said(nil, on("list", "--json")...).want(t, ok)
	record := records(t, w)[0]
	whole, _, err := w.Server.ReadObject(procenv.Bucket, record)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{{`"rsa:`, `"rsa:\u001b[31m\n\u202e`}, {`"host"`, `"\u001b[31m\nforged\u202e"`}, {`"ossencfs`, "\"\u009b\u202e ossencfs"}} {
		alter(t, w, record, func(_ http.Header, body []byte) []byte {
			return []byte(strings.ReplaceAll(string(body), change[0], change[1]))
		})
		said(nil, on("list")...)
		said(nil, on("list", "--json")...)
		said(nil, on("check")...)
		said(nil, on("rotate", "--new-epoch")...)
		said(nil, "key", "list", root)
		alter(t, w, record, func(http.Header, []byte) []byte { return whole })
	}
}

// alter does to an object what the bucket's owner can do.
func alter(t *testing.T, w *procenv.World, name string, change func(h http.Header, body []byte) []byte) {
	t.Helper()
	if err := w.Server.AlterObject(procenv.Bucket, name, change); err != nil {
		t.Fatal(err)
	}
}

// attribute is an extended attribute, "" when there is none.
func attribute(path, name string) string {
	buf := make([]byte, 64<<10)
	n, err := unix.Getxattr(path, name, buf)
	if err != nil {
		return ""
	}
	return string(buf[:n])
}
