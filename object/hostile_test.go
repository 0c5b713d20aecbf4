package object

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/oss"
)

// listing serves pages of a listing, one after the other; names gives those of page n.
func listing(t *testing.T, names func(n int) []string) *Bucket {
	t.Helper()
	n := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var doc strings.Builder
		fmt.Fprintf(&doc, "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextContinuationToken>T%d</NextContinuationToken>", n%2)
		for _, name := range names(n) {
			fmt.Fprintf(&doc, `<Contents><Key>%s</Key><LastModified>2026-01-02T03:04:05Z</LastModified><ETag>"E"</ETag><Size>1</Size></Contents>`, name)
		}
		n++
		fmt.Fprint(w, doc.String()+"</ListBucketResult>")
	}))
	t.Cleanup(server.Close)
	key, err := keys.GenerateRSA(2048, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBucket(Options{Keyring: keys.NewKeyring(key), Connection: Connection{Bucket: "bucket", Endpoint: server.URL, Region: "cn-test",
		Credentials: oss.Static{ID: "i", Secret: "s"}, Retries: -1}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRecordsWithoutEnd: what a mount looks through before it begins has an end, whatever the server lists.
func TestRecordsWithoutEnd(t *testing.T) {
	looks := map[string]func(context.Context, *Bucket) error{
		"records": func(ctx context.Context, b *Bucket) error { _, err := b.listRecords(ctx, ""); return err },
		"empty":   func(ctx context.Context, b *Bucket) error { _, err := b.isEmpty(ctx); return err },
	}
	for name, look := range looks {
		circle := listing(t, func(int) []string { return nil })
		if err := look(t.Context(), circle); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s in a circle: got %v, want ErrUnavailable", name, err)
		}
		rising := listing(t, func(n int) []string {
			page := make([]string, 1000)
			for i := range page {
				page[i] = fmt.Sprintf("%s%09d", volumeDir, n*1000+i)
			}
			return page
		})
		if err := look(t.Context(), rising); !errors.Is(err, errManyRecords) {
			t.Errorf("%s without an end: got %v, want errManyRecords", name, err)
		}
	}
}
