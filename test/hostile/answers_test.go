package hostile

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// answer writes headers and a body.
func answer(w http.ResponseWriter, status int, body string, headers ...string) bool {
	w.Header().Set("x-oss-request-id", "REQ")
	w.Header().Set("ETag", `"B10A8DB164E0754105B7A99BE72E3FE5"`)
	w.Header().Set("Last-Modified", "Fri, 02 Jan 2026 03:04:05 GMT")
	for i := 0; i < len(headers); i += 2 {
		w.Header().Set(headers[i], headers[i+1])
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
	return true
}

// page is a listing of entries "key size", that goes on when there is a token.
func page(token string, entries ...string) string {
	var b strings.Builder
	b.WriteString("<ListBucketResult><EncodingType>url</EncodingType>")
	if token != "" {
		fmt.Fprintf(&b, "<IsTruncated>true</IsTruncated><NextContinuationToken>%s</NextContinuationToken>", token)
	}
	for _, e := range entries {
		key, size, _ := strings.Cut(e, " ")
		fmt.Fprintf(&b, `<Contents><Key>%s</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>"E"</ETag><Type>Normal</Type><Size>%s</Size></Contents>`, key, size)
	}
	return b.String() + "</ListBucketResult>"
}

// lies are told about the directory "new", which the mount has not listed, or about the object "file".
var lies = []struct {
	name string
	lie  func(w http.ResponseWriter, r *http.Request) bool
	try  string // command that fails
}{
	{"tokens in a circle", list(func(r *http.Request) string {
		return page(map[string]string{"": "A", "A": "B", "B": "A"}[r.URL.Query().Get("continuation-token")])
	}), "ls new"},
	{"pages in a circle", list(func(r *http.Request) string {
		return page(map[string]string{"": "A", "A": "B", "B": "A"}[r.URL.Query().Get("continuation-token")], "new%2Fa 1", "new%2Fb 1")
	}), "ls new"},
	{"names that leave the directory", list(func(*http.Request) string { return page("", "new%2F..%2F..%2Fescape%2Fx 1") }), "ls new"},
	{"names of another directory", list(func(*http.Request) string { return page("", "old%2Fx 1") }), "ls new"},
	{"a size of 2^62", list(func(*http.Request) string { return page("", "new%2Fx 4611686018427387904") }), "ls new"},
	{"a negative size", list(func(*http.Request) string { return page("", "new%2Fx -1") }), "ls new"},
	{"an error with status 200", list(func(*http.Request) string { return "<Error><Code>InternalError</Code></Error>" }), "ls new"},
	{"a page without an end", func(w http.ResponseWriter, r *http.Request) bool {
		if !isList(r) {
			return false
		}
		_, err := io.WriteString(w, "<ListBucketResult>")
		for block := strings.Repeat("<Contents>", 1000); err == nil; {
			_, err = io.WriteString(w, block)
		}
		return true
	}, "ls new"},
	{"headers of 10 MB", func(w http.ResponseWriter, r *http.Request) bool {
		return isList(r) && answer(w, 200, page(""), "x-oss-meta-a", strings.Repeat("x", 10<<20))
	}, "ls new"},
	{"an error of 100 MB", func(w http.ResponseWriter, r *http.Request) bool {
		if !isList(r) {
			return false
		}
		w.WriteHeader(403)
		_, err := io.WriteString(w, "<Error><Code>AccessDenied</Code><Message>")
		for n, block := 0, strings.Repeat("x", 1<<20); n < 100 && err == nil; n++ {
			_, err = io.WriteString(w, block)
		}
		return true
	}, "ls new"},
	{"a list of bytes that drip", drip(isList), "ls new"},
	{"a body cut short", get(func(w http.ResponseWriter) bool {
		return answer(w, 200, "Hello", "Content-Length", "11")
	}), "cat file"},
	{"a longer object", get(func(w http.ResponseWriter) bool {
		return answer(w, 200, "Hello World!", "Content-Length", "12")
	}), "cat file"},
	{"a shorter object", get(func(w http.ResponseWriter) bool {
		return answer(w, 200, "Hello", "Content-Length", "5")
	}), "cat file"},
	{"no length and no end", get(func(w http.ResponseWriter) bool {
		answer(w, 200, "Hello World")
		for {
			if _, err := io.WriteString(w, strings.Repeat("x", 1<<16)); err != nil {
				return true
			}
		}
	}), "cat file"},
	{"another version", get(func(w http.ResponseWriter) bool {
		return answer(w, 200, "HELLO WORLD", "Content-Length", "11", "ETag", `"00000000000000000000000000000000"`)
	}), "cat file"},
	{"a range nobody asked for", get(func(w http.ResponseWriter) bool {
		return answer(w, 206, "Hello World", "Content-Length", "11", "Content-Range", "bytes 11-21/22")
	}), "cat file"},
	{"other bytes than the checksum's", get(func(w http.ResponseWriter) bool {
		return answer(w, 200, "HELLO WORLD", "Content-Length", "11", "x-oss-hash-crc64ecma", "1")
	}), "cat file"},
	{"an error document as content", get(func(w http.ResponseWriter) bool {
		return answer(w, 200, "<Error><Code>AccessDenied</Code></Error>")
	}), "cat file"},
	{"half of an envelope", get(func(w http.ResponseWriter) bool {
		return answer(w, 200, "Hello World", "Content-Length", "11", "x-oss-meta-client-side-encryption-key", "AAAA")
	}), "cat file"},
	{"bytes that drip", drip(func(r *http.Request) bool { return isObject(r, "GET") }), "cat file"},
	{"a redirect", func(w http.ResponseWriter, r *http.Request) bool {
		if isObject(r, "GET") {
			return answer(w, 307, "", "Location", "http://127.0.0.1:1/"+testenv.Bucket+"/file")
		}
		return false
	}, "cat file"},
}

// list answers listings.
func list(doc func(*http.Request) string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool { return isList(r) && answer(w, 200, doc(r)) }
}

// get answers reads of objects.
func get(lie func(http.ResponseWriter) bool) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool { return isObject(r, "GET") && lie(w) }
}

