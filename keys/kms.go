package keys

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/kms"

	"github.com/ossencfs/ossencfs/endpoint"
	"github.com/ossencfs/ossencfs/localfile"
)

// KMSConfig says which KMS key to use and how to reach it.
type KMSConfig struct {
	KeyID    string // id or alias of the key (alias/NAME)
	Region   string // as in cn-hangzhou
	Endpoint string // host[:port] or URL; empty: kms.REGION.aliyuncs.com
	// AllowHTTP lets an http endpoint be on another machine: secrets travel in clear.
	AllowHTTP bool
	CAFile    string // PEM certificates to trust besides the system's
	MatDesc   map[string]string
	// Passphrase binds wraps to it as the Python SDK's AliKMSProvider does: by the EncryptionContext
	// {"x-passphrase":"..."}. The Go and Java SDKs cannot read such wraps. At most one of Passphrase and
	// EncryptionContext may be set.
	Passphrase string
	// EncryptionContext is sent verbatim, a JSON object of strings.
	EncryptionContext string
	// Credentials returns access key id, secret and STS token (or "") for one request; it may refresh them.
	Credentials func(ctx context.Context) (id, secret, token string, err error)
	// Timeout bounds one attempt (default 10 s), Deadline a call with all its attempts (default 60 s).
	Timeout, Deadline time.Duration
	// Limiter spaces the calls of all keys that share it. Without one the key has its own, of QPS calls a second
	// (default 300); QPS says nothing otherwise.
	Limiter *Limiter
	QPS     float64
}

// Defaults of KMSConfig.
const (
	defaultKMSTimeout  = 10 * time.Second
	defaultKMSDeadline = 60 * time.Second
)

// kmsGuess is what a blob is assumed to measure, in bytes, until the first one was seen. Blobs of 32-byte keys
// that Alibaba's documentation shows have about 150; keys of a dedicated KMS instance have longer ones.
const kmsGuess = 256

// ErrConfig: a KMSConfig that cannot work. The text says why.
var ErrConfig = errors.New("KMS configuration")

// KMS is a master key in Alibaba Cloud KMS (API 2016-01-20). NewKMS makes it.
type KMS struct {
	onCall      atomic.Pointer[func(string, time.Duration, error)]
	keyID       string
	region      string
	domain      string // host[:port]
	scheme      string
	matdesc     map[string]string
	context     string // EncryptionContext; empty: not sent
	passphrase  string // that context was made of; empty: none
	credentials func(ctx context.Context) (id, secret, token string, err error)
	transport   *http.Transport
	timeout     time.Duration
	deadline    time.Duration
	limiter     *Limiter
	calls       atomic.Int64
	largest     atomic.Int64 // longest blob seen
	trueID      atomic.Value // string: KMS's own name of the key, where keyID is an alias; unset until somebody asked
}

// NewKMS checks the configuration and makes the master key; it sends nothing. Errors are ErrConfig or about the CA file.
func NewKMS(c KMSConfig) (*KMS, error) {
	warmEndpoints()
	k := &KMS{
		keyID: c.KeyID, region: c.Region, matdesc: maps.Clone(c.MatDesc), context: c.EncryptionContext,
		credentials: c.Credentials, timeout: c.Timeout, deadline: c.Deadline, limiter: c.Limiter,
	}
	switch {
	case c.KeyID == "":
		return nil, fmt.Errorf("%w: the key id is missing", ErrConfig)
	case c.Credentials == nil:
		return nil, fmt.Errorf("%w: the credentials are missing", ErrConfig)
	case c.Region == "" && c.Endpoint == "":
		return nil, fmt.Errorf("%w: region or endpoint is needed", ErrConfig)
	case c.Passphrase != "" && c.EncryptionContext != "":
		return nil, fmt.Errorf("%w: passphrase and EncryptionContext exclude each other", ErrConfig)
	}
	if c.Passphrase != "" {
		k.passphrase = c.Passphrase
		k.context = `{"x-passphrase":"` + c.Passphrase + `"}` // plain concatenation, as the Python SDK does
	}
	if k.timeout <= 0 {
		k.timeout = defaultKMSTimeout
	}
	if k.deadline <= 0 {
		k.deadline = defaultKMSDeadline
	}
	if k.limiter == nil {
		var err error
		if k.limiter, err = NewLimiter(c.QPS); err != nil {
			return nil, err
		}
	}
	if err := k.setEndpoint(c); err != nil {
		return nil, err
	}
	if err := k.setTransport(c.CAFile); err != nil {
		return nil, err
	}
	return k, nil
}

