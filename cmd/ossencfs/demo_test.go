package main

import (
	"net/http"
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
