package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/test/procenv"
)

// TestDebugLogHasTheRequests: with --log-level debug the log has a line for each request, and no secret.
func TestDebugLogHasTheRequests(t *testing.T) {
	w := procenv.New(t)
	mount(t, w, "--log-level", "debug")
	w.Server.AddFault(emulator.Fault{Operation: "PutObject", Key: "file", Status: 503, Code: "ServiceUnavailable", Count: 1})
	w.Server.ResetRequests()
	writeFile(t, w, "file")
	ask(t, w, nil, "sync", w.Dir).want(t, ok)
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
	raw, err := os.ReadFile(filepath.Join(w.Cache, "ossencfs.log"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for _, want := range []string{`msg=request operation=PutObject key=file status=200 bytes=4 took=\S+ request=\w+`,
		`msg=request operation=PutObject key=file status=503 bytes=\d+ took=\S+ request=\w+ error=".*ServiceUnavailable`} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("the log lacks %s", want)
		}
	}
	total := 0
	for _, n := range w.Server.Requests() {
		total += n
	}
	if lines := strings.Count(text, "msg=request "); lines < total {
		t.Errorf("%d lines for %d requests", lines, total)
	}
	for _, secret := range []string{w.Server.AccessKeySecret(), "Signature", "Authorization"} {
		if strings.Contains(text, secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}

// TestDebugLogHasTheKMS: so it has for requests to KMS.
func TestDebugLogHasTheKMS(t *testing.T) {
	w := procenv.New(t)
	w.Keys = []string{"--kms-key", w.Server.KMSKeyID(), "--kms-endpoint", w.Server.KMSEndpoint()}
	ask(t, w, nil, append(append([]string{"mount", "oss://" + procenv.Bucket, w.Dir}, w.Keys...), "--cache-dir", w.Cache, "--log-level", "debug")...).want(t, ok)
	writeFile(t, w, "file")
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
	raw, err := os.ReadFile(filepath.Join(w.Cache, "ossencfs.log"))
	must(t, err)
	n := w.Server.Requests()
	for _, operation := range []string{"Encrypt", "Decrypt", "GenerateDataKey"} {
		if got := strings.Count(string(raw), "msg=request operation="+operation+" "); got != n[operation] {
			t.Errorf("%d lines for %d calls of %s", got, n[operation], operation)
		}
	}
	if n["Encrypt"]+n["Decrypt"]+n["GenerateDataKey"] == 0 {
		t.Error("there were no calls")
	}
}
