package emulator

import (
	"bytes"
	"fmt"
	"testing"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// benchServer runs a server and a client for one benchmark.
func benchServer(b *testing.B, dir string) (*Server, *sdk.Bucket) {
	b.Helper()
	s, err := Start(Options{Dir: dir, Buckets: []string{testBucket}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	c, err := sdk.New(s.Endpoint(), s.AccessKeyID(), s.AccessKeySecret(), sdk.ForcePathStyle(true))
	if err != nil {
		b.Fatal(err)
	}
	bucket, err := c.Bucket(testBucket)
	if err != nil {
		b.Fatal(err)
	}
	return s, bucket
}

func BenchmarkPut(b *testing.B) {
	for _, size := range []int{1 << 10, 8 << 20} {
		for store, dir := range map[string]string{"memory": "", "folder": b.TempDir()} {
			b.Run(fmt.Sprint(store, "/", size), func(b *testing.B) {
				_, bucket := benchServer(b, dir)
				data := randomBytes(size)
				b.SetBytes(int64(size))
				for i := 0; b.Loop(); i++ {
					if err := bucket.PutObject(fmt.Sprint("k", i%1000), bytes.NewReader(data)); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkList lists pages of 1000 from the middle of 100,000 keys.
func BenchmarkList(b *testing.B) {
	s, bucket := benchServer(b, "")
	for i := range 100000 {
		if err := s.WriteObject(testBucket, fmt.Sprintf("dir%03d/file%06d", i/1000, i), nil, nil); err != nil {
			b.Fatal(err)
		}
	}
	for name, opts := range map[string][]sdk.Option{
		"page":        {sdk.MaxKeys(1000), sdk.StartAfter("dir050/")},
		"directories": {sdk.MaxKeys(1000), sdk.Delimiter("/")},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := bucket.ListObjectsV2(opts...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
