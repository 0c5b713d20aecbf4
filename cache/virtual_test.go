package cache_test

import (
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// TestVirtualAttributes: what is known of an object can be read, and nothing else can be done with it.
func TestVirtualAttributes(t *testing.T) {
	j := newJudge()
	o := trusting
	o.Bucket = j.over
	env := testenv.New(t, o)
	c, ctx := env.Cache, t.Context()
	get := func(path, name string) string {
		t.Helper()
		st, err := walk(ctx, c, path)
		if err != nil {
			t.Fatal(err)
		}
		value, err := c.GetXattr(ctx, st.Ino, "user.ossencfs."+name)
		if err != nil && !errors.Is(err, cache.ErrNoAttr) {
			t.Errorf("%s of %s: %v", name, path, err)
		}
		return string(value)
	}
	check := func(path string, want map[string]string) {
		t.Helper()
		for name, value := range want {
			if got := get(path, name); got != value {
				t.Errorf("%s of %s: got %q, want %q", name, path, got, value)
			}
		}
	}
	writeFile(t, env, "ours", "text")
	put(t, env, "refused", "text")
	j.say(j.refused, "refused", object.ErrUnauthentic)
	put(t, env, "sealed", "text")
	j.say(j.refused, "sealed", object.ErrWriteOnly)
	put(t, env, "dir/", "")
	put(t, env, "implied/x", "text")
	if err := env.Server.WriteObject(testenv.Bucket, "plain", http.Header{}, []byte("text")); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "all files", func() bool { return len(names(t, c, "")) == 6 })
	info, err := env.Store.Head(ctx, "ours")
	if err != nil {
		t.Fatal(err)
	}
	check("ours", map[string]string{"state": "authentic", "etag": info.ETag, "generation": info.Generation.String(), "dialect": info.Dialect,
		"key": info.KeyID, "verified": "yes", "dirty": "no", "unknown": ""})
	if info.Dialect == "" || info.KeyID == "" {
		t.Errorf("dialect %q and key %q are not told", info.Dialect, info.KeyID)
	}
	check("plain", map[string]string{"state": "plain", "verified": "no", "dirty": "no", "generation": "", "dialect": "", "key": ""})
	check("refused", map[string]string{"state": "refused: " + object.ErrUnauthentic.Error(), "verified": "no", "dirty": "no"})
	check("sealed", map[string]string{"state": "sealed", "verified": "no"})
	check("dir", map[string]string{"state": "authentic", "dirty": "no"})
	check("implied", map[string]string{"state": "", "etag": "", "dirty": "no"})
	link, err := c.Symlink(ctx, cache.Root, "link", "ours", cache.New{})
	if err != nil {
		t.Fatal(err)
	}
	check("link", map[string]string{"state": "local", "etag": "", "key": "", "verified": "no", "dirty": "yes"})
	env.Sync()
	check("link", map[string]string{"state": "authentic", "verified": "yes", "dirty": "no"})
	for what, err := range map[string]error{
		"set":    c.SetXattr(ctx, link.Ino, "user.ossencfs.state", []byte("x"), cache.XattrAny),
		"remove": c.RemoveXattr(ctx, link.Ino, "user.ossencfs.state"),
	} {
		if !errors.Is(err, cache.ErrNotPermitted) {
			t.Errorf("%s: got %v, want ErrNotPermitted", what, err)
		}
	}
	if err := c.SetXattr(ctx, link.Ino, "user.real", nil, cache.XattrAny); err != nil {
		t.Fatal(err)
	}
	if list, err := c.ListXattr(ctx, link.Ino); err != nil || !slices.Equal(list, []string{"user.real"}) {
		t.Errorf("got the list %q, %v, want only the real one", list, err)
	}
}
