package oss

import (
	"context"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/ossencfs/ossencfs/endpoint"
)

// Addressing says where the bucket's name stands in a request.
type Addressing string

// Ways of addressing a bucket.
const (
	AddressAuto    Addressing = ""        // path style for IP addresses and localhost, else virtual host
	AddressVirtual Addressing = "virtual" // https://BUCKET.ENDPOINT/KEY
	AddressPath    Addressing = "path"    // https://ENDPOINT/BUCKET/KEY
	AddressCNAME   Addressing = "cname"   // https://ENDPOINT/KEY: the endpoint is a domain bound to the bucket
)

// SignVersion names a signature algorithm of OSS.
type SignVersion string

// Signature versions. V1 is refused for accounts and buckets made since 2025 (OSS.md §5.9).
const (
	SignV4 SignVersion = "v4"
	SignV1 SignVersion = "v1"
)

// Config says which bucket to open and how to reach it. Endpoint or Region, Bucket and Credentials are required;
// the zero value of all else is a good default.
type Config struct {
	Endpoint    string      // host[:port] or URL; empty: derived from Region, Internal and Accelerate
	Region      string      // as "cn-hangzhou"; empty: derived from an endpoint of aliyuncs.com
	Bucket      string      // bucket name
	SignVersion SignVersion // SignV4 when empty
	Addressing  Addressing  // AddressAuto when empty
	Internal    bool        // with a derived endpoint: the one inside Alibaba's network
	Accelerate  bool        // with a derived endpoint: transfer acceleration
	AllowHTTP   bool        // with an http endpoint on another machine, or http through a proxy there: send tokens in clear
	Proxy       string      // proxy URL; empty: HTTPS_PROXY, HTTP_PROXY, NO_PROXY; "direct": none
	CAFile      string      // PEM file of further certificate authorities to trust
	Credentials Provider    // who we are; required
	CheckPrefix string      // prefix that Check lists, for policies that allow listing below it only

	ConnectTimeout time.Duration // for DNS, TCP and TLS together; default 10 s
	CallTimeout    time.Duration // for the answer once the request is sent; default 30 s
	LongTimeout    time.Duration // the same for Copy and CompleteMultipart, which work long; default 120 s
	BodyTimeout    time.Duration // a body without progress for so long is given up; default 60 s
	Retries        int           // further attempts of reads and UploadPart; default 4; negative: none
	MaxConns       int           // connections kept for reuse; more are opened when needed; default 64
	UserAgent      string        // default "ossencfs"

	// Admit, when set, is asked before each call; its error is the call's, and nothing is sent.
	Admit func(context.Context) error

	// OnRequest, when set, is called once per attempt as it ends. It must be quick and safe for concurrent use.
	OnRequest func(Attempt)
}

// aliyunHost matches public endpoints and catches the region: oss-cn-hangzhou[-internal].aliyuncs.com.
var aliyunHost = regexp.MustCompile(`(?:^|\.)oss-([a-z]{2}-[a-z0-9-]+?)(?:-internal)?\.aliyuncs\.com$`)

