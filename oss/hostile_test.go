package oss

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
)

// endless writes s again and again until nobody listens any more, or the test ends.
func endless(w http.ResponseWriter, s string) {
	block := strings.Repeat(s, 64<<10/len(s)+1)
	for {
		if _, err := io.WriteString(w, block); err != nil {
			return
		}
	}
}

// hostileCalls are calls that a hostile answer is tried on.
var hostileCalls = map[string]func(context.Context, *Client) error{
	"list": func(ctx context.Context, c *Client) error {
		return c.ListAll(ctx, ListOptions{Prefix: "d/", Delimiter: "/"}, func(Page) error { return nil })
	},
	"head": func(ctx context.Context, c *Client) error { _, err := c.Head(ctx, "k"); return err },
	"get": func(ctx context.Context, c *Client) error {
		body, _, err := c.Get(ctx, "k", GetOptions{IfMatch: "E"})
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, body)
		return errors.Join(err, body.Close())
	},
	"put": func(ctx context.Context, c *Client) error {
		_, err := c.Put(ctx, "k", strings.NewReader("abc"), 3, PutOptions{})
		return err
	},
	"copy": func(ctx context.Context, c *Client) error { _, err := c.Copy(ctx, "a", "b", CopyOptions{}); return err },
	"tags": func(ctx context.Context, c *Client) error { _, err := c.GetTagging(ctx, "k"); return err },
	"init": func(ctx context.Context, c *Client) error {
		_, err := c.InitiateMultipart(ctx, "k", InitOptions{})
		return err
	},
	"part": func(ctx context.Context, c *Client) error {
		_, err := c.UploadPart(ctx, "k", "u", 1, strings.NewReader("abc"), 3, PartOptions{})
		return err
	},
	"complete": func(ctx context.Context, c *Client) error {
		_, err := c.CompleteMultipart(ctx, "k", "u", []Part{{Number: 1, ETag: "E"}}, CompleteOptions{})
		return err
	},
	"parts": func(ctx context.Context, c *Client) error { _, err := c.ListParts(ctx, "k", "u"); return err },
	"uploads": func(ctx context.Context, c *Client) error {
		return c.ListUploads(ctx, "d/", func([]Upload) error { return nil })
	},
	"batch": func(ctx context.Context, c *Client) error { _, err := c.DeleteBatch(ctx, []string{"a"}); return err },
}

// hostile is an answer that no OSS gives.
type hostile struct {
	name   string
	calls  string // names of the calls, by spaces
	answer func(w http.ResponseWriter, n int64)
	want   error // kind of the error; nil: the call succeeds
}

// answerWith answers with a document.
func answerWith(doc string) func(http.ResponseWriter, int64) {
	return func(w http.ResponseWriter, _ int64) { _, _ = io.WriteString(w, doc) }
}

// headers answers with an object's headers, of which some are changed, and an empty body.
func headers(change ...string) func(http.ResponseWriter, int64) {
	return func(w http.ResponseWriter, _ int64) {
		w.Header().Set("ETag", `"E"`)
		w.Header().Set("Content-Length", "0")
		for i := 0; i < len(change); i += 2 {
			w.Header().Set(change[i], change[i+1])
		}
	}
}

// raw answers with header lines and a body as they are.
func raw(head, body string) func(http.ResponseWriter, int64) {
	return func(w http.ResponseWriter, _ int64) { rawAnswer(w, "HTTP/1.1 200 OK\r\n"+head+"\r\n"+body) }
}

const page = "<ListBucketResult><EncodingType>url</EncodingType>"

// goOn is a page with a token that differs each time, and the names given.
func goOn(names func(n int64) []string) func(http.ResponseWriter, int64) {
	return func(w http.ResponseWriter, n int64) {
		_, _ = io.WriteString(w, listing(names(n), nil, fmt.Sprint("token", n%2)))
	}
}

