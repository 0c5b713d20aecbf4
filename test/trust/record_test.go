package trust

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
)

const volumeDir = ".ossencfs/volume/"

// record finds the volume's record.
func (w *world) record(t testing.TB) (key string, r *keys.Record, v *keys.VolumeKey) {
	t.Helper()
	for k, s := range w.stored {
		if !strings.HasPrefix(k, volumeDir) {
			continue
		}
		r, err := keys.ParseRecord(s.body)
		must(t, err)
		v, err := r.Open(context.Background(), keys.NewKeyring(w.master))
		must(t, err)
		return k, r, v
	}
	t.Fatal("there is no volume record")
	return "", nil, nil
}

// next is the record's next revision, as `key add` makes it.
func (w *world) next(t testing.TB) (key string, s stored) {
	t.Helper()
	key, r, v := w.record(t)
	n := r.Next()
	other, err := keys.GenerateRSA(2048, nil)
	must(t, err)
	must(t, n.AddSlot(context.Background(), v, other))
	text, err := n.Marshal(v)
	must(t, err)
	return strings.Replace(key, "00000001", "00000002", 1), stored{http.Header{}, text}
}

// publicOf is what everybody knows of the master key.
func (w *world) publicOf(t testing.TB) *rsa.PublicKey {
	t.Helper()
	text, err := w.master.MarshalPublic()
	must(t, err)
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	must(t, err)
	return key.(*rsa.PublicKey)
}

// forge makes a record with a volume key that the attacker knows, whose slot is wrapped under our public key. The MAC of the slot is the one
// thing that he cannot make: it is that of a slot of his own.
func (w *world) forge(t testing.TB) (key string, s stored, v *keys.VolumeKey) {
	t.Helper()
	his, err := keys.GenerateRSA(2048, nil)
	must(t, err)
	v, err = keys.NewVolumeKey(9, true)
	must(t, err)
	r := keys.NewRecord(v, w.place())
	must(t, r.AddSlot(context.Background(), v, his))
	opened, err := his.Unwrap(context.Background(), keys.OAEP, r.Slots[0].Wrapped, 0)
	if err == nil {
		t.Fatalf("a slot opens by the SDKs' scheme: %d bytes", len(opened))
	}
	private, err := his.MarshalPrivate(nil)
	must(t, err)
	block, _ := pem.Decode(private)
	hisKey, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	must(t, err)
	secret, err := rsa.DecryptOAEP(sha256.New(), nil, hisKey, r.Slots[0].Wrapped, []byte("ossencfs volume v1"))
	must(t, err)
	r.Slots[0].Key = w.master.ID()
	r.Slots[0].Wrapped, err = rsa.EncryptOAEP(sha256.New(), rand.Reader, w.publicOf(t), secret, []byte("ossencfs volume v1"))
	must(t, err)
	text, err := r.Marshal(v)
	must(t, err)
	return volumeDir + v.ID().String() + "/00000001", stored{http.Header{}, text}, v
}

// pinned opens the bucket once, so that this host knows the volume.
func (w *world) pinned(t testing.TB) object.Options {
	t.Helper()
	o := object.Options{PinFile: filepath.Join(t.TempDir(), "state", "pins.json")}
	must(t, w.open(t, o))
	info, err := os.Stat(o.PinFile)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("pin file: %v, %v", info, err)
	}
	return o
}

