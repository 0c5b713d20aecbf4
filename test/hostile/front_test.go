// Package hostile puts a server that lies in front of the emulator, and objects with names that are no names into it, and proves that a real mount
// lives on: an error for the program that asked, nothing wrong for anybody else.
package hostile

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// front is a server between the mount and the emulator. It passes everything on until it is told to lie.
type front struct {
	proxy *httputil.ReverseProxy

	mu   sync.Mutex // guards the fields below
	lie  func(w http.ResponseWriter, r *http.Request) bool
	told int // lies
}

// set makes the front lie; a lie that returns false lets the request pass.
func (f *front) set(lie func(http.ResponseWriter, *http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lie = lie
}

// ServeHTTP implements http.Handler.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	lie := f.lie
	f.mu.Unlock()
	if lie == nil || !lie(w, r) {
		f.proxy.ServeHTTP(w, r)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told++
}

// lied is how many lies were told to the end.
func (f *front) lied() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.told
}

// headFirst is a bucket whose mount learns attributes without content.
type headFirst struct{ *object.Bucket }

// Get implements cache.Bucket.
func (b headFirst) Get(ctx context.Context, r object.GetRequest) (*object.Download, error) {
	if r.Attributes {
		return nil, errors.New("attributes only")
	}
	return b.Bucket.Get(ctx, r)
}

// newFront mounts a bucket behind a front, with short patience for what never comes.
func newFront(t *testing.T, o testenv.Options) (*testenv.Env, *front) {
	t.Helper()
	f := &front{}
	o.Cache.MetaTTL, o.Object = time.Millisecond, trusting
	o.Cache.ReadWait, o.Cache.AttrWait, o.Cache.ListWait = 3*time.Second, 3*time.Second, 3*time.Second
	o.Connect = func(s *emulator.Server, c *object.Connection) {
		target, err := url.Parse(s.Endpoint())
		if err != nil {
			t.Fatal(err)
		}
		f.proxy = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
		}}
		server := httptest.NewServer(f)
		t.Cleanup(server.Close)
		c.Endpoint = server.URL
		c.CallTimeout, c.BodyTimeout, c.Retries = 2*time.Second, 2*time.Second, 1
	}
	return testenv.New(t, o), f
}

// trusting accepts what was never encrypted: these tests are about names and answers.
var trusting = object.Options{Trust: object.Trust{AcceptForeign: []string{""}}}

// isObject reports whether a request is of a method for an object, and not for a part of it such as its tags.
func isObject(r *http.Request, method string) bool {
	return r.Method == method && strings.Count(r.URL.Path, "/") > 1 && !strings.HasSuffix(r.URL.Path, "/") && r.URL.RawQuery == ""
}

func isList(r *http.Request) bool { return r.URL.Query().Get("list-type") == "2" }

// put writes a plain object past all checks.
func put(t *testing.T, env *testenv.Env, key, text string) {
	t.Helper()
	if err := env.Server.WriteObject(testenv.Bucket, key, http.Header{}, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wants fails the test unless a file of the mount has this content.
func wants(t *testing.T, path, text string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != text {
		t.Errorf("read %s: got %.40q, %v, want %.40q", path, got, err, text)
	}
}
