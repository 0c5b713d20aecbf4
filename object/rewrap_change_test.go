package object

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
)

// between lets something happen after the first n requests of one kind that a Rewrap makes.
type between struct {
	op    string
	n     int64
	armed atomic.Bool
	seen  atomic.Int64
	do    func()
}

func (b *between) onRequest(a Attempt) {
	if a.Op == b.op && b.armed.Load() && b.seen.Add(1) <= b.n {
		b.do()
	}
}

// TestRewrapMeanwhile checks that what another host writes while an object is rewrapped is not lost, wherever it comes between,
// and is rewrapped too unless it goes on.
func TestRewrapMeanwhile(t *testing.T) {
	old, fresh := masterRSA(t, 0), masterRSA(t, 1)
	small, large := random(1000), random(2<<20+1)
	for _, tt := range []struct {
		name string
		text []byte
		op   string // of Rewrap, after which it happens
		n    int64
		do   func(*testing.T, *Bucket)
		want RewrapReport
		left []byte // nil: nothing
	}{
		{"new content", small, "GetObject", 1, func(t *testing.T, b *Bucket) { put(t, b, request(t, "f", []byte("new"))) }, RewrapReport{Rewrapped: 1}, []byte("new")},
		{"new content all the time", small, "GetObject", 99, func(t *testing.T, b *Bucket) { put(t, b, request(t, "f", []byte("new"))) }, RewrapReport{Changed: 1}, []byte("new")},
		{"same bytes, new attributes", small, "GetObject", 1, func(t *testing.T, b *Bucket) { retag(t, b) }, RewrapReport{Rewrapped: 1}, small},
		{"deleted", small, "GetObject", 1, func(t *testing.T, b *Bucket) { remove(t, b) }, RewrapReport{Gone: 1}, nil},
		{"deleted before", small, "HeadObject", 1, func(t *testing.T, b *Bucket) { remove(t, b) }, RewrapReport{Gone: 1}, nil},
		{"new content while parts go up", large, "UploadPart", 1, func(t *testing.T, b *Bucket) { put(t, b, request(t, "f", []byte("new"))) }, RewrapReport{Rewrapped: 1}, []byte("new")},
		{"new attributes while parts go up", large, "UploadPart", 1, func(t *testing.T, b *Bucket) { retag(t, b) }, RewrapReport{Rewrapped: 1}, large},
		{"attributes change all the time", large, "UploadPart", 99, func(t *testing.T, b *Bucket) { retag(t, b) }, RewrapReport{Changed: 1}, large},
		{"deleted while parts go up", large, "UploadPart", 1, func(t *testing.T, b *Bucket) { remove(t, b) }, RewrapReport{Gone: 1}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := emulated(t, emulator.Options{})
			o := Options{Connection: connection(s), Keyring: keys.NewKeyring(old)}
			other := opened(t, o)
			put(t, other, request(t, "f", tt.text))
			addSlot(t, other, fresh)
			h := &between{op: tt.op, n: tt.n, do: func() { tt.do(t, other) }}
			o.Connection.OnRequest = h.onRequest
			o.Keyring = keys.NewKeyring(fresh, old)
			b := opened(t, o)
			h.armed.Store(true)
			rep := rewrap(t, b, RewrapOptions{Workers: 1})
			if rep.Rewrapped != tt.want.Rewrapped || rep.Changed != tt.want.Changed || rep.Gone != tt.want.Gone || rep.Failed != 0 || rep.Refused != 0 {
				t.Errorf("report %+v, want %+v", rep, tt.want)
			}
			if tt.left == nil {
				if _, err := other.Head(t.Context(), "f"); !isNotFound(err) {
					t.Errorf("a deleted object is back: %v", err)
				}
				return
			}
			reader := other
			if rep.Rewrapped > 0 {
				o.Keyring, o.Connection.OnRequest = keys.NewKeyring(fresh), nil
				reader = opened(t, o)
			}
			wantText(t, reader, "f", string(tt.left))
			if want := head(t, other, "f").Attr; head(t, reader, "f").Attr.Mode != want.Mode || want.Mode != lastMode(tt.left, tt.text) {
				t.Errorf("mode %o", want.Mode)
			}
			if err := reader.ListUploads(t.Context(), time.Now().Add(time.Hour), func(u []Upload) error {
				t.Errorf("uploads are left: %v", u)
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
}

// retag changes the attributes of f, remove removes it.
func retag(t *testing.T, b *Bucket) {
	t.Helper()
	change := TagRequest{Key: "f", Attr: Attr{Mode: ModeRegular | 0o4555, UID: 42}, Generation: head(t, b, "f").Generation, Upload: NewID()}
	if err := b.SetAttr(t.Context(), change); err != nil {
		t.Error(err)
	}
}

func remove(t *testing.T, b *Bucket) {
	t.Helper()
	if err := b.Delete(t.Context(), "f"); err != nil {
		t.Error(err)
	}
}

// lastMode is that of request where the content is new, else that of retag.
func lastMode(left, first []byte) uint32 {
	if bytes.Equal(left, first) {
		return ModeRegular | 0o4555
	}
	return ModeRegular | 0o640
}

// TestRewrapFaults checks that lost answers, broken transfers and failing requests neither lose nor alter an object, and that the run
// comes to its end.
func TestRewrapFaults(t *testing.T) {
	old, fresh := masterRSA(t, 0), masterRSA(t, 1)
	for _, fault := range []emulator.Fault{
		{Operation: "PutObject", LoseResponse: true, Count: 3},
		{Operation: "PutObject", Status: 500, Code: "InternalError", Count: 3},
		{Operation: "PutObject", ResetAfterBytes: 100, Count: 3},
		{Operation: "GetObject", ResetAfterBytes: 500, Count: 3},
		{Operation: "GetObject", CorruptBody: true, Count: 1},
		{Operation: "HeadObject", Status: 503, Code: "ServiceUnavailable", Count: 3},
		{Operation: "InitiateMultipartUpload", LoseResponse: true, Count: 2},
		{Operation: "UploadPart", LoseResponse: true, Count: 3},
		{Operation: "UploadPart", ResetAfterBytes: 300_000, Count: 3},
		{Operation: "CompleteMultipartUpload", LoseResponse: true, Count: 2},
		{Operation: "CompleteMultipartUpload", Status: 500, Code: "InternalError", Count: 2},
		{Operation: "GetObjectTagging", Status: 500, Code: "InternalError", Count: 2},
		{Operation: "ListObjectsV2", LoseResponse: true, Count: 1},
	} {
		t.Run(fmt.Sprintf("%s/%+v", fault.Operation, fault), func(t *testing.T) {
			s := emulated(t, emulator.Options{})
			o := Options{Connection: connection(s), Prefix: "p", Keyring: keys.NewKeyring(old)}
			o.Connection.Retries = 2
			b := opened(t, o)
			z := newZoo(t, s, b, sdkCrypto(t, s, old))
			b = rotated(t, o, fresh, old)
			s.AddFault(fault)
			rep := rewrap(t, b, RewrapOptions{})
			s.ClearFaults()
			if int(rep.Rewrapped) != len(z.text) || !rep.Complete() || rep.Refused != 0 {
				t.Errorf("report %+v, want %d objects", rep, len(z.text))
			}
			o.Keyring = keys.NewKeyring(fresh)
			z.check(t, opened(t, o))
		})
	}
}

// TestRewrapResumes ends a run after every so many requests, until one comes to its end: each goes on behind the checkpoint of
// the one before.
func TestRewrapResumes(t *testing.T) {
	s := emulated(t, emulator.Options{})
	old, fresh := masterRSA(t, 0), masterRSA(t, 1)
	o := Options{Connection: connection(s), Prefix: "p", Keyring: keys.NewKeyring(old)}
	b := opened(t, o)
	z := newZoo(t, s, b, sdkCrypto(t, s, old))
	rotated(t, o, fresh, old)
	o.Keyring = keys.NewKeyring(fresh, old)
	after, runs, rewrapped := "", 0, int64(0)
	for end := false; !end; runs++ {
		var left atomic.Int64
		ctx, cancel := context.WithCancel(t.Context())
		o.Connection.OnRequest = func(Attempt) {
			if left.Add(-1) == 0 {
				cancel()
			}
		}
		b := opened(t, o)
		left.Store(int64(17 + runs))
		rep, err := b.Rewrap(ctx, RewrapOptions{After: after, Workers: 2, Rate: 100 << 20, Checkpoint: func(key string) error {
			if key <= after {
				t.Errorf("checkpoint %q after %q", key, after)
			}
			after = key
			return nil
		}})
		cancel()
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		end = err == nil
		rewrapped += rep.Rewrapped
		o.Connection.OnRequest = nil
		z.check(t, opened(t, o))
		if runs > 100 {
			t.Fatal("it does not come to an end")
		}
	}
	if runs < 3 {
		t.Errorf("only %d runs", runs)
	}
	o.Keyring = keys.NewKeyring(fresh)
	only := opened(t, o)
	z.check(t, only)
	if rep := rewrap(t, only, RewrapOptions{}); rep.Rewrapped != 0 || int(rep.Done) != len(z.text) {
		t.Errorf("something was left out: %+v", rep)
	}
	failed := errors.New("disk full")
	o.Keyring = keys.NewKeyring(fresh)
	if _, err := opened(t, o).Rewrap(t.Context(), RewrapOptions{Checkpoint: func(string) error { return failed }}); !errors.Is(err, failed) {
		t.Errorf("a checkpoint that cannot be kept: got %v", err)
	}
	t.Logf("%d runs, %d objects rewrapped", runs, rewrapped)
}

// TestRewrapHeldBack checks that the checkpoint does not pass an object that another run has to do.
func TestRewrapHeldBack(t *testing.T) {
	s := emulated(t, emulator.Options{})
	old, fresh := masterRSA(t, 0), masterRSA(t, 1)
	o := Options{Connection: connection(s), Keyring: keys.NewKeyring(old)}
	b := opened(t, o)
	for _, key := range []string{"a", "b", "c", "d"} {
		put(t, b, request(t, key, []byte(key)))
	}
	b = rotated(t, o, fresh, old)
	s.AddFault(emulator.Fault{Operation: "PutObject", Key: "c", Status: 403, Code: "AccessDenied"})
	after := ""
	rep := rewrap(t, b, RewrapOptions{Checkpoint: func(key string) error { after = key; return nil }})
	if after != "b" || rep.Failed != 1 || rep.Rewrapped != 3 || rep.Complete() || len(rep.Problems) != 1 || rep.Problems[0].Key != "c" {
		t.Errorf("checkpoint %q, report %+v", after, rep)
	}
	s.ClearFaults()
	if rep := rewrap(t, b, RewrapOptions{After: after}); rep.Rewrapped != 1 || rep.Done != 1 || !rep.Complete() {
		t.Errorf("second run: %+v", rep)
	}
	// When everything fails, the run ends.
	s.AddFault(emulator.Fault{Operation: "PutObject", Status: 403, Code: "AccessDenied"})
	for n := range 2 * rewrapFailures {
		s.ClearFaults()
		put(t, b, request(t, fmt.Sprintf("e%02d", n), nil))
	}
	third, err := keys.GenerateRSA(2048, nil)
	if err != nil {
		t.Fatal(err)
	}
	b = rotated(t, o, third, fresh, old)
	s.AddFault(emulator.Fault{Operation: "PutObject", Status: 403, Code: "AccessDenied"})
	if rep, err := b.Rewrap(t.Context(), RewrapOptions{}); err == nil || rep.Failed < rewrapFailures || rep.Failed > rewrapFailures+rewrapWorkers {
		t.Errorf("got %v, report %+v", err, rep)
	}
}