var hostileAnswers = []hostile{
	{"header of 10 MB", "head get list put init", func(w http.ResponseWriter, _ int64) {
		w.Header().Set("x-oss-meta-a", strings.Repeat("x", 10<<20))
	}, ErrUnavailable},
	{"100,000 headers", "head get list put init", func(w http.ResponseWriter, _ int64) {
		for n := range 100_000 {
			w.Header().Set("x-oss-meta-"+strconv.Itoa(n), "x")
		}
	}, ErrUnavailable},
	{"metadata twice in different case", "head get", raw("Content-Length: 0\r\nETag: \"E\"\r\nx-oss-meta-mode: 1\r\nX-OSS-Meta-Mode: 2\r\n", ""), ErrUnavailable},
	{"ETag twice", "head get put part", raw("Content-Length: 0\r\nETag: \"E\"\r\netag: \"F\"\r\n", ""), ErrUnavailable},
	{"two lengths", "head get", raw("Content-Length: 1\r\ncontent-length: 2\r\nETag: \"E\"\r\n", "ab"), ErrUnavailable},
	{"ETag with quotes inside", "head get put part", headers("ETag", `"a"b"`), ErrUnavailable},
	{"ETag of 100 KB", "head get put part", headers("ETag", strings.Repeat("e", 100_000)), ErrUnavailable},
	{"ETag without quotes", "head get put part", headers("ETag", "E"), nil},
	{"no ETag", "put part get", headers("ETag", ""), ErrUnavailable},
	{"ETag of another version", "get", headers("ETag", `"F"`), ErrUnavailable},
	{"length of 2^62", "head", raw("Content-Length: 4611686018427387904\r\nETag: \"E\"\r\n", ""), ErrUnavailable},
	{"length of 2^62", "get", raw("Content-Length: 4611686018427387904\r\nETag: \"E\"\r\n", ""), ErrTruncated},
	{"length of 2^63", "head get", raw("Content-Length: 9223372036854775808\r\nETag: \"E\"\r\n", ""), ErrUnavailable},
	{"negative length", "head get", raw("Content-Length: -1\r\nETag: \"E\"\r\n", ""), ErrUnavailable},
	{"body without a length or an end", "get", func(w http.ResponseWriter, _ int64) {
		w.Header().Set("ETag", `"E"`)
		endless(w, "x")
	}, ErrTruncated},
	{"body without an end behind the length", "get", func(w http.ResponseWriter, _ int64) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		block := []byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: \"E\"\r\n\r\nabc" + strings.Repeat("x", 64<<10))
		for err == nil {
			_, err = conn.Write(block)
		}
	}, nil},
	{"error document of 100 MB", "head get list put copy tags init part complete parts uploads batch", func(w http.ResponseWriter, _ int64) {
		w.WriteHeader(403)
		_, _ = io.WriteString(w, "<Error><Code>AccessDenied</Code><Message>")
		block := bytes.Repeat([]byte("x"), 64<<10)
		for range 100 << 20 / len(block) {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}, ErrDenied},
	{"error with status 200", "list copy tags init complete parts uploads batch put part", answerWith(errorXML("AccessDenied", "")), ErrUnavailable},
	{"document without an end", "list copy tags init complete parts uploads batch", func(w http.ResponseWriter, _ int64) {
		_, _ = io.WriteString(w, page)
		endless(w, "<Contents></Contents>")
	}, ErrUnavailable},
	{"text without an end", "list copy tags init complete parts uploads batch", func(w http.ResponseWriter, _ int64) { endless(w, " ") }, ErrUnavailable},
	{"a million prefixes", "list", answerWith(page + strings.Repeat("<CommonPrefixes><Prefix/></CommonPrefixes>", 1_000_000)), ErrUnavailable},
	{"many small tags", "list copy tags init complete parts uploads batch", answerWith(page + strings.Repeat("<a>", 2<<20)), ErrUnavailable},
	{"many attributes", "list copy tags init complete parts uploads batch", answerWith(page + "<a" + strings.Repeat(` b=">"`, 1<<20)), ErrUnavailable},
	{"more entries than asked for", "list", answerWith(listing(manyKeys(1001), nil, "")), ErrUnavailable},
	{"keys that go backwards", "list", answerWith(listing([]string{"d%2Fb", "d%2Fa"}, nil, "")), ErrUnavailable},
	{"a key twice", "list", answerWith(listing([]string{"d%2Fb", "d%2Fb"}, nil, "")), ErrUnavailable},
	{"a key outside of the prefix", "list", answerWith(listing([]string{"e"}, nil, "")), ErrUnavailable},
	{"a key below the directory", "list", answerWith(listing([]string{"d%2Fe%2Ff"}, nil, "")), ErrUnavailable},
	{"a prefix that is none", "list", answerWith(listing(nil, []string{"d%2Fe"}, "")), ErrUnavailable},
	{"a prefix too deep", "list", answerWith(listing(nil, []string{"d%2Fe%2Ff%2F"}, "")), ErrUnavailable},
	{"the directory as a prefix", "list", answerWith(listing(nil, []string{"d%2F"}, "")), ErrUnavailable},
	{"a key of 2,000 bytes", "list", answerWith(listing([]string{"d%2F" + strings.Repeat("k", 2000)}, nil, "")), ErrUnavailable},
	{"a token of 1 MB", "list", answerWith(listing([]string{"d%2Fa"}, nil, strings.Repeat("t", 1<<20))), ErrUnavailable},
	{"a size of 2^63", "list", answerWith(strings.Replace(listing([]string{"d%2Fa"}, nil, ""), ">5<", ">9223372036854775808<", 1)), ErrUnavailable},
	{"a size of 2^62", "list", answerWith(strings.Replace(listing([]string{"d%2Fa"}, nil, ""), ">5<", ">4611686018427387904<", 1)), ErrUnavailable},
	{"a time of the year 9999", "list", answerWith(strings.Replace(listing([]string{"d%2Fa"}, nil, ""), "2026-", "9999-", 1)), ErrUnavailable},
	{"an ETag with a line feed", "list", answerWith(strings.Replace(listing([]string{"d%2Fa"}, nil, ""), `"E"`, "\"E\n\"", 1)), ErrUnavailable},
	{"pages that stand still", "list", goOn(func(int64) []string { return []string{"d%2Fa"} }), ErrUnavailable},
	{"pages that go back", "list", goOn(func(n int64) []string { return []string{"d%2F" + string(rune('z'-n%20))} }), ErrUnavailable},
	{"pages without names", "list", goOn(func(int64) []string { return nil }), ErrUnavailable},
	{"parts without an end", "parts", func(w http.ResponseWriter, n int64) {
		fmt.Fprintf(w, "<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>%d</NextPartNumberMarker>"+
			"<Part><PartNumber>%d</PartNumber><Size>1</Size></Part></ListPartsResult>", n*3000, n*3000)
	}, ErrUnavailable},
	{"uploads in a circle", "uploads", func(w http.ResponseWriter, n int64) {
		fmt.Fprintf(w, "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>d/a</NextKeyMarker><NextUploadIdMarker>%d</NextUploadIdMarker>"+
			"</ListMultipartUploadsResult>", n%3)
	}, ErrUnavailable},
	{"an upload id of 1 MB", "init", answerWith("<InitiateMultipartUploadResult>" +
		strings.Repeat("<UploadId>"+strings.Repeat("u", 4000)+"</UploadId>", 250) + "</InitiateMultipartUploadResult>"), ErrUnavailable},
	{"eleven tags", "tags", answerWith("<Tagging><TagSet>" + strings.Repeat("<Tag><Key>a</Key></Tag>", 11) + "</TagSet></Tagging>"), ErrUnavailable},
	{"300 without a place", "head get list put", func(w http.ResponseWriter, _ int64) { w.WriteHeader(300) }, ErrWrongEndpoint},
}

