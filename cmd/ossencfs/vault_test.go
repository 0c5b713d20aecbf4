package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
)

// bequeathed sends a bequest through a pipe and takes it over.
func bequeathed(t *testing.T, cfg *mountConfig, typed secrets) (*vault, error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	sent := make(chan error, 1)
	go func() { sent <- errors.Join(cfg.bequeath(w, typed), w.Close()) }()
	v, err := fillVault(r)
	if err := <-sent; err != nil {
		v.close()
		return nil, err
	}
	return v, err
}

func TestBequestThroughAPipe(t *testing.T) {
	for _, typed := range []secrets{
		{},
		{"/a/key.pem": []byte("secret")},
		{`/odd "<name>` + "\x01\xff": []byte("\x00\n\"'"), "b": []byte(strings.Repeat("long ", 2000)), "": []byte("x")},
	} {
		want := secrets{}
		for name, p := range typed {
			want[strings.ToValidUTF8(name, "\ufffd")] = bytes.Clone(p)
		}
		v, err := bequeathed(t, &mountConfig{madeCacheDir: true}, typed)
		if err != nil {
			t.Fatal(err)
		}
		defer v.close()
		for name, p := range typed {
			if strings.Trim(string(p), "\x00") != "" {
				t.Errorf("the passphrase of %q was not wiped", name)
			}
		}
		var head bequest
		if err := json.Unmarshal(v.cutLine(), &head); err != nil || !head.MadeCacheDir {
			t.Errorf("line: got %+v, %v", head, err)
		}
		got := secrets{}
		if err := json.Unmarshal(v.mem, &got); err != nil || !maps.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
		if text := fmt.Sprintf("%v %+v %s", v, v, v); strings.Contains(text, "secret") || strings.Contains(text, "123") {
			t.Errorf("a vault prints %s", text)
		}
	}
}

func TestBequestThatIsTooLong(t *testing.T) {
	if _, err := bequeathed(t, &mountConfig{}, secrets{"a": bytes.Repeat([]byte("x"), vaultRoom)}); !errors.Is(err, errTooLong) {
		t.Errorf("got %v, want %v", err, errTooLong)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	go func() {
		_, _ = w.Write(make([]byte, 2*vaultRoom)) // the reader gives up before
		w.Close()
	}()
	if v, err := fillVault(r); !errors.Is(err, errTooLong) {
		v.close()
		t.Errorf("got %v, want %v", err, errTooLong)
	}
}
