package endpoint

import (
	"errors"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for s, want := range map[string]string{
		"oss-cn-hangzhou.aliyuncs.com":  "https://oss-cn-hangzhou.aliyuncs.com",
		"https://host:8443/":            "https://host:8443/",
		"http://host":                   "http://host",
		"HTTP://host":                   "http://host",
		"10.1.2.3":                      "https://10.1.2.3",
		"10.1.2.3:9000":                 "https://10.1.2.3:9000",
		"[2001:db8::1]:9000":            "https://[2001:db8::1]:9000",
		"100.100.100.200":               "https://100.100.100.200",
		"0.0.0.0:9000":                  "https://0.0.0.0:9000",
		"127.0.0.1:9000":                "http://127.0.0.1:9000",
		"127.8.8.8":                     "http://127.8.8.8",
		"[::1]:9000":                    "http://[::1]:9000",
		"localhost:9000":                "http://localhost:9000",
		"LocalHost":                     "http://localhost",
		"HTTP://LOCALHOST.":             "http://localhost.",
		"localhost.example.com":         "https://localhost.example.com",
		"127.1":                         "https://127.1",
		"ftp://host":                    "",
		"https://host/path":             "",
		"https://host?q":                "",
		"https://user:canary@host":      "",
		"https://user:canary@[::1":      "",
		"user:canary@host":              "",
		"https://user:canary@host/%zz":  "",
		"":                              "",
		"https://":                      "",
		"https://host name":             "",
		"[::1%25lo]":                    "",
		"http://127.0.0.1@evil.example": "",
	} {
		u, err := Parse(s)
		switch {
		case want == "" && (!errors.Is(err, ErrInvalid) || strings.Contains(err.Error(), "canary")):
			t.Errorf("%q: got %v, %v, want ErrInvalid without the password", s, u, err)
		case want != "" && (err != nil || u.String() != want):
			t.Errorf("%q: got %v, %v, want %s", s, u, err, want)
		}
	}
}

// TestHTTPStaysOnThisMachine is the rule: scheme, host and proxy decide.
func TestHTTPStaysOnThisMachine(t *testing.T) {
	for _, tt := range []struct {
		url, proxy string
		exposed    bool
	}{
		{"https://oss-cn-hangzhou.aliyuncs.com", "", false},
		{"https://10.1.2.3", "http://proxy:3128", false},
		{"http://127.0.0.1:9000", "", false},
		{"http://127.255.0.1", "direct", false},
		{"http://[::1]:9000", "", false},
		{"http://[::ffff:127.0.0.1]", "", false},
		{"http://localhost", "", false},
		{"http://localhost", "http://127.0.0.1:3128", false},
		{"http://localhost", "http://proxy.example:3128", true},
		{"http://localhost", "http://[::1", true},
		{"http://10.1.2.3", "", true},
		{"http://[fe80::1]", "", true},
		{"http://0.0.0.0", "", true},
		{"http://100.100.100.200", "", true},
		{"http://oss-cn-hangzhou.aliyuncs.com", "", true},
		{"http://oss-cn-hangzhou.aliyuncs.com", "http://127.0.0.1:3128", true},
		{"http://localhost.example.com", "", true},
		{"http://LocalHost", "", true}, // net/http sends it to the proxy of the environment
		{"http://localhost.", "", true},
		{"http://bucket.localhost", "", true},
		{"http://2130706433", "", true},
		{"ftp://host", "", true},
	} {
		u, err := url.Parse(tt.url)
		if err != nil {
			t.Fatal(err)
		}
		if got := Exposed(u, tt.proxy); got != tt.exposed {
			t.Errorf("%s through %q: exposed %v, want %v", tt.url, tt.proxy, got, tt.exposed)
		}
		if err := Check(u, tt.proxy, false); errors.Is(err, ErrPlain) != tt.exposed {
			t.Errorf("%s through %q: got %v", tt.url, tt.proxy, err)
		}
		if err := Check(u, tt.proxy, true); err != nil {
			t.Errorf("%s through %q, allowed: got %v", tt.url, tt.proxy, err)
		}
	}
}

// TestProxyForCredentials: a proxy of the environment never sees the metadata service's tokens, and http to anybody else is refused.
func TestProxyForCredentials(t *testing.T) {
	if os.Getenv("HTTP_PROXY") != "http://proxy.example:3128" { // net/http reads it once in a process
		cmd := exec.Command(os.Args[0], "-test.run", "^TestProxyForCredentials$")
		cmd.Env = append(os.Environ(), "HTTP_PROXY=http://proxy.example:3128", "HTTPS_PROXY=http://proxy.example:3128", "NO_PROXY=", "no_proxy=")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	for address, want := range map[string]string{
		"http://100.100.100.200/latest/meta-data/ram/security-credentials/": "",
		"https://sts.aliyuncs.com/":                                         "http://proxy.example:3128",
		"http://127.0.0.1:8000/":                                            "",
		"http://sts.aliyuncs.com/":                                          "refused",
		"http://100.100.100.201/":                                           "refused",
		"http://LOCALHOST:8000/":                                            "refused",
		"http://100.100.100.200:8080/":                                      "refused",
	} {
		r, err := http.NewRequest(http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		proxy, err := ProxyForCredentials(r)
		got := ""
		switch {
		case errors.Is(err, ErrPlain):
			got = "refused"
		case err != nil:
			t.Errorf("%s: %v", address, err)
		case proxy != nil:
			got = proxy.String()
		}
		if got != want {
			t.Errorf("%s: proxy %q, want %q", address, got, want)
		}
	}
}

// FuzzParse: what has no scheme never leaves this machine over http, and what was read is a host and nothing more.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"10.1.2.3", "127.0.0.1:80", "[::1]:9000", "localhost", "http://host", "a@b", "localhost@evil.example", "[::1%25eth0]", "127.0.0.1.evil.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := Parse(s)
		if err != nil {
			return
		}
		if !strings.Contains(s, "://") && Exposed(u, "") {
			t.Errorf("%q is %s", s, u)
		}
		if again, err := Parse(u.String()); err != nil || u.User != nil || again.Host != u.Host {
			t.Errorf("%q: %s is read as %v, %v", s, u, again, err)
		}
	})
}
