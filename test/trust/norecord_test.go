package trust

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// TestWithoutItsRecord: a new machine hands nothing out of a bucket whose record was removed, as it writes nothing into it, unless its user
// says that objects of others are read; then only where he says so. An object with the box of a volume that is not known is never read
// without that, also beside objects of others that are.
func TestWithoutItsRecord(t *testing.T) {
	w := newWorld(t, object.Options{})
	ctx := context.Background()
	for key := range w.stored {
		if strings.HasPrefix(key, ".ossencfs/") {
			must(t, w.env.Server.RemoveObject(testenv.Bucket, key))
		}
	}
	w.flip(t, "f", 1000)
	must(t, w.env.Server.WriteObject(testenv.Bucket, "plain", nil, []byte("words")))
	for _, tt := range []struct {
		name   string
		o      object.Options
		opens  error
		reads  []string
		closed []string
	}{
		{"writing", object.Options{}, object.ErrNoRecord, nil, nil},
		{"reading", object.Options{ReadOnly: true}, object.ErrNoRecord, nil, nil},
		{"reading, below a folder", object.Options{ReadOnly: true, VolumeFrom: "d/"}, object.ErrNoRecord, nil, nil},
		{"a new volume", object.Options{ReadOnly: true, NewVolume: true}, object.ErrNoRecord, nil, nil},
		{"required to be authentic", object.Options{ReadOnly: true, Trust: object.Trust{RequireAuthentic: true}}, object.ErrNoRecord, nil, nil},
		{"accepted below a folder", object.Options{ReadOnly: true, Trust: object.Trust{AcceptForeign: []string{"d/"}}}, nil, []string{"d/inner"}, []string{"f", "plain"}},
		{"accepted", object.Options{ReadOnly: true, Trust: object.Trust{AcceptForeign: []string{""}}}, nil, []string{"f", "plain", "d/inner"}, nil},
	} {
		b := w.bucket(t, tt.o)
		if err := b.VerifyKey(ctx); !errors.Is(err, tt.opens) || tt.opens == nil && err != nil {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.opens)
		}
		if tt.opens != nil {
			continue
		}
		for _, key := range tt.reads {
			if err := readFile(b, key); err != nil {
				t.Errorf("%s: %s: %v", tt.name, key, err)
			}
		}
		for _, key := range tt.closed {
			if err := readFile(b, key); !errors.Is(err, object.ErrUnauthentic) {
				t.Errorf("%s: %s: got %v, want ErrUnauthentic", tt.name, key, err)
			}
		}
	}
	// The owner begins a new volume around what is there, as if it were of others. What has no box is; what has one lost its volume.
	b := w.bucket(t, object.Options{NewVolume: true})
	must(t, b.VerifyKey(ctx))
	must(t, readFile(b, "plain"))
	if err := readFile(b, "f"); !errors.Is(err, object.ErrUnauthentic) {
		t.Errorf("a flipped byte, in a new volume: got %v, want ErrUnauthentic", err)
	}
	info, err := b.Head(ctx, "f")
	if err != nil || info.State != object.StateRefused {
		t.Errorf("its state is %v, %v", info.State, err)
	}
}

// TestEmptyForReading: an empty bucket needs no record to be looked at, and what another machine puts there afterwards counts.
func TestEmptyForReading(t *testing.T) {
	w := newWorld(t, object.Options{})
	ctx := context.Background()
	for key := range w.stored {
		must(t, w.env.Server.RemoveObject(testenv.Bucket, key))
	}
	reader := w.bucket(t, object.Options{ReadOnly: true})
	must(t, reader.VerifyKey(ctx))
	writer := w.bucket(t, object.Options{Keyring: keys.NewKeyring(w.master)})
	must(t, writer.VerifyKey(ctx))
	putFile(t, writer, "later")
	must(t, w.env.Server.WriteObject(testenv.Bucket, "plain", nil, []byte("words")))
	wantFile(t, reader, "later", "the reader")
	if err := readFile(reader, "plain"); !errors.Is(err, object.ErrUnauthentic) {
		t.Errorf("an object of others: got %v, want ErrUnauthentic", err)
	}
}