func manyKeys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("d%%2F%06d", i)
	}
	return keys
}

// TestHostileAnswers gives each call answers that no OSS gives. Each ends with an error of its kind, without memory for more than a page and
// its reader; what a terminal would obey or what fills a log is not in its text.
func TestHostileAnswers(t *testing.T) {
	const room = 96 << 20
	for _, tt := range hostileAnswers {
		for _, name := range strings.Fields(tt.calls) {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				f := serve(t, func(w http.ResponseWriter, r *http.Request, n int64) {
					_, _ = io.Copy(io.Discard, r.Body)
					tt.answer(w, n)
				})
				c := f.client(t, func(cfg *Config) { cfg.Retries = -1 })
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				err := hostileCalls[name](t.Context(), c)
				runtime.ReadMemStats(&after)
				if !errors.Is(err, tt.want) {
					t.Errorf("got %.300v, want %v", err, tt.want)
				}
				if used := after.TotalAlloc - before.TotalAlloc; used > room {
					t.Errorf("%d MiB were allocated, at most %d are expected", used>>20, room>>20)
				}
				if err != nil && len(err.Error()) > 1000 {
					t.Errorf("an error of %d bytes", len(err.Error()))
				}
			})
		}
	}
}

// A body that lives on single bytes is given up, however long it goes on, and so is a document.
func TestDrip(t *testing.T) {
	for _, name := range []string{"get", "list", "head", "put"} {
		t.Run(name, func(t *testing.T) {
			f := serve(t, func(w http.ResponseWriter, r *http.Request, _ int64) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("ETag", `"E"`)
				if name == "get" {
					w.Header().Set("Content-Length", "1000000")
				}
				if name == "head" {
					w.WriteHeader(500) // HEAD has no body to drip
				}
				for {
					if _, err := io.WriteString(w, "x"); err != nil {
						return
					}
					w.(http.Flusher).Flush()
					select {
					case <-r.Context().Done():
						return
					case <-time.After(5 * time.Millisecond):
					}
					if name == "head" {
						return
					}
				}
			})
			c := f.client(t, func(cfg *Config) {
				cfg.CallTimeout, cfg.LongTimeout, cfg.BodyTimeout, cfg.Retries = 200*time.Millisecond, 200*time.Millisecond, 200*time.Millisecond, -1
			})
			err := hostileCalls[name](t.Context(), c)
			if name != "put" && !errors.Is(err, ErrUnavailable) {
				t.Errorf("got %v, want ErrUnavailable", err)
			}
		})
	}
}

