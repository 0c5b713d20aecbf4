package trust

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// TestTwoHostsOnANewBucket: two hosts mount a new bucket at the same moment, 200 times. A barrier holds them until both have found no volume
// and are about to store a record of their own. Each reads what the other wrote, and so does a third.
func TestTwoHostsOnANewBucket(t *testing.T) {
	master, err := rsaKey()
	must(t, err)
	s, err := emulator.Start(emulator.Options{Buckets: []string{testenv.Bucket}})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	w := &world{master: master, env: &testenv.Env{Server: s}}
	s.AddFault(emulator.Fault{Operation: "PutObject", Key: "*/.ossencfs/volume/*/00000001", Barrier: 2})
	two := 0
	for round := range 200 {
		prefix := fmt.Sprintf("round-%03d", round)
		hosts := [2]*object.Bucket{}
		var both sync.WaitGroup
		for i := range hosts {
			hosts[i] = w.bucket(t, object.Options{Prefix: prefix})
			both.Go(func() {
				if err := hosts[i].VerifyKey(context.Background()); err != nil {
					t.Errorf("round %d, host %d: %v", round, i, err)
					return
				}
				putFile(t, hosts[i], fmt.Sprintf("of-%d", i))
			})
		}
		both.Wait()
		if t.Failed() {
			return
		}
		third := w.bucket(t, object.Options{Prefix: prefix})
		must(t, third.VerifyKey(context.Background()))
		for i, b := range []*object.Bucket{hosts[0], hosts[1], third} {
			for _, key := range []string{"of-0", "of-1"} {
				wantFile(t, b, key, fmt.Sprintf("round %d, host %d", round, i))
			}
		}
		two += len(third.Volume().Keys) - 1
		if a, b := third.Volume(), hosts[0].Volume(); len(a.Keys) != 2 || !a.Authentic || a.Writer != a.Keys[0] || b.Writer == "" {
			t.Fatalf("round %d: volumes %+v and %+v", round, a, b)
		}
	}
	t.Logf("%d of 200 rounds made two volume keys", two)
}

// bucket opens a bucket without its volume.
func (w *world) bucket(t testing.TB, o object.Options) *object.Bucket {
	t.Helper()
	o.Keyring, o.Connection = keys.NewKeyring(w.master), w.connection()
	b, err := object.Open(context.Background(), o)
	must(t, err)
	t.Cleanup(func() { must(t, b.Close()) })
	return b
}

func putFile(t testing.TB, b *object.Bucket, key string) {
	t.Helper()
	text := []byte("content of " + key)
	r := object.FileRequest{Key: key, Source: bytes.NewReader(text), Size: int64(len(text)), Attr: object.Attr{Mode: object.ModeRegular | 0o600}}
	if _, err := b.PutFile(context.Background(), r); err != nil {
		t.Error(err)
	}
}

func wantFile(t testing.TB, b *object.Bucket, key, where string) {
	t.Helper()
	var out bytes.Buffer
	info, err := b.GetFile(context.Background(), key, &out, nil)
	if err != nil || out.String() != "content of "+key || info.State != object.StateAuthentic {
		t.Errorf("%s: %s is %q, %v, %v", where, key, out.String(), info.State, err)
	}
}
