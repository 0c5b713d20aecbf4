package oss

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestLocalhostIsThisMachine: http to localhost needs no --allow-http, so that nobody in the network decides where that is, also where
// /etc/hosts does not know it.
func TestLocalhostIsThisMachine(t *testing.T) {
	const inside = "OSSENCFS_TEST_NO_HOSTS"
	if os.Getenv(inside) == "" {
		if os.Geteuid() != 0 {
			t.Skip("only root can take /etc/hosts away")
		}
		if out, err := exec.Command("unshare", "--mount", "true").CombinedOutput(); err != nil {
			t.Skipf("this machine gives no mount namespace: %v: %s", err, out)
		}
		cmd := exec.Command("unshare", "--mount", "--propagation", "private", "/bin/sh", "-c",
			`mount --bind /dev/null /etc/hosts && exec "$0" -test.run '^TestLocalhostIsThisMachine$'`, os.Args[0])
		cmd.Env = append(os.Environ(), inside+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		t.Error("a server in the network is asked where localhost is")
		return nil, errors.New("no such server")
	}}
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	transport, err := newTransport(Config{ConnectTimeout: time.Second, Proxy: "direct"})
	if err != nil {
		t.Fatal(err)
	}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport}).Get(strings.Replace(server.URL, "127.0.0.1", "localhost", 1))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
}
