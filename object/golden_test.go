package object

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
)

// golden is an object as it stood in the bucket, and what it means.
type golden struct {
	Key     string            `json:"key"`
	Headers map[string]string `json:"headers"` // with the tags in x-oss-tagging
	Body    []byte            `json:"body"`
	Text    string            `json:"text"`
	Attr    Attr              `json:"attr"`
	IDs     string            `json:"ids"` // generation and upload
}

// TestGolden reads what earlier versions wrote; testdata has a folder for each form. It is never made anew.
func TestGolden(t *testing.T) {
	key, err := keys.LoadRSA(filepath.Join("..", "test", "vectors", "keys", "rsa1.private.pkcs1.pem"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join("testdata", "golden", "v*", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files, %v", err)
	}
	s := emulated(t, emulator.Options{})
	b := opened(t, Options{Connection: connection(s), Keyring: keys.NewKeyring(key)})
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var g golden
		if err := json.Unmarshal(text, &g); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		h := http.Header{}
		for name, value := range g.Headers {
			h.Set(name, value)
		}
		if err := s.WriteObject(testBucket, g.Key, h, g.Body); err != nil {
			t.Fatal(err)
		}
		wantText(t, b, g.Key, g.Text)
		got := head(t, b, g.Key)
		if !sameAttr(got.Attr, g.Attr) || !got.HasAttr || got.XattrErr != nil || formatIDs(got.Generation, got.Upload) != g.IDs {
			t.Errorf("%s: got %+v, want %+v %s", file, got, g.Attr, g.IDs)
		}
	}
}
