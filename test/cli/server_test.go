package cli

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/test/procenv"
)

// TestServersThatLackRequests: a server that does not have what a mount needs is noticed when the mount starts, which says what is missing; before, files were
// uploaded, and after a remount each lookup took until its deadline.
func TestServersThatLackRequests(t *testing.T) {
	for name, tt := range map[string]struct {
		lacks emulator.Lack
		says  string
	}{
		"tags":                      {emulator.LacksTagging, "object tags, which carry the attributes of files"},
		"tags, and nothing said":    {emulator.IgnoresTags, "object tags, which carry the attributes of files"},
		"listing":                   {emulator.LacksListV2, "the server does not know this request of OSS"},
		"listing, and nothing said": {emulator.IgnoresListV2, "the listing is that of ListObjects"},
	} {
		t.Run(name, func(t *testing.T) {
			w := procenv.NewOn(t, emulator.Options{Lacks: tt.lacks})
			for range 2 { // with and without a volume that is there already
				a := ask(t, w, nil, mountArgs(w)...)
				a.want(t, bucket, tt.says, "hint: the server speaks the protocol of OSS in part only")
				wantNothingLeft(t, w)
			}
		})
	}
}

// TestCanaryWithoutTags: somebody who takes the tags away from the object by which the mount finds out whether there are any stops nobody.
func TestCanaryWithoutTags(t *testing.T) {
	w := procenv.New(t)
	mount(t, w)
	must(t, os.WriteFile(filepath.Join(w.Dir, "f"), []byte("x"), 0o640))
	w.Run(t, "umount", w.Dir)
	must(t, w.Server.AlterObject(procenv.Bucket, ".ossencfs/canary", func(h http.Header, body []byte) []byte {
		h.Del("x-oss-tagging")
		return body
	}))
	mount(t, w)
	must(t, os.Chmod(filepath.Join(w.Dir, "f"), 0o600))
	w.Run(t, "umount", w.Dir)
	_, h, err := w.Server.ReadObject(procenv.Bucket, ".ossencfs/canary")
	if err != nil || h.Get("x-oss-tagging") == "" {
		t.Errorf("the canary has no tags: %v, %v", h, err)
	}
}
