// Package endpoint says over which connections secrets may travel: it reads the addresses of OSS and KMS, and owns the rule for http.
//
// Over http everybody on the way reads the token and the keys from KMS, and can keep requests that the access key signed. So http is for
// this machine itself, for the metadata service of ECS, which has nothing else, and for what the user allows by name.
package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// ErrPlain: http to another machine, which nobody has allowed.
var ErrPlain = errors.New("http would show tokens and keys to everybody on the way")

// ErrInvalid: what was given is not the address of a service.
var ErrInvalid = errors.New("want https://HOST[:PORT] and nothing more")

// metadata is the metadata service of ECS. It answers within the host of the instance, over http only.
const metadata = "100.100.100.200"

// Parse reads HOST[:PORT] or a URL of it. Without a scheme it is https, and http where the host is this machine. Errors are ErrInvalid,
// and show no password.
func Parse(s string) (*url.URL, error) {
	s = strings.ToLower(s) // net/http knows only one spelling of localhost, and sends the others to a proxy
	if !strings.Contains(s, "://") {
		host := s
		if h, _, err := net.SplitHostPort(s); err == nil {
			host = h
		}
		scheme := "https://"
		if Loopback(host) {
			scheme = "http://"
		}
		s = scheme + s
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", ErrInvalid) // url.Parse quotes what it read, with the password
	}
	if u.Scheme != "http" && u.Scheme != "https" || !isHost(u.Hostname()) || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("endpoint %q: %w", u.Redacted(), ErrInvalid)
	}
	return u, nil
}

// isHost reports whether a name is that of a machine: an address, or a name as DNS has them.
func isHost(name string) bool {
	return net.ParseIP(name) != nil || name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == ""
}

const localhost = "localhost"

// Loopback reports whether a host is this machine: localhost, 127.0.0.0/8 or ::1.
func Loopback(host string) bool {
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == localhost || ip != nil && ip.IsLoopback()
}

// Dial is the DialContext of everything that may speak http. localhost is this machine, whatever DNS says of it (RFC 6761): Go asks a
// server where /etc/hosts has no such name, and whoever answers would get what is in clear for this machine alone.
func Dial(d *net.Dialer) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil || host != localhost {
			return d.DialContext(ctx, network, address)
		}
		conn, err := d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			if other, failed := d.DialContext(ctx, network, net.JoinHostPort("::1", port)); failed == nil {
				return other, nil
			}
		}
		return conn, err
	}
}

// Exposed reports whether others can read what is sent to u, through the proxy that was named: "" or "direct" for none. Proxies of the
// environment do not count, because net/http uses none of them for this machine.
func Exposed(u *url.URL, proxy string) bool {
	if u.Scheme == "https" {
		return false
	}
	if !Loopback(u.Hostname()) {
		return true
	}
	if proxy == "" || proxy == "direct" {
		return false
	}
	via, err := url.Parse(proxy)
	return err != nil || !Loopback(via.Hostname())
}

// Check is ErrPlain where others can read what is sent to u and that was not allowed.
func Check(u *url.URL, proxy string, allowed bool) error {
	if allowed || !Exposed(u, proxy) {
		return nil
	}
	return fmt.Errorf("endpoint %s://%s: %w", u.Scheme, u.Host, ErrPlain)
}

// ProxyForCredentials is the Proxy of transports that fetch credentials. It keeps the metadata service's answers from proxies, and
// requests and redirects over http from anybody else.
func ProxyForCredentials(r *http.Request) (*url.URL, error) {
	if r.URL.Host == metadata {
		return nil, nil //nolint:nilnil // what http.Transport wants for no proxy
	}
	if err := Check(r.URL, "", false); err != nil {
		return nil, err
	}
	return http.ProxyFromEnvironment(r)
}
