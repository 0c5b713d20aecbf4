package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDemoHasNoControl: the emulator of a demo listens to every account of the machine, and a web page could send it something, too. So nobody
// can make himself an access key there without having one.
func TestDemoHasNoControl(t *testing.T) {
	d, err := newDemo(filepath.Join(t.TempDir(), "bucket"))
	if err != nil {
		t.Fatal(err)
	}
	server, err := d.serve()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for _, path := range []string{"/-/sts", "/-/faults"} {
		body := strings.NewReader(`{"access_key_id": "intruder", "access_key_secret": "known"}`)
		answer, err := http.Post(server.Endpoint()+path, "application/json", body)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusForbidden {
			t.Errorf("%s: status %d, want %d", path, answer.StatusCode, http.StatusForbidden)
		}
	}
}

// TestDemoNamesCommandsThatWork: what the demo says to try can be typed as it stands, wherever the program is.
func TestDemoNamesCommandsThatWork(t *testing.T) {
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", t.TempDir())
	d := &demo{dir: "/mnt", store: "/store", env: "/env"}
	if text := d.greeting(); !strings.Contains(text, own+" sync /mnt") || strings.Contains(text, " ossencfs ") {
		t.Errorf("outside of the search path: %s", text)
	}
	in := t.TempDir()
	t.Setenv("PATH", in)
	if err := os.Symlink(own, filepath.Join(in, "ossencfs")); err != nil {
		t.Fatal(err)
	}
	if text := d.greeting(); !strings.Contains(text, " ossencfs sync /mnt") {
		t.Errorf("in the search path: %s", text)
	}
}
