package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/object"
)

func TestStateDir(t *testing.T) {
	if os.Geteuid() == 0 {
		p, _, _ := testProgram(t, map[string]string{"HOME": "/root"})
		if got, err := p.stateDir(); got != "/var/lib/ossencfs" || err != nil {
			t.Errorf("root: got %q, %v", got, err)
		}
	}
	p, _, _ := testProgram(t, map[string]string{"OSSENCFS_STATE_DIR": "/named", "HOME": "/home/u", "XDG_STATE_HOME": "/x"})
	if got, err := p.stateDir(); got != "/named" || err != nil {
		t.Errorf("named: got %q, %v", got, err)
	}
}

// TestPinName: the same bucket has the same name through all endpoints of Alibaba, others have their own, and no name leaves the folder.
func TestPinName(t *testing.T) {
	name := func(endpoint, bucket, prefix string) string {
		return pinName(object.Connection{Endpoint: endpoint, Bucket: bucket}, prefix)
	}
	base := name("", "b", "")
	for _, endpoint := range []string{"https://oss-cn-hangzhou.aliyuncs.com", "oss-cn-hangzhou-internal.aliyuncs.com", "http://OSS-accelerate.aliyuncs.com"} {
		if got := name(endpoint, "b", ""); got != base {
			t.Errorf("%s: got %s, want %s", endpoint, got, base)
		}
	}
	seen := map[string]string{base: "base"}
	for what, got := range map[string]string{
		"other bucket":    name("", "b2", ""),
		"prefix":          name("", "b", "p/"),
		"own endpoint":    name("http://127.0.0.1:8000", "b", ""),
		"other port":      name("http://127.0.0.1:8001", "b", ""),
		"not Alibaba's":   name("https://aliyuncs.com.example.com", "b", ""),
		"bucket of dots":  name("", "..", ""),
		"bucket of signs": name("", "a b\\c", ""),
	} {
		if other, twice := seen[got]; twice {
			t.Errorf("%s and %s have the same name %s", what, other, got)
		}
		seen[got] = what
		if filepath.Base(got) != got || strings.HasPrefix(got, ".") || len(got) > 100 {
			t.Errorf("%s: %q is no name of a file", what, got)
		}
	}
}

func TestFindPin(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	p, _, _ := testProgram(t, map[string]string{"OSSENCFS_STATE_DIR": state})
	conn := object.Connection{Bucket: "b", Endpoint: "http://127.0.0.1:8000"}
	first, err := p.findPin(conn, "x/y/")
	if err != nil || first.known || first.prefix != "x/y/" {
		t.Fatalf("nothing remembered: got %+v, %v", first, err)
	}
	if info, err := os.Stat(filepath.Dir(first.path)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v", info, err)
	}
	above := writeFile(t, filepath.Join(filepath.Dir(first.path), pinName(conn, "x/")), "{}")
	for _, prefix := range []string{"x/", "x/y/", "x/y/z/"} {
		if got, err := p.findPin(conn, prefix); err != nil || !got.known || got.path != above || got.prefix != "x/" {
			t.Errorf("%s: got %+v, %v, want %s", prefix, got, err, above)
		}
	}
	writeFile(t, first.path, "{}")
	if got, err := p.findPin(conn, "x/y/z/"); err != nil || got.path != first.path {
		t.Errorf("nearest: got %+v, %v, want %s", got, err, first.path)
	}
	if err := os.Chmod(first.path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := p.findPin(conn, "x/y/"); err == nil || !strings.Contains(err.Error(), "open to others") {
		t.Errorf("file open to others: got %v", err)
	}
	if err := os.Chmod(filepath.Dir(first.path), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := p.findPin(conn, ""); err == nil || !strings.Contains(err.Error(), "open to other users") {
		t.Errorf("folder open to others: got %v", err)
	}
}
