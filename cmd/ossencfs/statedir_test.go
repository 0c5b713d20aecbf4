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
	for _, endpoint := range []string{"https://oss-cn-hangzhou.aliyuncs.com", "oss-cn-hangzhou-internal.aliyuncs.com", "http://OSS-accelerate.aliyuncs.com",
		"oss-cn-hangzhou.aliyuncs.com.", "https://oss-cn-hangzhou.aliyuncs.com:443", "b.oss-cn-hangzhou.aliyuncs.com"} {
		if got := name(endpoint, "b", ""); got != base {
			t.Errorf("%s: got %s, want %s", endpoint, got, base)
		}
	}
	domain := object.Connection{Endpoint: "files.example.com", Bucket: "b", Addressing: "cname"}
	if got := pinName(domain, ""); got != base {
		t.Errorf("a domain of the bucket: got %s, want %s", got, base)
	}
	seen := map[string]string{base: "base"}
	for what, got := range map[string]string{
		"other bucket":    name("", "b2", ""),
		"prefix":          name("", "b", "p/"),
		"own endpoint":    name("http://127.0.0.1:8000", "b", ""),
		"other port":      name("http://127.0.0.1:8001", "b", ""),
		"not Alibaba's":   name("https://aliyuncs.com.example.com", "b", ""),
		"port of another": name("https://oss.example.com:80", "b", ""),
		"another host":    name("https://oss.example.com", "b", ""),
		"address":         name("https://10.1.2.3", "b", ""),
		"address of IPv6": name("https://[2001:db8::1]:9000", "b", ""),
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

// TestPinHasOneName: however an endpoint is spelled, the bucket is the one that is known, also where a version before spelled it into the name.
func TestPinHasOneName(t *testing.T) {
	for _, same := range [][]string{
		{"https://oss.example.com", "oss.example.com", "OSS.Example.COM", "oss.example.com.", "https://oss.example.com:443", "oss.example.com:0443", "http://oss.example.com", "http://oss.example.com:80/"},
		{"oss.example.com:8443", "https://OSS.example.com.:8443", "http://oss.example.com:8443"},
		{"http://127.0.0.1:9000", "127.0.0.1:9000", "LocalHost:9000", "http://localhost.:9000", "[::ffff:127.0.0.1]:9000"},
		{"https://[2001:db8::1]:9000", "[2001:DB8:0:0::1]:9000"},
		{"https://[2001:db8::1]", "[2001:DB8:0:0::1]:443"},
	} {
		for _, old := range same {
			for _, now := range same {
				old, now := object.Connection{Bucket: "b", Endpoint: old}, object.Connection{Bucket: "b", Endpoint: now}
				if got, want := pinName(now, "x/"), pinName(old, "x/"); got != want {
					t.Errorf("%s and %s have two names", old.Endpoint, now.Endpoint)
				}
			}
		}
	}
	for old, now := range map[string]string{ // the host as it was hashed before, and the endpoint
		"oss.example.com:443":        "oss.example.com",
		"oss.example.com:80":         "https://oss.example.com",
		"oss.example.com.":           "OSS.example.com:443",
		"oss.example.com.:8443":      "oss.example.com:8443",
		"localhost:9000":             "127.0.0.1:9000",
		"127.0.0.1:9000":             "localhost:9000",
		"[2001:db8:0:0::1]:9000":     "[2001:db8:0:0::1]:9000",
		"oss-cn-x.aliyuncs.com.":     "oss-cn-x.aliyuncs.com.",
		"oss-cn-x.aliyuncs.com.:443": "oss-cn-x.aliyuncs.com",
		"":                           "oss-cn-x.aliyuncs.com",
	} {
		state := filepath.Join(t.TempDir(), "state")
		p, _, _ := testProgram(t, map[string]string{"OSSENCFS_STATE_DIR": state})
		conn := object.Connection{Bucket: "b", Endpoint: now}
		first, err := p.findPin(conn, "x/")
		if err != nil || first.known {
			t.Fatalf("%s: got %+v, %v", now, first, err)
		}
		path := writeFile(t, filepath.Join(filepath.Dir(first.path), pinNameAt(old, "b", "x/")), "{}")
		if got, err := p.findPin(conn, "x/y/"); err != nil || !got.known || got.path != path {
			t.Errorf("%s, remembered as %q: got %+v, %v", now, old, got, err)
		}
	}
}
