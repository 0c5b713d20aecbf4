package verify

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/ossencfs/ossencfs/object"
)

// TestRepairRemovesLitter: what is no content and belongs to nothing is removed, and nothing else.
func TestRepairRemovesLitter(t *testing.T) {
	w := newWorld(t)
	w.fill(t)
	stray, parked := ".ossencfs/leaf/00112233445566778899aabbccddeeff", ".ossencfs/park/7"
	w.write(t, stray, stored{http.Header{}, pattern(16*129, 1)})
	w.write(t, parked, w.stored["f"])
	w.write(t, "plain", stored{http.Header{}, []byte("of others")})
	_, err := w.plainClient(t).InitiateMultipartUpload("half")
	must(t, err)
	all := []string{"stray-leaf " + stray, "orphan " + parked, "moved " + parked, "unauthentic plain", "stale-upload half"}
	young, err := w.store.Verify(context.Background(), object.VerifyOptions{Repair: true})
	must(t, err)
	wantFindings(t, young, "moved "+parked, "unauthentic plain") // a day old is nothing yet
	wantFindings(t, verify(t, w.store, object.VerifyOptions{Repair: true}), all...)
	r := verify(t, w.store, object.VerifyOptions{})
	wantFindings(t, r, "orphan "+parked, "moved "+parked, "unauthentic plain")
	if r.Damaged() != 1 {
		t.Errorf("%d damaged, want 1", r.Damaged())
	}
	reader := w.open(t, object.Options{ReadOnly: true})
	if _, err := reader.Verify(context.Background(), object.VerifyOptions{Repair: true}); !errors.Is(err, object.ErrReadOnly) {
		t.Errorf("repair of a read-only bucket: %v", err)
	}
}

// TestRepairKeepsWhatIsStoredAhead: the begin of a file that is larger than the cache of its writer is nowhere else, however long the file is being written.
func TestRepairKeepsWhatIsStoredAhead(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	const part = 1 << 20
	sealing, err := object.NewSealing()
	must(t, err)
	text := pattern(2*part, 3)
	must(t, sealing.Seal(text, text))
	stage, err := w.store.BeginStage(ctx, part)
	must(t, err)
	_, err = w.store.StagePart(ctx, stage, 1, bytes.NewReader(text))
	must(t, err)
	stage.Stored = part
	r := verify(t, w.store, object.VerifyOptions{Repair: true})
	wantFindings(t, r, "stale-upload .ossencfs/up/"+stage.ID.String())
	_, err = w.store.Put(ctx, object.PutRequest{Key: "large", Body: bytes.NewReader(text), Stage: stage, Sealed: sealing.Finish(), Upload: object.NewID(),
		Attr: object.Attr{Mode: object.ModeRegular | 0o600}})
	must(t, err)
}

// TestTrustOptions: what is accepted is information, and what --strict asks for is damage.
func TestTrustOptions(t *testing.T) {
	w := newWorld(t)
	w.fill(t)
	w.write(t, "plain", stored{http.Header{}, []byte("of others")})
	w.sdkObject(t, "foreign", []byte("of the SDK"))
	w.write(t, "copied", w.stored["f"])
	w.sdkObject(t, "broken", []byte("of the SDK"))
	w.header(t, "broken", "X-Oss-Meta-Client-Side-Encryption-Start") // a wrong key alone shows in no byte
	r := verify(t, w.open(t, object.Options{Trust: object.Trust{AcceptForeign: []string{""}}}), object.VerifyOptions{Deep: true})
	wantFindings(t, r, "plain plain", "foreign foreign", "moved copied", "undecryptable broken", "foreign broken")
	r = verify(t, w.open(t, object.Options{Trust: object.Trust{Strict: true}}), object.VerifyOptions{Deep: true})
	wantFindings(t, r, "unauthentic plain", "unauthentic foreign", "unauthentic broken", "misplaced copied")
}

// TestPartOfABucket: a path is verified and nothing beside it.
func TestPartOfABucket(t *testing.T) {
	w := newWorld(t)
	w.fill(t)
	w.write(t, "d-", stored{http.Header{}, nil})
	w.write(t, "d/plain", stored{http.Header{}, nil})
	w.write(t, "e", stored{http.Header{}, nil})
	for path, want := range map[string][]string{
		"": {"unauthentic d-", "unauthentic d/plain", "unauthentic e"}, "d": {"unauthentic d/plain"}, "d/": {"unauthentic d/plain"},
		"d/plain": {"unauthentic d/plain"}, "e": {"unauthentic e"}, "f": nil,
	} {
		wantFindings(t, verify(t, w.store, object.VerifyOptions{Path: path}), want...)
	}
}
