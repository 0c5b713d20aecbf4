package emulator

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// restart closes a server and starts another one on its folder.
func restart(t *testing.T, s *Server, o Options) *Server {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	again, err := Start(o)
	if err != nil {
		t.Fatalf("restart: %v", err)
	}
	t.Cleanup(func() { _ = again.Close() })
	return again
}

// files counts the regular files below a folder of the store.
func files(t *testing.T, dir, sub string) (n int) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(dir, sub), func(_ string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRestart(t *testing.T) {
	dir := t.TempDir()
	o := Options{Dir: dir, TLS: true, Buckets: []string{testBucket}}
	s := start(t, o)
	b := sdkBucket(t, s)
	small, large := randomBytes(1000), randomBytes(300<<10)
	for key, data := range map[string][]byte{"small": small, "large": large, "gone": small} {
		if err := b.PutObject(key, bytes.NewReader(data), sdk.Meta("m", key), sdk.SetHeader("x-oss-tagging", "a=1")); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.DeleteObject("gone"); err != nil {
		t.Fatal(err)
	}
	if err := b.PutObjectTagging("small", sdk.Tagging{Tags: []sdk.Tag{{Key: "new", Value: "tag"}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.CopyObject("large", "copy"); err != nil {
		t.Fatal(err)
	}
	if err := b.DeleteObject("large"); err != nil {
		t.Fatal(err)
	}
	up, err := b.InitiateMultipartUpload("parts", sdk.Meta("m", "parts"))
	if err != nil {
		t.Fatal(err)
	}
	p1, err := b.UploadPart(up, bytes.NewReader(large[:200<<10]), 200<<10, 1)
	if err != nil {
		t.Fatal(err)
	}
	c := kmsClient(t, s, s.AccessKeyID(), s.AccessKeySecret(), "", false)
	key, err := generate(c, s.KMSKeyID(), "")
	if err != nil {
		t.Fatal(err)
	}
	before := s.Ready()
	s = restart(t, s, o)
	after := s.Ready()
	if after.AccessKeyID != before.AccessKeyID || after.AccessKeySecret != before.AccessKeySecret || after.KMSKeyID != before.KMSKeyID || after.CAFile != before.CAFile {
		t.Errorf("account changed: %+v, was %+v", after, before)
	}
	b = sdkBucket(t, s)
	if got := getAll(t, b, "small"); !bytes.Equal(got, small) {
		t.Error("small object differs")
	}
	if got := getAll(t, b, "copy"); !bytes.Equal(got, large) {
		t.Error("copy of a deleted object differs")
	}
	if tags, err := b.GetObjectTagging("small"); err != nil || len(tags.Tags) != 1 || tags.Tags[0].Key != "new" {
		t.Errorf("tags %+v, %v", tags, err)
	}
	if list := s.Objects(testBucket); len(list) != 2 {
		t.Errorf("objects %+v", list)
	}
	p2, err := b.UploadPart(up, bytes.NewReader(large[200<<10:]), 100<<10, 2)
	if err != nil {
		t.Fatalf("go on with the upload: %v", err)
	}
	if _, err := b.CompleteMultipartUpload(up, []sdk.UploadPart{p1, p2}); err != nil {
		t.Fatal(err)
	}
	if got := getAll(t, b, "parts"); !bytes.Equal(got, large) {
		t.Error("completed upload differs")
	}
	c = kmsClient(t, s, s.AccessKeyID(), s.AccessKeySecret(), "", false)
	if back, err := decrypt(c, key.CiphertextBlob, ""); err != nil || back.Plaintext != key.Plaintext {
		t.Errorf("decrypt after restart: %v", err)
	}
	s = restart(t, s, o)
	if got := getAll(t, sdkBucket(t, s), "parts"); !bytes.Equal(got, large) {
		t.Error("completed upload differs after a second restart")
	}
	if n := files(t, dir, "uploads"); n != 0 {
		t.Errorf("%d files of a completed upload are left", n)
	}
}

func TestFolderIsLocked(t *testing.T) {
	dir := t.TempDir()
	start(t, Options{Dir: dir})
	if s, err := Start(Options{Dir: dir}); err == nil {
		s.Close()
		t.Error("two emulators run on one folder")
	}
}

// TestCrashLeftovers puts into the folder what a killed process can leave there.
func TestCrashLeftovers(t *testing.T) {
	dir := t.TempDir()
	o := Options{Dir: dir, Buckets: []string{testBucket}}
	s := start(t, o)
	for i := range 3 {
		if err := s.WriteObject(testBucket, "o", nil, randomBytes(200<<10)); err != nil {
			t.Fatal(err)
		}
		if err := s.WriteObject(testBucket, fmt.Sprint("k", i), nil, []byte("content")); err != nil {
			t.Fatal(err)
		}
	}
	if n := files(t, dir, "blobs"); n != 1 {
		t.Errorf("%d blobs for one large object", n)
	}
	records, err := filepath.Glob(filepath.Join(dir, "buckets", testBucket, "objects", "*", "*"))
	if err != nil || len(records) != 4 {
		t.Fatalf("records %v, %v", records, err)
	}
	var record string
	var data []byte
	for _, path := range records {
		if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), `"key":"k1"`) {
			record, data = path, text
		}
	}
	for path, text := range map[string]string{
		record + ".tmp": "half a rec",
		record + "0":    string(data[:len(data)-3]), // cut short
		filepath.Join(dir, "blobs", "aa", "0000aa"): "orphan",
		filepath.Join(dir, "uploads", "X", "junk"):  "no upload",
		filepath.Join(dir, "buckets", "half", "x"):  "no bucket.json",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = restart(t, s, o)
	if list := s.Objects(testBucket); len(list) != 4 {
		t.Errorf("objects %+v", list)
	}
	if got, _, err := s.ReadObject(testBucket, "k1"); err != nil || string(got) != "content" {
		t.Errorf("k1: %q, %v", got, err)
	}
	if n := files(t, dir, "blobs"); n != 1 {
		t.Errorf("%d blobs after restart, want the orphan gone", n)
	}
	if n := files(t, dir, "uploads"); n != 0 {
		t.Errorf("%d files of an upload that is none", n)
	}
}

// TestReplacedRecords keeps both records of a key, as a kill between writing one and removing the other.
func TestReplacedRecords(t *testing.T) {
	dir := t.TempDir()
	o := Options{Dir: dir, Buckets: []string{testBucket}}
	s := start(t, o)
	if err := s.WriteObject(testBucket, "o", nil, []byte("old")); err != nil {
		t.Fatal(err)
	}
	records, err := filepath.Glob(filepath.Join(dir, "buckets", testBucket, "objects", "*", "*"))
	if err != nil || len(records) != 1 {
		t.Fatalf("records %v, %v", records, err)
	}
	old, err := os.ReadFile(records[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := s.WriteObject(testBucket, "o", nil, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(records[0], old, 0o600); err != nil {
		t.Fatal(err)
	}
	s = restart(t, s, o)
	if got, _, err := s.ReadObject(testBucket, "o"); err != nil || string(got) != "new" {
		t.Errorf("got %q, %v", got, err)
	}
	if n := files(t, dir, "buckets"); n != 2 {
		t.Errorf("%d files, want bucket.json and one record", n)
	}
}

func TestDirectAccess(t *testing.T) {
	for store, dir := range map[string]string{"memory": "", "folder": t.TempDir()} {
		t.Run(store, func(t *testing.T) {
			s := start(t, Options{Dir: dir})
			b := sdkBucket(t, s)
			if err := b.PutObject("o", strings.NewReader("content"), sdk.Meta("a", "1"), sdk.SetHeader("x-oss-tagging", "k=v")); err != nil {
				t.Fatal(err)
			}
			s.ResetRequests()
			err := s.AlterObject(testBucket, "o", func(h http.Header, body []byte) []byte {
				h["X-Oss-Meta-A"] = []string{"2"}
				return append(body, '!')
			})
			if err != nil {
				t.Fatal(err)
			}
			data, h, err := s.ReadObject(testBucket, "o")
			if err != nil || string(data) != "content!" || h.Get("X-Oss-Meta-A") != "2" || h.Get("X-Oss-Tagging") != "k=v" {
				t.Errorf("altered: %q %v, %v", data, h, err)
			}
			if len(s.Requests()) != 0 {
				t.Error("direct access was counted")
			}
			if got := getAll(t, b, "o"); string(got) != "content!" {
				t.Errorf("got %q", got)
			}
			before := s.Objects(testBucket)[0]
			if err := s.DamageObject(testBucket, "o", 3); err != nil {
				t.Fatal(err)
			}
			if after := s.Objects(testBucket)[0]; after.ETag != before.ETag || after.CRC64 != before.CRC64 {
				t.Error("damage changed the checksums")
			}
			if got, _, err := s.ReadObject(testBucket, "o"); err != nil || string(got) != "conuent!" {
				t.Errorf("damaged: %q, %v", got, err)
			}
			if s.DamageObject(testBucket, "o", 8) == nil || s.DamageObject(testBucket, "none", 0) == nil {
				t.Error("damage outside an object was taken")
			}
			if err := s.RemoveObject(testBucket, "o"); err != nil || has(s, "o") {
				t.Errorf("remove: %v", err)
			}
			if err := s.CreateBucket("second-bucket"); err != nil {
				t.Error(err)
			}
		})
	}
}