// Nothing that a server sends is unpacked, and nothing packed is asked for: a small answer could become a large one.
func TestNothingIsUnpacked(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(make([]byte, 1<<20))
	_ = z.Close()
	f := serve(t, func(w http.ResponseWriter, r *http.Request, _ int64) {
		if enc := r.Header.Get("Accept-Encoding"); enc != "" {
			t.Errorf("asked for the encoding %q", enc)
		}
		w.Header().Set("ETag", `"E"`)
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Length", strconv.Itoa(packed.Len()))
		_, _ = w.Write(packed.Bytes())
	})
	c := f.client(t, nil)
	body, _, err := c.Get(t.Context(), "k", GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, packed.Bytes()) {
		t.Errorf("got %d bytes, %v, want the %d that were sent", len(got), err, packed.Len())
	}
	if err := hostileCalls["list"](t.Context(), c); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}

// A redirect is not followed, so that nobody else gets a signed request.
func TestRedirectsAreNotFollowed(t *testing.T) {
	other := serve(t, func(http.ResponseWriter, *http.Request, int64) {})
	for _, status := range []int{301, 302, 303, 307, 308} {
		for name, call := range hostileCalls {
			f := serve(t, func(w http.ResponseWriter, r *http.Request, _ int64) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Location", other.URL+"/bucket/k")
				w.WriteHeader(status)
			})
			if err := call(t.Context(), f.client(t, func(cfg *Config) { cfg.Retries = -1 })); !errors.Is(err, ErrWrongEndpoint) {
				t.Errorf("%s, %d: got %v, want ErrWrongEndpoint", name, status, err)
			}
		}
	}
	if n := other.requests.Load(); n > 0 {
		t.Errorf("%d requests went elsewhere", n)
	}
}

// What a server says ends up on terminals and in logs: one line, no control characters.
func TestErrorsArePrintable(t *testing.T) {
	evil := "\x1b]0;title\x07\x1b[2J\r\nroot: all is well\u202e" + strings.Repeat("long ", 10_000)
	doc := "<Error><Code>" + evil + "</Code><EC>" + evil + "</EC><Message>" + evil + "</Message><Endpoint>" + evil + "</Endpoint><RequestId>" + evil + "</RequestId></Error>"
	doc = strings.NewReplacer("\x1b", "&#x9b;", "\x07", "&#x85;").Replace(doc)
	for _, status := range []int{301, 403, 500} {
		text := answerError("Op", "k", status, http.Header{}, []byte(doc)[:min(len(doc), maxErrorBody)]).Error()
		whole := (&Error{Op: "Op", kind: ErrDenied, Status: status, Code: evil, EC: evil, Message: evil, Endpoint: evil, RequestID: evil, Err: errors.New(evil)}).Error()
		for _, s := range []string{text, whole} {
			if i := strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 || len(s) > 1500 {
				t.Errorf("status %d: %d bytes, not printable at %d: %.400q", status, len(s), i, s)
			}
		}
	}
}
