package emulator

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// dialer sends every connection to the server, whatever host is asked for.
func dialer(s *Server) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, s.ln.Addr().String())
	}}}
}

func TestAddressing(t *testing.T) {
	s := start(t, Options{CNames: map[string]string{"files.example.com": testBucket}})
	for _, test := range []struct {
		name, endpoint string
		opts           []sdk.ClientOption
	}{
		{"virtual host", "http://oss-cn-hangzhou.aliyuncs.com", nil},
		{"virtual host internal", "http://oss-cn-hangzhou-internal.aliyuncs.com", nil},
		{"virtual host accelerate", "http://oss-accelerate.aliyuncs.com", nil},
		{"localhost", "http://localhost:1234", nil},
		{"path style by name", "http://oss-cn-hangzhou.aliyuncs.com", []sdk.ClientOption{sdk.ForcePathStyle(true)}},
		{"cname", "http://files.example.com", []sdk.ClientOption{sdk.UseCname(true)}},
	} {
		for _, version := range []sdk.AuthVersionType{sdk.AuthV1, sdk.AuthV4} {
			t.Run(test.name+" "+string(version), func(t *testing.T) {
				opts := append([]sdk.ClientOption{sdk.HTTPClient(dialer(s)), sdk.AuthVersion(version), sdk.Region(s.Region())}, test.opts...)
				c, err := sdk.New(test.endpoint, s.AccessKeyID(), s.AccessKeySecret(), opts...)
				if err != nil {
					t.Fatal(err)
				}
				b, err := c.Bucket(testBucket)
				if err != nil {
					t.Fatal(err)
				}
				if err := b.PutObject("a/b c", strings.NewReader("x"), sdk.ForbidOverWrite(false)); err != nil {
					t.Fatal(err)
				}
				if got := getAll(t, b, "a/b c"); string(got) != "x" {
					t.Errorf("got %q", got)
				}
				if _, err := b.ListObjectsV2(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestSignedURLs(t *testing.T) {
	s := start(t, Options{})
	for _, version := range []sdk.AuthVersionType{sdk.AuthV1, sdk.AuthV4} {
		t.Run(string(version), func(t *testing.T) {
			b := sdkBucket(t, s, sdk.AuthVersion(version))
			put, err := b.SignURL("u +ü", sdk.HTTPPut, 60, sdk.Meta("m", "1"), sdk.ContentType("text/x"))
			if err != nil {
				t.Fatal(err)
			}
			if err := b.PutObjectWithURL(put, strings.NewReader("by url"), sdk.Meta("m", "1"), sdk.ContentType("text/x")); err != nil {
				t.Fatal(err)
			}
			get, err := b.SignURL("u +ü", sdk.HTTPGet, 60)
			if err != nil {
				t.Fatal(err)
			}
			r, err := b.GetObjectWithURL(get)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if got, err := io.ReadAll(r); string(got) != "by url" || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
			_, err = b.GetObjectWithURL(strings.Replace(get, "u%20", "v%20", 1))
			refusedAs(t, err, ecSignature)
		})
	}
}
