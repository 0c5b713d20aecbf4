package converge_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
)

const bucketName = "converge"

// onEmulator opens a cache, and with it a Converger, on a bucket of an emulator.
func onEmulator(t *testing.T, late time.Duration) (*emulator.Server, *object.Bucket, *cache.Cache) {
	t.Helper()
	server, err := emulator.Start(emulator.Options{Buckets: []string{bucketName}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeIt(t, server) })
	master, err := keys.GenerateRSA(2048, nil)
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := object.Open(t.Context(), object.Options{
		Connection: object.Connection{Endpoint: server.Endpoint(), Region: server.Region(), Bucket: bucketName,
			Credentials: object.StaticCredentials{ID: server.AccessKeyID(), Secret: server.AccessKeySecret()}},
		Keyring: keys.NewKeyring(master), PartSize: 1 << 20, MultipartThreshold: 1 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeIt(t, bucket) })
	if err := bucket.OpenVolume(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := cache.Open(t.Context(), cache.Options{Bucket: bucket, Dir: t.TempDir(), LateLimit: late, Settle: 20 * time.Millisecond,
		Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(context.Background(), cache.CloseNow); err != nil {
			t.Error(err)
		}
	})
	return server, bucket, c
}

func closeIt(t *testing.T, c io.Closer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// write makes a file in the root and closes it.
func write(t *testing.T, c *cache.Cache, name, text string) {
	t.Helper()
	ctx := t.Context()
	st, err := c.Create(ctx, cache.Root, name, cache.New{Mode: 0o640}, cache.OpenMode{Write: true})
	if err == nil {
		err = c.Write(ctx, st.Ino, 0, []byte(text), nil)
	}
	if err == nil {
		err = c.Release(ctx, st.Ino, true)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// sync waits until the bucket has everything.
func sync(t *testing.T, c *cache.Cache) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.Sync(ctx, "", nil); err != nil {
		t.Fatal(err)
	}
}

// TestFaultyBucket: two hundred files through a bucket where a fifth of the requests go wrong, each kind of failure among them. In
// the end the bucket has every file, right, and nothing else.
func TestFaultyBucket(t *testing.T) {
	const late = 400 * time.Millisecond
	server, bucket, c := onEmulator(t, late)
	for _, f := range []emulator.Fault{
		{Status: 500, Code: "InternalError"}, {Status: 503, Code: "ServiceUnavailable"}, {LoseResponse: true}, {ResetAfterBytes: 10}, {LateBy: late / 4},
	} {
		for _, operation := range []string{"PutObject", "CopyObject", "DeleteObject", "PutObjectTagging", "HeadObject"} {
			f.Operation, f.Probability = operation, 0.04
			if server.AddFault(f) == "" {
				t.Fatalf("fault %+v was refused", f)
			}
		}
	}
	const files = 200
	text := func(n int) string { return fmt.Sprintf("content of file %d", n) }
	for n := range files {
		write(t, c, fmt.Sprintf("f%03d", n), text(n))
	}
	sync(t, c)
	want := map[string]string{}
	for n := range files {
		old, name := fmt.Sprintf("f%03d", n), fmt.Sprintf("f%03d", n)
		switch n % 10 {
		case 0:
			name = "g" + name
			if err := c.Rename(t.Context(), cache.Root, old, cache.Root, name, cache.RenameReplace); err != nil {
				t.Fatal(err)
			}
		case 1:
			if err := c.Unlink(t.Context(), cache.Root, old); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want[name] = text(n)
	}
	sync(t, c)
	server.ClearFaults()
	page, err := bucket.List(t.Context(), object.ListRequest{Recursive: true})
	if err != nil || page.Next != "" {
		t.Fatalf("got next %q, %v", page.Next, err)
	}
	for _, e := range page.Objects {
		if _, ok := want[e.Key]; !ok {
			t.Errorf("%q should not be there", e.Key)
		}
	}
	for name, text := range want {
		var got strings.Builder
		if _, err := bucket.GetFile(t.Context(), name, &got, nil); err != nil || got.String() != text {
			t.Errorf("%s: got %q, %v, want %q", name, got.String(), err, text)
		}
	}
	for _, o := range server.Objects(bucketName) {
		if strings.Contains(o.Key, "/park/") {
			t.Errorf("%q is left", o.Key)
		}
	}
}

// TestRetryAfter: the server's word about the next try counts.
func TestRetryAfter(t *testing.T) {
	server, _, c := onEmulator(t, time.Minute)
	server.AddFault(emulator.Fault{Operation: "PutObject", Count: 1, Status: 503, Code: "DownloadTrafficRateLimitExceeded", QosDelayMs: 1500})
	begin := time.Now()
	write(t, c, "a", "text")
	sync(t, c)
	if took := time.Since(begin); took < 1500*time.Millisecond {
		t.Errorf("tried again within %v", took)
	}
}

// TestLostBeginning: an upload in parts whose id was lost on the way is aborted, and another one stores the file.
func TestLostBeginning(t *testing.T) {
	server, _, c := onEmulator(t, 200*time.Millisecond)
	server.AddFault(emulator.Fault{Operation: "InitiateMultipartUpload", Count: 2, LoseResponse: true})
	write(t, c, "f", strings.Repeat("x", 3<<20))
	sync(t, c)
	if left := server.Uploads(bucketName); len(left) > 0 {
		t.Errorf("uploads are left: %q", left)
	}
	if n := server.Requests()["InitiateMultipartUpload"]; n != 3 {
		t.Errorf("got %d beginnings, want 3", n)
	}
}
