package trust

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// TestFormerHoldersDirectoryCloses: a directory that a former holder opened to everybody, on a mount that lets others in, is not open any more once his key is
// retired, though he took its marker away before anybody looked at it again; and nothing that a program does there opens it for new machines.
func TestFormerHoldersDirectoryCloses(t *testing.T) {
	o := shared
	o.Cache = cache.Options{MetaTTL: 10 * time.Millisecond, UID: 7, GID: 7}
	env := testenv.New(t, o)
	ctx := t.Context()
	must(t, os.WriteFile(env.Path("own"), []byte("own"), 0o600))
	env.Sync()
	client := func() *object.Bucket {
		b := got[*object.Bucket](t)(object.Open(ctx, env.ObjectOptions()))
		t.Cleanup(func() { must(t, b.Close()) })
		must(t, b.VerifyKey(ctx))
		return b
	}
	put := func(b *object.Bucket, key string, mode uint32, text string) {
		must(t, v2(b.PutFile(ctx, object.FileRequest{Key: key, Source: strings.NewReader(text), Size: int64(len(text)), Attr: object.Attr{Mode: mode, UID: 4321, GID: 4321}})))
	}
	former := client()
	put(former, "gift/", object.ModeDir|0o777, "")
	put(former, "gift/inside", object.ModeRegular|0o600, "x")
	testenv.Eventually(t, "the directory to show", func() bool { _, err := os.Lstat(env.Path("gift")); return err == nil })
	if now := rights(t, env.Path("gift")); now != "0777 4321:4321" {
		t.Fatalf("it shows %s before", now)
	}
	v := got[*object.Volumes](t)(object.OpenVolumes(ctx, env.ObjectOptions(), ""))
	t.Cleanup(func() { must(t, v.Close()) })
	must(t, v2(v.NewEpoch(ctx, object.EpochRequest{Force: true})))
	must(t, v.Retire(ctx, got[[]keys.VolumeID](t)(v.Retiring(1, false))))
	must(t, env.Server.RemoveObject(testenv.Bucket, "gift/"))
	put(client(), "news", object.ModeRegular|0o600, "news")
	testenv.Eventually(t, "the mount to learn of the retirement", func() bool {
		_, err := os.ReadFile(env.Path("news"))
		return err == nil && len(env.Store.RetiredVolumes()) == 1
	})
	testenv.Eventually(t, "the directory to close", func() bool { return rights(t, env.Path("gift")) == "0700 7:7" })
	must(t, os.Chtimes(env.Path("gift"), time.Unix(1, 0), time.Unix(1, 0)))
	env.Sync()
	if info, err := client().Head(ctx, "gift/"); err != nil || info.Attr.Mode != object.ModeDir|0o700 || info.Attr.UID != 7 {
		t.Errorf("its new marker says %o, %d: %v", info.Attr.Mode, info.Attr.UID, err)
	}
}
