package cache_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// TestLeafTagsOfLargeFile: they come with a file above 128 MiB, move with it, and go when it is replaced.
func TestLeafTagsOfLargeFile(t *testing.T) {
	env := testenv.New(t, testenv.Options{NoMount: true})
	c, ctx := env.Cache, t.Context()
	leaves := func() int {
		n := 0
		for _, o := range env.Server.Objects(testenv.Bucket) {
			if strings.HasPrefix(o.Key, ".ossencfs/leaf/") {
				n++
			}
		}
		return n
	}
	st, err := c.Create(ctx, cache.Root, "large", cache.New{Mode: 0o600}, cache.OpenMode{Write: true})
	piece := bytes.Repeat([]byte("x"), 1<<20)
	for n := int64(0); err == nil && n < 129; n++ {
		err = c.Write(ctx, st.Ino, n<<20, piece, nil)
	}
	if err = errors.Join(err, c.Release(ctx, st.Ino, true)); err != nil {
		t.Fatal(err)
	}
	env.Sync()
	if err := c.Rename(ctx, cache.Root, "large", cache.Root, "moved", cache.RenameReplace); err != nil {
		t.Fatal(err)
	}
	env.Sync()
	if got := leaves(); got != 1 {
		t.Fatalf("got %d leaf-tag objects for one large file", got)
	}
	id := env.Server.AddFault(emulator.Fault{Operation: "DeleteObject", Key: ".ossencfs/leaf/**", Code: "ServiceUnavailable"})
	writeFile(t, env, "moved", "small")
	env.Remount() // what is to be removed is remembered
	if got := leaves(); got != 1 {
		t.Errorf("got %d leaf-tag objects while none can be removed", got)
	}
	env.Server.RemoveFault(id)
	testenv.Eventually(t, "their end", func() bool { return leaves() == 0 })
}
