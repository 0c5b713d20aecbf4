package cli

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/test/procenv"
)

// TestGetGivesNoUnprovedMode: the mode of a file comes from an object that a key holder wrote; any other file is its user's alone, whatever
// its headers say.
func TestGetGivesNoUnprovedMode(t *testing.T) {
	w := procenv.New(t)
	source := write(t, filepath.Join(w.Base, "source"), "content", 0o4755)
	root := "oss://" + procenv.Bucket + "/"
	ask(t, w, nil, "put", source, root+"ours", "--rsa-key", w.Key).want(t, ok)
	_, ours, err := w.Server.ReadObject(procenv.Bucket, "ours")
	if err != nil {
		t.Fatal(err)
	}
	attributes := http.Header{}
	for name, values := range ours {
		if low := strings.ToLower(name); strings.HasSuffix(low, "-mode") || strings.HasSuffix(low, "-mtime") {
			attributes[name] = values
		}
	}
	if len(attributes) != 2 {
		t.Fatalf("mode and time are not among the headers %v", ours)
	}
	for name := range attributes {
		if strings.HasSuffix(strings.ToLower(name), "-mode") {
			attributes[name] = []string{"35327"} // 0104777
		}
	}
	if err := w.Server.WriteObject(procenv.Bucket, "planted", attributes, []byte("#!/bin/sh")); err != nil {
		t.Fatal(err)
	}
	alter(t, w, "bare", func(h http.Header, _ []byte) []byte { // the SDK's form of encryption, without a box
		body, old, err := w.Server.ReadObject(procenv.Bucket, "ours")
		if err != nil {
			t.Fatal(err)
		}
		for name, values := range old {
			if !strings.Contains(strings.ToLower(name), "ossencfs") {
				h[name] = values
			}
		}
		for name, values := range attributes {
			h[name] = values
		}
		return body
	})
	for name, want := range map[string]os.FileMode{"ours": 0o755, "planted": 0o600, "bare": 0o600} {
		out := filepath.Join(w.Base, "out-"+name)
		ask(t, w, nil, "get", root+name, out, "--rsa-key", w.Key, "--accept-foreign").want(t, ok)
		info, err := os.Stat(out)
		if err != nil || info.Mode() != want {
			t.Errorf("%s: got %v, %v, want %v", name, info.Mode(), err, want)
		}
		if old := time.Since(info.ModTime()) > time.Hour; old {
			t.Errorf("%s has the time %v", name, info.ModTime())
		}
	}
	link := filepath.Join(w.Base, "link")
	if err := os.Symlink(source, link); err != nil {
		t.Fatal(err)
	}
	ask(t, w, nil, "get", root+"ours", link, "--rsa-key", w.Key).want(t, 1, "exists already")
	ask(t, w, nil, "get", root+"ours", link, "--rsa-key", w.Key, "--force").want(t, ok)
	if info, err := os.Lstat(link); err != nil || !info.Mode().IsRegular() {
		t.Errorf("--force: got %v, %v", info, err)
	}
}

// TestGetReplacesOnlyFiles: with --force a file takes the place of a file, not of a pipe or a device.
func TestGetReplacesOnlyFiles(t *testing.T) {
	w := procenv.New(t)
	pipe := fifo(t, w)
	link := filepath.Join(w.Base, "link")
	if err := os.Symlink(pipe, link); err != nil {
		t.Fatal(err)
	}
	url := "oss://" + procenv.Bucket + "/x"
	ask(t, w, nil, "put", w.Key, url, "--rsa-key", w.Key).want(t, ok)
	for _, name := range []string{pipe, link} {
		ask(t, w, nil, "get", url, name, "--rsa-key", w.Key, "--force").want(t, 1, "is a named pipe, not a file", "hint: - is the standard output")
		if info, err := os.Stat(name); err != nil || info.Mode().Type() != os.ModeNamedPipe {
			t.Errorf("%s: got %v, %v", name, info, err)
		}
	}
}