// setEndpoint works out scheme and host.
func (k *KMS) setEndpoint(c KMSConfig) error {
	if c.Endpoint == "" {
		c.Endpoint = "kms." + c.Region + ".aliyuncs.com"
	}
	u, err := endpoint.Parse(c.Endpoint)
	if err == nil {
		err = endpoint.Check(u, "", c.AllowHTTP)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	k.scheme, k.domain = u.Scheme, u.Host
	if k.region == "" {
		k.region = "cn-hangzhou" // the SDK wants one; with an endpoint given it decides nothing
	}
	return nil
}

// maxCAFile bounds a file of certificate authorities; that of a whole system has a few 100 KiB.
const maxCAFile = 16 << 20

// setTransport prepares the connections shared by all calls; proxies are taken from the environment.
func (k *KMS) setTransport(caFile string) error {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		text, err := localfile.Read(context.Background(), caFile, localfile.Trusted, maxCAFile)
		if err != nil {
			return fmt.Errorf("read KMS CA file: %w", err)
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(text) {
			return fmt.Errorf("%w: CA file %s holds no certificate", ErrConfig, caFile)
		}
		config.RootCAs = pool
	}
	k.transport = &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         endpoint.Dial(&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}),
		TLSClientConfig:     config,
		TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConnsPerHost: 32,
		IdleConnTimeout:     60 * time.Second,
		ForceAttemptHTTP2:   true,
		DisableCompression:  true, // a small answer must not become a large one
		// KMS sends less than 2 KiB of headers.
		MaxResponseHeaderBytes: 64 << 10,
	}
	return nil
}

// ID is "kms:" and the key id.
func (k *KMS) ID() string { return "kms:" + k.keyID }

// String is ID.
func (k *KMS) String() string { return k.ID() }

// Format prints the ID whatever the verb: the passphrase is among the fields.
func (k *KMS) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(k.ID())) }

// MatDesc returns the description of KMSConfig.
func (k *KMS) MatDesc() map[string]string { return k.matdesc }

// CanUnwrap is true; whether the account may decrypt is known after the first try only.
func (k *KMS) CanUnwrap() bool { return true }

// Supports is true for KMSText.
func (k *KMS) Supports(s Scheme) bool { return s == KMSText }

// Bound tells whether wraps are bound to an EncryptionContext (a passphrase), which the Go and Java SDKs cannot open.
func (k *KMS) Bound() bool { return k.context != "" }

// OnCall has fn told of each request as it ends: the action of KMS, as "Decrypt", and why it failed. fn must be quick and safe for concurrent use.
func (k *KMS) OnCall(fn func(action string, took time.Duration, err error)) { k.onCall.Store(&fn) }

func (k *KMS) tell(action string, begun time.Time, err error) {
	if fn := k.onCall.Load(); fn != nil {
		(*fn)(action, time.Since(begun), err)
	}
}

// Calls counts the requests sent so far, retries included.
func (k *KMS) Calls() int64 { return k.calls.Load() }

// Waits counts the requests that had to wait for the limiter, with those of other keys that share it.
func (k *KMS) Waits() int64 { return k.limiter.Waits() }

// Close ends the idle connections. Calls under way are not disturbed.
func (k *KMS) Close() { k.transport.CloseIdleConnections() }

// WrappedSize is the longest blob seen so far, or a generous guess.
func (k *KMS) WrappedSize(Scheme, int) int {
	if n := k.largest.Load(); n > 0 {
		return int(n)
	}
	return kmsGuess
}

// Wrap calls Encrypt with the text as it is and returns the CiphertextBlob text.
func (k *KMS) Wrap(ctx context.Context, s Scheme, text []byte) ([]byte, error) {
	if s != KMSText {
		return nil, fmt.Errorf("wrap with %v under %s: %w", s, k.ID(), ErrScheme)
	}
	return k.encrypt(ctx, text, k.context)
}

// Unwrap calls Decrypt and returns the text that was encrypted.
func (k *KMS) Unwrap(ctx context.Context, s Scheme, blob []byte, _ int) ([]byte, error) {
	if s != KMSText {
		return nil, fmt.Errorf("unwrap with %v under %s: %w", s, k.ID(), ErrScheme)
	}
	return k.decrypt(ctx, blob, k.context)
}

// WrapLocal calls Encrypt with a marked base64 text, which no SDK header's secret begins with.
func (k *KMS) WrapLocal(ctx context.Context, secret []byte) ([]byte, error) {
	marked := append([]byte(localLabel), secret...)
	defer Wipe(marked)
	text := []byte(base64.StdEncoding.EncodeToString(marked))
	defer Wipe(text)
	return k.encrypt(ctx, text, k.context)
}

// UnwrapLocal is the way back from WrapLocal.
func (k *KMS) UnwrapLocal(ctx context.Context, blob []byte) ([]byte, error) {
	text, err := k.decrypt(ctx, blob, k.context)
	if err != nil {
		return nil, err
	}
	defer Wipe(text)
	marked, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil || !strings.HasPrefix(string(marked), localLabel) {
		Wipe(marked)
		return nil, fmt.Errorf("unwrap local key under %s: %w", k.ID(), ErrUnwrap)
	}
	return marked[len(localLabel):], nil
}

// warmEndpoints lets the SDK make its table of endpoints, which it would otherwise do, unguarded, with the first client of each
// goroutine.
var warmEndpoints = sync.OnceFunc(func() { kms.GetEndpointMap() })