// drip sends single bytes until nobody listens.
func drip(which func(*http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !which(r) {
			return false
		}
		answer(w, 200, "", "Content-Length", strconv.Itoa(1<<20), "Content-Range", "")
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, " "); err != nil {
				return true
			}
			w.(http.Flusher).Flush()
		}
		return true
	}
}

// TestLies tells a mount one lie after the other. Each is an error for the program that asked; what is known goes on, and when the lies end
// everything is there.
func TestLies(t *testing.T) {
	for _, tt := range lies {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env, f := newFront(t, testenv.Options{Bucket: func(b *object.Bucket) cache.Bucket { return headFirst{b} }})
			put(t, env, "file", "Hello World")
			put(t, env, "new/x", "in new")
			must(t, os.Mkdir(env.Path("old"), 0o755))
			must(t, os.WriteFile(env.Path("old/mine"), []byte("written here"), 0o600))
			testenv.Run(t, env.Dir, "ls", "-l", "file", "old/mine", "-d", "new")
			f.set(tt.lie)
			out := testenv.Run(t, env.Dir, "sh", "-c", "if "+tt.try+" >/dev/null 2>&1; then echo done; else echo failed; fi")
			if strings.TrimSpace(out) != "failed" {
				t.Errorf("%s: got %q, want an error", tt.try, out)
			}
			wants(t, env.Path("old/mine"), "written here")
			testenv.Eventually(t, "the end of a lie", func() bool { return f.lied() > 0 })
			f.set(nil)
			testenv.Eventually(t, "the truth", func() bool {
				got, err := os.ReadFile(env.Path("new/x"))
				return err == nil && string(got) == "in new"
			})
			testenv.Eventually(t, "the file", func() bool {
				got, err := os.ReadFile(env.Path("file"))
				return err == nil && string(got) == "Hello World"
			})
			must(t, os.WriteFile(env.Path("new/y"), []byte("after"), 0o600))
			env.Sync()
			wants(t, env.Path("new/y"), "after")
		})
	}
}

// TestLiesAtFirstSight lies about an object of which nothing is known but its listing, when attributes and content are asked for at once. There is an
// answer, and when the lies end the truth is there.
func TestLiesAtFirstSight(t *testing.T) {
	for _, tt := range lies {
		if tt.try != "cat file" {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env, f := newFront(t, testenv.Options{})
			put(t, env, "file", "Hello World")
			f.set(tt.lie)
			testenv.Run(t, env.Dir, "sh", "-c", "cat file >/dev/null 2>&1 || true")
			testenv.Eventually(t, "the end of a lie", func() bool { return f.lied() > 0 })
			f.set(nil)
			testenv.Eventually(t, "the file", func() bool {
				got, err := os.ReadFile(env.Path("file"))
				return err == nil && string(got) == "Hello World"
			})
		})
	}
}

// TestSizesThatDoNotAgree: the listing, the attributes and the content of an object have three sizes. No read gives bytes of another object.
func TestSizesThatDoNotAgree(t *testing.T) {
	for name, size := range map[string]string{"listed as 48 TiB": "53687091200000", "listed as 3 bytes": "3", "listed as empty": "0", "listed as 9 MiB": "9437184"} {
		t.Run(name, func(t *testing.T) {
			env, f := newFront(t, testenv.Options{})
			put(t, env, "file", "Hello World")
			f.set(func(w http.ResponseWriter, r *http.Request) bool {
				return isList(r) && answer(w, 200, page("", "file "+size))
			})
			got, err := os.ReadFile(env.Path("file"))
			if err == nil && string(got) != "Hello World" {
				t.Errorf("got %.40q, want the content or an error", got)
			}
			f.set(nil)
			testenv.Eventually(t, "the content", func() bool {
				got, err := os.ReadFile(env.Path("file"))
				return err == nil && string(got) == "Hello World"
			})
		})
	}
}