// bucketName is the rule of OSS for bucket names.
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`)

// resolved returns c with defaults filled in, or says what is wrong with it.
func (c Config) resolved() (Config, error) {
	if !bucketName.MatchString(c.Bucket) {
		return c, invalid("Open", "", "bucket name %q: want 3 to 63 lower-case letters, digits and hyphens", c.Bucket)
	}
	if c.Credentials == nil {
		return c, &Error{Op: "Open", kind: ErrCredentials, Message: "no credentials provider", unsent: true}
	}
	c.Region = strings.TrimSuffix(strings.TrimPrefix(c.Region, "oss-"), "-internal")
	if c.Endpoint == "" {
		c.Endpoint = c.derivedEndpoint()
	}
	if c.Endpoint == "" {
		return c, invalid("Open", "", "neither endpoint nor region is set")
	}
	u, err := endpoint.Parse(c.Endpoint)
	if err != nil {
		return c, &Error{Op: "Open", kind: ErrInvalid, Err: err, unsent: true}
	}
	if rest, ok := strings.CutPrefix(u.Host, c.Bucket+"."); ok && aliyunHost.MatchString(u.Hostname()) {
		u.Host = rest // users paste the bucket's own domain from the console
	}
	c.Endpoint = u.Scheme + "://" + u.Host
	if c.Region == "" {
		if m := aliyunHost.FindStringSubmatch(u.Hostname()); m != nil {
			c.Region = m[1]
		}
	}
	if c.SignVersion == "" {
		c.SignVersion = SignV4
	}
	if c.Addressing == AddressAuto {
		c.Addressing = AddressVirtual
		if isAddress(u.Hostname()) {
			c.Addressing = AddressPath
		}
	}
	if err := c.checkNames(u.Hostname()); err != nil {
		return c, err
	}
	if c.Addressing == AddressVirtual { // a bucket of localhost is where DNS, or a proxy, says
		u.Host = c.Bucket + "." + u.Host
	}
	if err := endpoint.Check(u, c.Proxy, c.AllowHTTP); err != nil {
		return c, &Error{Op: "Open", kind: ErrInvalid, Err: err, unsent: true}
	}
	c.ConnectTimeout = orDefault(c.ConnectTimeout, 10*time.Second)
	c.CallTimeout = orDefault(c.CallTimeout, 30*time.Second)
	c.LongTimeout = orDefault(c.LongTimeout, 120*time.Second)
	c.BodyTimeout = orDefault(c.BodyTimeout, 60*time.Second)
	c.UserAgent = firstOf(c.UserAgent, "ossencfs")
	if c.Retries == 0 {
		c.Retries = 4
	}
	if c.MaxConns <= 0 {
		c.MaxConns = 64
	}
	return c, nil
}

// checkNames refuses unknown enumerations and combinations that cannot work.
func (c Config) checkNames(host string) error {
	switch c.SignVersion {
	case SignV1:
	case SignV4:
		if c.Region == "" {
			return invalid("Open", "", "signature v4 needs a region: set it, as cn-hangzhou")
		}
	default:
		return invalid("Open", "", "signature version %q: want v4 or v1", c.SignVersion)
	}
	switch c.Addressing {
	case AddressVirtual, AddressPath:
	case AddressCNAME:
		if net.ParseIP(host) != nil {
			return invalid("Open", "", "cname addressing needs a domain name, not the address %s", host)
		}
	default:
		return invalid("Open", "", "addressing %q: want virtual, path or cname", c.Addressing)
	}
	if c.Addressing == AddressVirtual && net.ParseIP(host) != nil {
		return invalid("Open", "", "virtual-host addressing needs a domain name, not the address %s", host)
	}
	return nil
}

// derivedEndpoint names Alibaba's endpoint of the region; empty without a region.
func (c Config) derivedEndpoint() string {
	switch {
	case c.Accelerate && strings.HasPrefix(c.Region, "cn-"), c.Accelerate && c.Region == "":
		return "https://oss-accelerate.aliyuncs.com"
	case c.Accelerate:
		return "https://oss-accelerate-overseas.aliyuncs.com"
	case c.Region == "":
		return ""
	case c.Internal:
		return "https://oss-" + c.Region + "-internal.aliyuncs.com"
	}
	return "https://oss-" + c.Region + ".aliyuncs.com"
}

// isAddress reports whether host is an IP address or localhost, where no bucket can be part of the name.
func isAddress(host string) bool { return endpoint.Loopback(host) || net.ParseIP(host) != nil }

func orDefault(d, def time.Duration) time.Duration {
	if d <= 0 {
		return def
	}
	return d
}

// Attempt is one exchange with the service. Nothing of it is secret but the key.
type Attempt struct {
	Op, Key   string // OSS operation, as "PutObject"; key or prefix, empty for the bucket
	Status    int    // HTTP status; 0 when there was no answer
	RequestID string // names the request to Alibaba's support; empty: not known
	Bytes     int64  // of body, moved in either direction
	Took      time.Duration
	Err       error // nil: it succeeded
}
