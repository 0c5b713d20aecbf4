package oss

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/test/membound"
)

// listing builds a page as OSS does.
func listing(keys []string, prefixes []string, token string) string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><EncodingType>url</EncodingType>`)
	if token != "" {
		fmt.Fprintf(&b, "<IsTruncated>true</IsTruncated><NextContinuationToken>%s</NextContinuationToken>", token)
	}
	for _, k := range keys {
		fmt.Fprintf(&b, `<Contents><Key>%s</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>"E"</ETag><Type>Normal</Type><Size>5</Size></Contents>`, k)
	}
	for _, p := range prefixes {
		fmt.Fprintf(&b, "<CommonPrefixes><Prefix>%s</Prefix></CommonPrefixes>", p)
	}
	return b.String() + "</ListBucketResult>"
}

func TestParseList(t *testing.T) {
	p, err := parseList([]byte(listing([]string{"a%2Fb%20%2B%01", "a%2Fc"}, []string{"a%2Fd%2F"}, "CgA%3D")), ListOptions{Prefix: "a/", Delimiter: "/"})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%q %q %q %d %s", p.Objects[0].Key, p.Prefixes, p.NextToken, p.Objects[0].Size, p.Objects[0].ETag); got != `"a/b +\x01" ["a/d/"] "CgA=" 5 E` {
		t.Errorf("got %s", got)
	}
}

func TestParseListRefuses(t *testing.T) {
	good := listing([]string{"a"}, nil, "")
	for name, tt := range map[string]struct {
		doc string
		o   ListOptions
	}{
		"no xml":            {"hello", ListOptions{}},
		"other document":    {"<html></html>", ListOptions{}},
		"cut":               {good[:len(good)/2], ListOptions{}},
		"not encoded":       {strings.Replace(good, "url", "", 1), ListOptions{}},
		"outside of prefix": {listing([]string{"b"}, nil, ""), ListOptions{Prefix: "a/"}},
		"prefix outside":    {listing(nil, []string{"b%2F"}, ""), ListOptions{Prefix: "a/"}},
		"before start":      {listing([]string{"a"}, nil, ""), ListOptions{StartAfter: "b"}},
		"same token":        {listing([]string{"a"}, nil, "T"), ListOptions{Token: "T"}},
		"no token":          {strings.Replace(listing([]string{"a"}, nil, "T"), ">T<", "><", 1), ListOptions{}},
		"bad encoding":      {listing([]string{"%zz"}, nil, ""), ListOptions{}},
		"negative size":     {strings.Replace(good, ">5<", ">-5<", 1), ListOptions{}},
		"size is no number": {strings.Replace(good, ">5<", ">x<", 1), ListOptions{}},
		"time is no time":   {strings.Replace(good, "2026-01", "soon", 1), ListOptions{}},
		"empty key":         {listing([]string{""}, nil, ""), ListOptions{}},
		"error with 200":    {errorXML("InternalError", ""), ListOptions{}},
	} {
		t.Run(name, func(t *testing.T) {
			if p, err := parseList([]byte(tt.doc), tt.o); err == nil {
				t.Errorf("accepted as %+v", p)
			}
		})
	}
}

func TestListAllCatchesACircle(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request, n int64) {
		_, _ = io.WriteString(w, listing([]string{"a"}, nil, fmt.Sprint("token", n)))
	})
	err := f.client(t, nil).ListAll(t.Context(), ListOptions{}, func(Page) error { return nil })
	if !errors.Is(err, ErrUnavailable) || f.requests.Load() != 2 {
		t.Errorf("got %v after %d requests, want ErrUnavailable after 2", err, f.requests.Load())
	}
}

func TestListCutShortIsRetried(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request, n int64) {
		doc := listing([]string{"a"}, nil, "")
		if n == 1 {
			rawAnswer(w, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(doc), doc[:20]))
			return
		}
		_, _ = io.WriteString(w, doc)
	})
	p, err := f.client(t, nil).List(t.Context(), ListOptions{})
	if err != nil || len(p.Objects) != 1 {
		t.Errorf("got %+v, %v", p, err)
	}
}

func TestDeleteBatchReportsWhatIsLeft(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request, n int64) {
		_, _ = io.WriteString(w, "<DeleteResult><EncodingType>url</EncodingType><Deleted><Key>a%20b</Key></Deleted></DeleteResult>")
	})
	left, err := f.client(t, nil).DeleteBatch(t.Context(), []string{"a b", "c"})
	if err != nil || fmt.Sprint(left) != "[c]" {
		t.Errorf("got %q, %v, want c", left, err)
	}
}

func FuzzParseList(f *testing.F) {
	f.Add([]byte(listing([]string{"a%2Fb", "c"}, []string{"d%2F"}, "T")), "a", "", "/")
	f.Add([]byte("<ListBucketResult><EncodingType>url</EncodingType>"), "", "T", "")
	f.Fuzz(func(t *testing.T, doc []byte, prefix, token, start string) {
		for _, o := range []ListOptions{{Prefix: prefix, Token: token, StartAfter: start}, {Prefix: prefix, Token: token, Behind: start, Delimiter: "/"}} {
			checkPage(t, doc, o)
		}
	})
}

// checkPage reads a page and tests what callers rely on.
func checkPage(t *testing.T, doc []byte, o ListOptions) {
	t.Helper()
	var p Page
	var err error
	membound.Check(t, len(doc), 200, func() { p, err = parseList(doc, o) })
	if err != nil {
		return
	}
	last := o.Behind
	for _, e := range p.Objects {
		if !strings.HasPrefix(e.Key, o.Prefix) || e.Key <= last || e.Size < 0 || e.Size > MaxObjectSize || e.ETag == "" || e.LastModified.UnixNano() < 0 {
			t.Fatalf("accepted %+v behind %q", e, last)
		}
		if o.Delimiter != "" && strings.Contains(e.Key[len(o.Prefix):], o.Delimiter) {
			t.Fatalf("accepted %q below %q", e.Key, o.Prefix)
		}
		last = e.Key
	}
	last = o.Behind
	for _, key := range p.Prefixes {
		if rest, ok := strings.CutPrefix(key, o.Prefix); !ok || key <= last || strings.Index(rest, "/") != len(rest)-1 {
			t.Fatalf("accepted the prefix %q behind %q", key, last)
		}
		last = key
	}
	if len(p.Objects)+len(p.Prefixes) > o.max() || o.Token != "" && p.NextToken == o.Token {
		t.Fatalf("accepted %d entries, token %q", len(p.Objects)+len(p.Prefixes), p.NextToken)
	}
}

func FuzzMultipartDocuments(f *testing.F) {
	f.Add([]byte("<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>1</NextPartNumberMarker><Part><PartNumber>1</PartNumber><Size>2</Size></Part></ListPartsResult>"), 0)
	f.Add([]byte("<ListMultipartUploadsResult><Upload><Key>a</Key><UploadId>U</UploadId></Upload></ListMultipartUploadsResult>"), 3)
	f.Add([]byte("<DeleteResult><Deleted><Key>a</Key></Deleted></DeleteResult>"), 3)
	f.Fuzz(func(t *testing.T, doc []byte, marker int) {
		a := &answer{op: "Op", header: http.Header{}, status: 200}
		if parts, next, err := parseParts(a, doc, marker); err == nil {
			last := marker
			for _, p := range parts {
				if p.Number <= last {
					t.Fatalf("parts %v not behind %d", parts, marker)
				}
				last = p.Number
			}
			if next != 0 && next <= marker {
				t.Fatal("marker does not move")
			}
		}
		if list, key, _, err := parseUploads(a, doc, "a", ""); err == nil {
			for _, u := range list {
				if !strings.HasPrefix(u.Key, "a") || u.ID == "" {
					t.Fatalf("accepted %+v, next %q", u, key)
				}
			}
		}
		_, _ = parseDeleted(a, doc)
	})
}

func FuzzContentRange(f *testing.F) {
	f.Add("bytes 0-9/10")
	f.Add("bytes */10")
	f.Fuzz(func(t *testing.T, s string) {
		first, last, total, err := parseContentRange(s)
		if err == nil && (first < 0 || first > last || last >= total) {
			t.Fatalf("%q accepted as %d-%d/%d", s, first, last, total)
		}
	})
}
