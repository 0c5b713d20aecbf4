package cache

import (
	"context"
	"testing"

	"github.com/ossencfs/ossencfs/object"
)

// copied is a bucket that tells what nobody has vouched for, and keeps the copy it is asked for.
type copied struct {
	Bucket
	info object.Info
	got  object.CopyRequest
}

func (c *copied) Head(context.Context, string) (object.Info, error) { return c.info, nil }

func (c *copied) Copy(_ context.Context, r object.CopyRequest) (object.Info, error) {
	c.got = r
	return object.Info{}, nil
}

// TestCopiesKeepDoubt: where attributes are taken from an object right before it is copied, what nobody has vouched for is not signed.
func TestCopiesKeepDoubt(t *testing.T) {
	work := new(workers)
	b := &copied{info: object.Info{Attr: object.Attr{Mode: 0o100777, UID: 9}, Unproven: object.AllFields}}
	tracked := &trackedBucket{Bucket: b, activity: newActivity(), gate: newGate(work), doubt: func(*object.Info) error { return nil }}
	if _, err := tracked.Copy(t.Context(), object.CopyRequest{Src: "a", Dst: "b"}); err != nil {
		t.Fatal(err)
	}
	if b.got.Attr.Mode != 0o100777 || b.got.Unproven != object.AllFields {
		t.Errorf("a file that was only listed: got %+v", b.got)
	}
	if got := copyOf("a", "v", "b", &b.info); got.Unproven != object.AllFields {
		t.Errorf("a version that is brought back: got %+v", got)
	}
	work.close()
}
