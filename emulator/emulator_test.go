package emulator

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
)

const testBucket = "test-bucket"

// start runs a server for one test.
func start(t *testing.T, o Options) *Server {
	t.Helper()
	if o.Buckets == nil {
		o.Buckets = []string{testBucket}
	}
	s, err := Start(o)
	if err != nil {
		t.Fatalf("start emulator: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close emulator: %v", err)
		}
	})
	return s
}

// sdkClient is the official Go SDK v1 on s.
func sdkClient(t *testing.T, s *Server, opts ...sdk.ClientOption) *sdk.Client {
	t.Helper()
	opts = append([]sdk.ClientOption{sdk.ForcePathStyle(true), sdk.Region(s.Region())}, opts...)
	c, err := sdk.New(s.Endpoint(), s.AccessKeyID(), s.AccessKeySecret(), opts...)
	if err != nil {
		t.Fatalf("make SDK client: %v", err)
	}
	return c
}

func sdkBucket(t *testing.T, s *Server, opts ...sdk.ClientOption) *sdk.Bucket {
	t.Helper()
	b, err := sdkClient(t, s, opts...).Bucket(testBucket)
	if err != nil {
		t.Fatalf("open bucket: %v", err)
	}
	return b
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

func getAll(t *testing.T, b *sdk.Bucket, key string, opts ...sdk.Option) []byte {
	t.Helper()
	r, err := b.GetObject(key, opts...)
	if err != nil {
		t.Fatalf("get %q: %v", key, err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("read %q: %v", key, err)
	}
	return data
}

// TestRoundTrip puts and gets with both signature versions and both stores.
func TestRoundTrip(t *testing.T) {
	for name, version := range map[string]sdk.AuthVersionType{"V1": sdk.AuthV1, "V4": sdk.AuthV4} {
		for store, dir := range map[string]string{"memory": "", "folder": t.TempDir()} {
			t.Run(name+" "+store, func(t *testing.T) {
				s := start(t, Options{Dir: dir})
				b := sdkBucket(t, s, sdk.AuthVersion(version))
				for key, size := range map[string]int{"empty": 0, "dir/a b+c%": 17, "名字/ü": 200 << 10, "large": 3<<20 + 5} {
					want := randomBytes(size)
					if err := b.PutObject(key, bytes.NewReader(want), sdk.Meta("some-name", "v1")); err != nil {
						t.Fatalf("put %q: %v", key, err)
					}
					if got := getAll(t, b, key); !bytes.Equal(got, want) {
						t.Errorf("get %q: %d bytes differ from the %d put", key, len(got), len(want))
					}
					h, err := b.GetObjectDetailedMeta(key)
					if err != nil {
						t.Fatalf("head %q: %v", key, err)
					}
					if h.Get("X-Oss-Meta-Some-Name") != "v1" {
						t.Errorf("head %q: metadata %v", key, h)
					}
				}
				list, err := b.ListObjectsV2(sdk.Delimiter("/"))
				if err != nil {
					t.Fatalf("list: %v", err)
				}
				if len(list.Objects) != 2 || len(list.CommonPrefixes) != 2 {
					t.Errorf("list: got %v and %v", list.Objects, list.CommonPrefixes)
				}
				if err := b.DeleteObject("empty"); err != nil {
					t.Fatalf("delete: %v", err)
				}
				if n := s.Requests()["PutObject"]; n != 4 {
					t.Errorf("counted %d PutObject, want 4", n)
				}
			})
		}
	}
}

// crcOf is the CRC-64 that OSS names.
func crcOf(data []byte) uint64 {
	w := &crcWriter{}
	_, _ = w.Write(data)
	return w.sum
}
