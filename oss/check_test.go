package oss

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/emulator"
)

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestCheckTellsWhatIsWrong(t *testing.T) {
	s := emulated(t, emulator.Options{TLS: true})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "<html>hello</html>") }))
	t.Cleanup(web.Close)
	nowhere := closedPort(t)
	for name, tt := range map[string]struct {
		change func(*Config)
		want   error
	}{
		"right":              {func(c *Config) {}, nil},
		"bucket":             {func(c *Config) { c.Bucket = "missing" }, ErrNoSuchBucket},
		"region":             {func(c *Config) { c.Region = "cn-elsewhere" }, ErrWrongEndpoint},
		"key id":             {func(c *Config) { c.Credentials = Static{ID: "other", Secret: s.AccessKeySecret()} }, ErrCredentials},
		"secret":             {func(c *Config) { c.Credentials = Static{ID: s.AccessKeyID(), Secret: "other"} }, ErrCredentials},
		"token":              {func(c *Config) { c.Credentials = Static{ID: s.AccessKeyID(), Secret: s.AccessKeySecret(), Token: "x"} }, ErrCredentials},
		"provider":           {func(c *Config) { c.Credentials = Static{} }, ErrCredentials},
		"port":               {func(c *Config) { c.Endpoint = nowhere }, ErrUnreachable},
		"name":               {func(c *Config) { c.Endpoint, c.Addressing = "https://host.invalid", AddressPath }, ErrUnreachable},
		"unknown authority":  {func(c *Config) { c.Endpoint = s.TLSEndpoint() }, ErrUnreachable},
		"http on https port": {func(c *Config) { c.Endpoint = strings.Replace(s.TLSEndpoint(), "https", "http", 1) }, ErrWrongEndpoint},
		"web server":         {func(c *Config) { c.Endpoint = web.URL }, ErrWrongEndpoint},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := emulatedConfig(s)
			cfg.ConnectTimeout = time.Second
			tt.change(&cfg)
			begin := time.Now()
			err := opened(t, cfg).Check(t.Context())
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if d := time.Since(begin); d > 4*time.Second {
				t.Errorf("took %v", d)
			}
			if err != nil && strings.Contains(err.Error(), s.AccessKeySecret()) {
				t.Errorf("secret in %q", err)
			}
		})
	}
}

func TestCheckCancelled(t *testing.T) {
	s := emulated(t, emulator.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := opened(t, emulatedConfig(s)).Check(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnreachable) {
		t.Errorf("got %v, want cancelled", err)
	}
}

func TestPrivateAuthority(t *testing.T) {
	s := emulated(t, emulator.Options{TLS: true})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, s.CACertPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := emulatedConfig(s)
	cfg.Endpoint, cfg.CAFile = s.TLSEndpoint(), ca
	if err := opened(t, cfg).Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// forwardProxy is an HTTP proxy that sends every request to target and counts them.
func forwardProxy(t *testing.T, target string, user string) (address string, hosts *atomic.Value) {
	t.Helper()
	hosts = &atomic.Value{}
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, pass, _ := parseProxyAuth(r)
		if user != "" && name+":"+pass != user {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		hosts.Store(r.Host)
		out := r.Clone(r.Context())
		out.RequestURI, out.URL.Scheme = "", "http"
		out.URL.Host = u.Host // the Host header stays
		out.Header.Del("Proxy-Authorization")
		resp, err := http.DefaultTransport.RoundTrip(out)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		for k, v := range resp.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	}))
	t.Cleanup(p.Close)
	return p.URL, hosts
}

// parseProxyAuth reads Proxy-Authorization as net/http reads Authorization.
func parseProxyAuth(r *http.Request) (name, pass string, ok bool) {
	h := http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
	return h.BasicAuth()
}

// Virtual-host and CNAME addressing need names that resolve; a proxy stands in for DNS.
func TestAddressingThroughProxy(t *testing.T) {
	s := emulated(t, emulator.Options{CNames: map[string]string{"files.example.com": "bucket"}})
	proxy, hosts := forwardProxy(t, s.Endpoint(), "me:pass")
	withUser := strings.Replace(proxy, "://", "://me:pass@", 1)
	for name, tt := range map[string]struct {
		change func(*Config)
		host   string
	}{
		"virtual": {func(c *Config) { c.Endpoint = "http://oss-cn-hangzhou.aliyuncs.com" }, "bucket.oss-cn-hangzhou.aliyuncs.com"},
		"cname":   {func(c *Config) { c.Endpoint, c.Addressing = "http://files.example.com", AddressCNAME }, "files.example.com"},
	} {
		for _, version := range []SignVersion{SignV4, SignV1} {
			t.Run(name+"/"+string(version), func(t *testing.T) {
				cfg := emulatedConfig(s)
				cfg.Proxy, cfg.SignVersion, cfg.AllowHTTP = withUser, version, true
				tt.change(&cfg)
				b := bucketUnderTest{opened(t, cfg), name + "/"}
				b.put(t, "a b/c", "text", PutOptions{})
				if got, _, err := b.read(t, "a b/c", GetOptions{}); err != nil || got != "text" {
					t.Errorf("got %q, %v", got, err)
				}
				if p, err := b.List(t.Context(), ListOptions{Prefix: b.prefix}); err != nil || len(p.Objects) != 1 {
					t.Errorf("listed %+v, %v", p, err)
				}
				if got := hosts.Load(); got != tt.host {
					t.Errorf("host %v, want %s", got, tt.host)
				}
			})
		}
	}
	cfg := emulatedConfig(s)
	cfg.AllowHTTP = true
	cfg.Endpoint, cfg.Proxy = "http://oss-cn-hangzhou.aliyuncs.com", strings.Replace(proxy, "://", "://me:wrong@", 1)
	if err := opened(t, cfg).Check(t.Context()); err == nil || strings.Contains(err.Error(), "wrong@") {
		t.Errorf("proxy with a wrong password: got %v", err)
	}
}
