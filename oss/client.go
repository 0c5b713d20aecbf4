package oss

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"

	"github.com/ossencfs/ossencfs/endpoint"
	"github.com/ossencfs/ossencfs/localfile"
)

const (
	// idleConnTimeout is shorter than the 60 s after which OSS closes an idle connection, so that a write rarely
	// meets a connection that is just being closed and ends with an unknown outcome.
	idleConnTimeout = 30 * time.Second
	// maxResponseHeader bounds the header of an answer; OSS allows 8 KiB of metadata.
	maxResponseHeader = 128 << 10
	// transferBuffer is the size of a connection's read and write buffers.
	transferBuffer = 64 << 10
)

// Client is one open bucket. It is safe for concurrent use and has no background work; Close drops idle connections.
type Client struct {
	cfg       Config
	sdk       *sdk.Client
	transport *http.Transport
	creds     *credentialCache
	clock     clock
}

// Open prepares a client. It sends no request; see Check.
func Open(cfg Config) (*Client, error) {
	cfg, err := cfg.resolved()
	if err != nil {
		return nil, err
	}
	transport, err := newTransport(cfg)
	if err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, transport: transport, creds: newCredentialCache(cfg.Credentials)}
	version := sdk.AuthV4
	if cfg.SignVersion == SignV1 {
		version = sdk.AuthV1
	}
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.sdk, err = sdk.New(cfg.Endpoint, "", "",
		sdk.HTTPClient(&http.Client{Transport: exchanger{transport}, CheckRedirect: noRedirect}),
		sdk.SetCredentialsProvider(sdkCredentials{c.creds}),
		sdk.AuthVersion(version),
		sdk.Region(cfg.Region),
		sdk.UseCname(cfg.Addressing == AddressCNAME),
		sdk.ForcePathStyle(cfg.Addressing == AddressPath),
		sdk.UserAgent(cfg.UserAgent),
		sdk.EnableCRC(false),
		sdk.EnableMD5(false),
		sdk.RedirectEnabled(false),
		sdk.SetLogLevel(sdk.LogOff),
	)
	if err != nil {
		return nil, &Error{Op: "Open", kind: ErrInvalid, Message: "endpoint " + cfg.Endpoint, Err: err, unsent: true}
	}
	return c, nil
}

// Bucket is the name of the bucket.
func (c *Client) Bucket() string { return c.cfg.Bucket }

// Endpoint is the URL in use, after defaults and derivation.
func (c *Client) Endpoint() string { return c.cfg.Endpoint }

// Region is the region in use, after derivation from the endpoint; it may be empty with signature V1.
func (c *Client) Region() string { return c.cfg.Region }

// Close drops idle connections. Calls under way go on; the client stays usable.
func (c *Client) Close() error {
	c.transport.CloseIdleConnections()
	return nil
}

// newTransport makes the connection pool: no gzip, no HTTP/2 (OSS has none), idle connections for all workers.
func newTransport(cfg Config) (*http.Transport, error) {
	dialer := &net.Dialer{Timeout: cfg.ConnectTimeout, KeepAlive: 30 * time.Second}
	t := &http.Transport{
		DialContext:            endpoint.Dial(dialer),
		TLSHandshakeTimeout:    cfg.ConnectTimeout,
		MaxIdleConns:           0,
		MaxIdleConnsPerHost:    cfg.MaxConns,
		IdleConnTimeout:        idleConnTimeout,
		MaxResponseHeaderBytes: maxResponseHeader,
		ReadBufferSize:         transferBuffer,
		WriteBufferSize:        transferBuffer,
		DisableCompression:     true,
		TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		Proxy:                  http.ProxyFromEnvironment,
	}
	switch cfg.Proxy {
	case "":
	case "direct":
		t.Proxy = nil
	default:
		u, err := url.Parse(cfg.Proxy)
		if err != nil || u.Host == "" {
			return nil, invalid("Open", "", "proxy: want http://[USER:PASSWORD@]HOST[:PORT]")
		}
		t.Proxy = http.ProxyURL(u)
	}
	if cfg.CAFile != "" {
		pool, err := loadCAs(cfg.CAFile)
		if err != nil {
			return nil, &Error{Op: "Open", kind: ErrInvalid, Message: "certificate authorities", Err: err, unsent: true}
		}
		t.TLSClientConfig.RootCAs = pool
	}
	return t, nil
}

// maxCAFile bounds a file of certificate authorities; that of a whole system has a few 100 KiB.
const maxCAFile = 16 << 20

// loadCAs adds the certificates of a PEM file to the system's.
func loadCAs(file string) (*x509.CertPool, error) {
	pem, err := localfile.Read(context.Background(), file, localfile.Trusted, maxCAFile)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no PEM certificate in it", file)
	}
	return pool, nil
}

// sdkCredentials hands the SDK the credentials that the attempt has just made sure of.
type sdkCredentials struct{ cache *credentialCache }

var _ sdk.CredentialsProviderE = sdkCredentials{}

// GetCredentials implements the SDK's first interface, which cannot fail.
func (p sdkCredentials) GetCredentials() sdk.Credentials {
	c, _ := p.GetCredentialsE()
	return c
}

// GetCredentialsE returns the credentials in the cache, and asks the provider when there are none yet.
func (p sdkCredentials) GetCredentialsE() (sdk.Credentials, error) {
	c, err := p.cache.get(context.Background())
	if err != nil {
		return sdkIdentity{}, err
	}
	return sdkIdentity(*c), nil
}

// sdkIdentity shows Credentials in the SDK's shape.
type sdkIdentity Credentials

func (i sdkIdentity) GetAccessKeyID() string     { return i.ID }
func (i sdkIdentity) GetAccessKeySecret() string { return i.Secret }
func (i sdkIdentity) GetSecurityToken() string   { return i.Token }
