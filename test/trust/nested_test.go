package trust

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/ossencfs/ossencfs/object"
)

// TestNestedVolume: a directory that was mounted by itself before the bucket was has a volume of its own. The mount of the whole bucket does
// not mix the two; a mount below a volume's root is of that volume.
func TestNestedVolume(t *testing.T) {
	w := newWorld(t, object.Options{Prefix: "inner/"})
	must(t, w.env.Server.WriteObject("testenv", "plain", nil, []byte("words")))
	e, _ := w.mount(t, object.Options{NewVolume: true})
	if _, err := os.ReadDir(e.Path("inner")); !errors.Is(err, syscall.EIO) {
		t.Errorf("a directory of another volume: got %v, want EIO", err)
	}
	if err := os.WriteFile(e.Path("inner", "new"), nil, 0o600); !errors.Is(err, syscall.EIO) {
		t.Errorf("a file in a directory of another volume: got %v, want EIO", err)
	}
	if !strings.Contains(e.Log(), object.ErrNestedVolume.Error()) {
		t.Errorf("the log does not say it:\n%s", e.Log())
	}
	if got := string(read(t, e.Path("plain"))); got != "words" {
		t.Errorf("a file beside it is %q", got)
	}
	outer := e.Store.Volume()
	below := w.bucket(t, object.Options{Prefix: "other/deep"})
	must(t, below.VerifyKey(context.Background()))
	if got := below.Volume(); got.Root != "" || got.Writer != outer.Writer {
		t.Errorf("below the root of %+v: volume %+v", outer, got)
	}
	inner := w.bucket(t, object.Options{Prefix: "inner/d"})
	must(t, inner.VerifyKey(context.Background()))
	if got := inner.Volume(); got.Root != "inner/" || got.Writer == outer.Writer {
		t.Errorf("below the root of the inner volume: %+v", got)
	}
}
