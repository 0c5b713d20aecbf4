package object

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
)

// TestNestedArea: a directory is closed by the record of another volume, and by nothing else that lies where one would.
func TestNestedArea(t *testing.T) {
	const id = "00112233445566778899aabbccddeeff"
	record := "d/" + volumeDir + id + "/00000001"
	raw := func(t *testing.T, s *emulator.Server, key, text string) {
		t.Helper()
		if err := s.WriteObject(testBucket, key, http.Header{}, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	fails := func(code string) func(*testing.T, *emulator.Server, *Bucket) {
		return func(t *testing.T, s *emulator.Server, _ *Bucket) {
			raw(t, s, record, "{}")
			s.AddFault(emulator.Fault{Operation: "GetObject", Key: record, Code: code})
		}
	}
	for name, tt := range map[string]struct {
		put     func(*testing.T, *emulator.Server, *Bucket)
		notices int
		closed  bool
	}{
		"junk": {put: func(t *testing.T, s *emulator.Server, _ *Bucket) { raw(t, s, record, "junk") }, notices: 1},
		"two": {put: func(t *testing.T, s *emulator.Server, _ *Bucket) {
			raw(t, s, record, "a")
			raw(t, s, record[:len(record)-1]+"2", "b")
		}, notices: 1},
		"empty": {put: func(t *testing.T, s *emulator.Server, _ *Bucket) { raw(t, s, record, "") }, notices: 1},
		"huge":  {put: func(t *testing.T, s *emulator.Server, _ *Bucket) { raw(t, s, record, strings.Repeat("x", maxRecord+1)) }, notices: 1},
		"other names": {put: func(t *testing.T, s *emulator.Server, _ *Bucket) {
			raw(t, s, "d/.ossencfs/volume/x", "junk")
			raw(t, s, "d/.ossencfs/y", "")
		}},
		"ciphertext": {put: func(t *testing.T, _ *emulator.Server, b *Bucket) { put(t, b, request(t, record, []byte("{}"))) }, notices: 1},
		"403":        {put: fails("AccessDenied"), notices: 1},
		"404":        {put: fails("NoSuchKey"), notices: 1},
		"archived":   {put: fails("InvalidObjectState"), notices: 1},
		"record of another key": {put: func(t *testing.T, s *emulator.Server, _ *Bucket) {
			body, _ := otherRecord(t, "d/")
			raw(t, s, record, body)
		}, notices: 1},
		"record": {put: func(t *testing.T, s *emulator.Server, _ *Bucket) {
			body, key := otherRecord(t, "d/")
			raw(t, s, key, body)
		}, closed: true},
		"record of another directory": {put: func(t *testing.T, s *emulator.Server, _ *Bucket) {
			body, key := otherRecord(t, "")
			raw(t, s, "d/"+key, body)
		}, notices: 1},
		"record among junk": {put: func(t *testing.T, s *emulator.Server, _ *Bucket) {
			body, key := otherRecord(t, "d/")
			raw(t, s, key, body)
			raw(t, s, key[:len(key)-1]+"2", "junk")
		}, notices: 1, closed: true},
	} {
		t.Run(name, func(t *testing.T) {
			s, notices := emulated(t, emulator.Options{}), 0
			b := opened(t, Options{Connection: connection(s), Notice: func(n Notice) {
				if n.Kind == NoticeRecord {
					notices++
				}
			}})
			put(t, b, request(t, "d/f", []byte("text")))
			tt.put(t, s, b)
			page, err := b.List(t.Context(), ListRequest{Dir: "d/"})
			if tt.closed != errors.Is(err, ErrNestedVolume) || !tt.closed && err != nil {
				t.Errorf("got %v, want closed %t", err, tt.closed)
			}
			if notices != tt.notices {
				t.Errorf("got %d notices, want %d", notices, tt.notices)
			}
			if err == nil && (len(page.Objects) != 1 || len(page.Dirs) != 0 || len(page.Unusable) != 1 || !errors.Is(page.Unusable[0].Reason, ErrReserved)) {
				t.Errorf("got %+v, want the file, and the area left out", page)
			}
		})
	}
}

// otherRecord is the record of a volume with the same master key in a directory of a bucket of this name, and its key.
func otherRecord(t *testing.T, root string) (body, key string) {
	t.Helper()
	s := emulated(t, emulator.Options{})
	opened(t, Options{Connection: connection(s), Prefix: root})
	for _, o := range s.Objects(testBucket) {
		if strings.HasPrefix(o.Key, root+volumeDir) {
			text, _, err := s.ReadObject(testBucket, o.Key)
			if err != nil {
				t.Fatal(err)
			}
			return string(text), o.Key
		}
	}
	t.Fatal("a new volume has no record")
	return "", ""
}

// TestReservedNames: the reserved name is one at every level, for files that are put too, and verify names what lies below it.
func TestReservedNames(t *testing.T) {
	for key, want := range map[string]bool{
		"": false, ".ossencfs": true, ".ossencfs/": true, "a/.ossencfs": true, "a/.ossencfs/b": true, "a/.ossencfsx": false, "a.ossencfs/b": false, "a/b/": false,
	} {
		if got := Reserved(key); got != want {
			t.Errorf("%q: got %t", key, got)
		}
	}
	s := emulated(t, emulator.Options{})
	b := opened(t, Options{Connection: connection(s)})
	for _, key := range []string{".ossencfs", ".ossencfs/volume/x", "a/.ossencfs", "a/.ossencfs/b"} {
		_, err := b.PutFile(t.Context(), FileRequest{Key: key, Source: strings.NewReader("x"), Size: 1, Attr: Attr{Mode: ModeRegular | 0o600}})
		if !errors.Is(err, ErrReserved) {
			t.Errorf("put %q: got %v, want ErrReserved", key, err)
		}
	}
	put(t, b, request(t, "a/.ossencfs/b", []byte("of an older version")))
	put(t, b, request(t, "a/.ossencfs/canary", []byte("of a mount of a")))
	report, err := b.Verify(t.Context(), VerifyOptions{})
	if err != nil || report.Counts[FoundName] != 1 || report.Damaged() != 0 {
		t.Errorf("verify: got %+v, %v, want one name", report, err)
	}
	if _, err := Open(t.Context(), Options{Connection: connection(s), Prefix: "a/.ossencfs/b", Keyring: keys.NewKeyring(masterRSA(t, 0))}); !errors.Is(err, ErrReserved) {
		t.Errorf("prefix: got %v, want ErrReserved", err)
	}
}