// TestRecordAttacks is the table of attacks on the volume's record: the mount is refused, on hosts that know the volume and on those that
// do not, as far as these can tell.
func TestRecordAttacks(t *testing.T) {
	w := newWorld(t, object.Options{})
	recordKey, _, _ := w.record(t)
	remove := func(t *testing.T) { must(t, w.env.Server.RemoveObject("testenv", recordKey)) }
	for _, tt := range []struct {
		name        string
		do          func(t *testing.T)
		known, anew error // on a host that knows the volume, and on a new one; nil: mounted
	}{
		{"nothing", func(*testing.T) {}, nil, nil},
		{"everything of ours deleted", func(t *testing.T) {
			for key := range w.stored {
				if strings.HasPrefix(key, ".ossencfs/") {
					must(t, w.env.Server.RemoveObject("testenv", key))
				}
			}
		}, object.ErrRecordMissing, object.ErrNoRecord},
		{"the bucket emptied", func(t *testing.T) {
			for key := range w.stored {
				must(t, w.env.Server.RemoveObject("testenv", key))
			}
		}, object.ErrRecordMissing, nil},
		{"record altered", func(t *testing.T) {
			w.alter(t, recordKey, func(_ http.Header, body []byte) []byte {
				return bytes.Replace(body, []byte(`"epoch"`), []byte(`"epoch" `), 1)
			})
		}, nil, nil}, // white space means nothing
		{"authentic switched off", func(t *testing.T) {
			w.alter(t, recordKey, func(_ http.Header, body []byte) []byte {
				return bytes.Replace(body, []byte("true"), []byte("false"), 1)
			})
		}, object.ErrRecordForged, object.ErrRecordForged},
		{"revision raised", func(t *testing.T) {
			s := w.stored[recordKey]
			w.put(t, strings.Replace(recordKey, "00000001", "00000007", 1),
				stored{s.h, bytes.Replace(s.body, []byte(`"revision": 1`), []byte(`"revision": 7`), 1)})
			remove(t)
		}, object.ErrRecordForged, object.ErrRecordForged},
		{"garbage in its place", func(t *testing.T) { w.put(t, recordKey, stored{http.Header{}, []byte("{")}) }, object.ErrRecordForged, object.ErrRecordForged},
		{"ten megabytes in its place", func(t *testing.T) { w.put(t, recordKey, stored{http.Header{}, make([]byte, 10<<20)}) }, object.ErrRecordForged, object.ErrRecordForged},
		{"a slot made with the public key, beside the record", func(t *testing.T) {
			key, s, _ := w.forge(t)
			w.put(t, key, s)
		}, nil, nil},
		{"a slot made with the public key, alone", func(t *testing.T) {
			key, s, _ := w.forge(t)
			w.put(t, key, s)
			remove(t)
		}, object.ErrRecordMissing, object.ErrRecordForged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.restore(t)
			o := w.pinned(t)
			tt.do(t)
			if err := w.open(t, o); !errors.Is(err, tt.known) || tt.known == nil && err != nil {
				t.Errorf("a host that knows the volume: got %v, want %v", err, tt.known)
			}
			if err := w.open(t, object.Options{}); !errors.Is(err, tt.anew) || tt.anew == nil && err != nil {
				t.Errorf("a new host: got %v, want %v", err, tt.anew)
			}
		})
	}
}

// TestOlderRecord: a revision that this host has replaced, or seen replaced, does not come back.
func TestOlderRecord(t *testing.T) {
	w := newWorld(t, object.Options{})
	old, _, _ := w.record(t)
	newer, s := w.next(t)
	w.put(t, newer, s)
	o := w.pinned(t)
	must(t, w.env.Server.RemoveObject("testenv", newer))
	if err := w.open(t, o); !errors.Is(err, object.ErrRecordRolledBack) {
		t.Errorf("revision 1 in place of 2: got %v", err)
	}
	if err := w.open(t, object.Options{}); err != nil {
		t.Errorf("a new host cannot know better: got %v", err)
	}
	w.put(t, newer, s)
	must(t, w.env.Server.RemoveObject("testenv", old))
	must(t, w.open(t, o))
}

// TestForgedVolumeIsNotUsed: an object in a box under a volume key that the attacker planted is not authentic, and nothing is written
// under that key though its epoch is the newest.
func TestForgedVolumeIsNotUsed(t *testing.T) {
	w := newWorld(t, object.Options{})
	key, s, v := w.forge(t)
	w.put(t, key, s)
	e, n := w.mount(t, object.Options{})
	if !n.about(key, object.NoticeRecord) {
		t.Errorf("the planted record was not reported: %+v", n.seen)
	}
	if got := e.Store.Volume(); got.Writer == v.ID().String() || len(got.Keys) != 1 {
		t.Errorf("volume %+v after %s was planted", got, v.ID())
	}
	w.check(t, e, nil, nil)
}

// TestVolumeID: a new host that was told which volume to expect takes no other.
func TestVolumeID(t *testing.T) {
	w := newWorld(t, object.Options{})
	_, r, _ := w.record(t)
	must(t, w.open(t, object.Options{VolumeIDs: []string{r.ID.String()}}))
	for key := range w.stored {
		must(t, w.env.Server.RemoveObject("testenv", key))
	}
	if err := w.open(t, object.Options{VolumeIDs: []string{r.ID.String()}}); !errors.Is(err, object.ErrRecordMissing) {
		t.Errorf("an empty bucket in place of the volume: got %v", err)
	}
	if len(w.env.Server.Objects("testenv")) > 0 {
		t.Error("something was written though the mount was refused")
	}
}
