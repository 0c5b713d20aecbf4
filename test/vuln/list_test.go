// Package vuln tests where the list of known weaknesses comes from.
package vuln

import (
	"archive/zip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const version = "v0.0.0-20260102030405-0123456789ab"

// list runs ./list with a module proxy and nothing else within reach.
func list(t *testing.T, proxy string) (stdout, stderr string, err error) {
	t.Helper()
	cmd := exec.Command("./list")
	cmd.Env = append(os.Environ(), "GOPROXY="+proxy, "GONOSUMDB=*", "GOFLAGS=-modcacherw", "GOMODCACHE="+t.TempDir(),
		"https_proxy=http://127.0.0.1:1", "no_proxy=")
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return strings.TrimSpace(out.String()), errs.String(), err
}

// writeProxy makes a module proxy that serves one version of the database.
func writeProxy(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	module := filepath.Join(dir, "golang.org", "x", "vulndb")
	if err := os.MkdirAll(filepath.Join(module, "@v"), 0o755); err != nil {
		t.Fatal(err)
	}
	const info = `{"Version":"` + version + `","Time":"2026-01-02T03:04:05Z"}`
	for name, content := range map[string]string{
		"@latest":                 info,
		"@v/list":                 "",
		"@v/" + version + ".info": info,
		"@v/" + version + ".mod":  "module golang.org/x/vulndb\n",
	} {
		if err := os.WriteFile(filepath.Join(module, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Create(filepath.Join(module, "@v", version+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(f)
	for name, content := range map[string]string{"go.mod": "module golang.org/x/vulndb\n", "data/osv/GO-2026-0001.json": "{}"} {
		entry, err := w.Create("golang.org/x/vulndb@" + version + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := entry.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return "file://" + dir
}

func TestListFromAModuleProxy(t *testing.T) {
	url, stderr, err := list(t, writeProxy(t))
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	dir, isFile := strings.CutPrefix(url, "file://")
	if _, err := os.Stat(filepath.Join(dir, "GO-2026-0001.json")); !isFile || err != nil || !strings.Contains(url, version) {
		t.Errorf("got %q: %v", url, err)
	}
}

// TestNoListIsAFailure: what was not compared with any list did not pass.
func TestNoListIsAFailure(t *testing.T) {
	if url, stderr, err := list(t, "off"); err == nil || url != "" || !strings.Contains(stderr, "nothing was compared") {
		t.Errorf("got %q, %v\n%s", url, err, stderr)
	}
}
