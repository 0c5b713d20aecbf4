package keys

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	sdkerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/kms"
)

// ErrKMSDenied: KMS refuses this account, or the key is missing, disabled or to be deleted. Repeating does not help.
var ErrKMSDenied = errors.New("KMS denies access to the key")

// ErrKMSUnreachable: KMS gave no answer, or only throttling and server errors, until the deadline.
var ErrKMSUnreachable = errors.New("KMS cannot be reached")

// KMSError is a refusal by KMS. It never holds what was sent.
type KMSError struct {
	Action    string // Encrypt, Decrypt or GenerateDataKey
	Code      string // as in Forbidden.KeyNotFound
	Message   string
	RequestID string
	Status    int // of HTTP
}

// Error describes the refusal in one line.
func (e *KMSError) Error() string {
	return fmt.Sprintf("KMS %s: %s (status %d, request %s): %s", e.Action, e.Code, e.Status, e.RequestID, e.Message)
}

// maxMessage bounds in bytes what is kept of a refusal's text.
const maxMessage = 300

// Backoff between attempts: full jitter up to first, doubled each time, at most last.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// encrypt calls Encrypt, bound to an EncryptionContext (or ""). The plaintext travels in the body, so that it appears in no log of URLs.
func (k *KMS) encrypt(ctx context.Context, text []byte, bound string) ([]byte, error) {
	blob, _, err := k.encryptBy(ctx, text, bound)
	return blob, err
}

// encryptBy is encrypt, and tells which key of KMS it was, which matters where the key is named by an alias.
func (k *KMS) encryptBy(ctx context.Context, text []byte, bound string) (_ []byte, keyID string, _ error) {
	var blob string
	err := k.call(ctx, "Encrypt", func(c *kms.Client) error {
		r := kms.CreateEncryptRequest()
		k.prepare(r.RpcRequest, map[string]string{"KeyId": k.keyID, "Plaintext": string(text), "EncryptionContext": bound})
		answer, err := c.Encrypt(r)
		if err == nil {
			blob, keyID = answer.CiphertextBlob, answer.KeyId
		}
		return err
	})
	if err != nil {
		return nil, "", err
	}
	if blob == "" {
		return nil, "", fmt.Errorf("KMS Encrypt answered without a blob: %w", ErrKMSUnreachable)
	}
	k.measure(blob)
	return []byte(blob), keyID, nil
}

// decrypt calls Decrypt with the EncryptionContext that encrypt had.
func (k *KMS) decrypt(ctx context.Context, blob []byte, bound string) ([]byte, error) {
	text, _, err := k.decryptBy(ctx, blob, bound)
	return text, err
}

// decryptBy is decrypt, and tells which key of KMS the blob is of: Decrypt takes those of all keys that the account may use.
func (k *KMS) decryptBy(ctx context.Context, blob []byte, bound string) (text []byte, keyID string, err error) {
	err = k.call(ctx, "Decrypt", func(c *kms.Client) error {
		r := kms.CreateDecryptRequest()
		k.prepare(r.RpcRequest, map[string]string{"CiphertextBlob": string(blob), "EncryptionContext": bound})
		answer, err := c.Decrypt(r)
		if err == nil {
			text, keyID = []byte(answer.Plaintext), answer.KeyId
		}
		return err
	})
	return text, keyID, err
}

// GenerateDataKey lets KMS draw a 32-byte key and returns it with its blob text, which Unwrap turns into the key's
// base64 text: one request, as for wrapping a key drawn here.
func (k *KMS) GenerateDataKey(ctx context.Context) (key, blob []byte, err error) {
	var answer *kms.GenerateDataKeyResponse
	err = k.call(ctx, "GenerateDataKey", func(c *kms.Client) error {
		r := kms.CreateGenerateDataKeyRequest()
		k.prepare(r.RpcRequest, map[string]string{
			"KeyId": k.keyID, "KeySpec": "AES_256", "NumberOfBytes": "32", "EncryptionContext": k.context,
		})
		var err error
		answer, err = c.GenerateDataKey(r)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	key, err = base64.StdEncoding.DecodeString(answer.Plaintext)
	if err != nil || len(key) != 32 || answer.CiphertextBlob == "" {
		return nil, nil, fmt.Errorf("KMS GenerateDataKey answered without a 32-byte key: %w", ErrKMSUnreachable)
	}
	k.measure(answer.CiphertextBlob)
	return key, []byte(answer.CiphertextBlob), nil
}

// prepare addresses a request and puts the parameters that are set into its body.
func (k *KMS) prepare(r *requests.RpcRequest, params map[string]string) {
	r.Scheme = k.scheme
	r.Domain = k.domain
	r.Method = requests.POST
	r.AcceptFormat = "JSON"
	for name, value := range params {
		if value != "" {
			r.FormParams[name] = value
		}
	}
}

// measure remembers the longest blob.
func (k *KMS) measure(blob string) {
	for n := int64(len(blob)); ; {
		old := k.largest.Load()
		if n <= old || k.largest.CompareAndSwap(old, n) {
			return
		}
	}
}

// call runs one action until it succeeds, is refused for good, or time is up. do must be repeatable, as all three actions are.
func (k *KMS) call(ctx context.Context, action string, do func(*kms.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, k.deadline)
	defer cancel()
	limit := firstPause
	for {
		if err := k.limiter.wait(ctx); err != nil {
			return fmt.Errorf("KMS %s: wait for the rate limit: %w: %w", action, ErrKMSUnreachable, err)
		}
		begun := time.Now()
		err := k.attempt(ctx, do)
		if err == nil {
			k.tell(action, begun, nil)
			k.limiter.answered()
			return nil
		}
		err, again := judge(ctx, action, err)
		k.tell(action, begun, err)
		if isThrottled(err) {
			k.limiter.throttled()
		}
		if !again {
			return err
		}
		pause := time.NewTimer(limit/2 + rand.N(limit/2)) //nolint:gosec // jitter, not a secret
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return fmt.Errorf("%w: %w: %w", ErrKMSUnreachable, ctx.Err(), err)
		}
		limit = min(2*limit, lastPause)
	}
}

// attempt sends one request, with credentials of this moment and a client of its own: the SDK's client has no
// context and is not safe for concurrent use with changing credentials. Connections are shared.
func (k *KMS) attempt(ctx context.Context, do func(*kms.Client) error) error {
	id, secret, token, err := k.credentials(ctx)
	if err != nil {
		return &setupError{fmt.Errorf("get credentials for KMS: %w", err)}
	}
	ctx, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	config := sdk.NewConfig().WithScheme(k.scheme)
	config.Transport = &boundTransport{ctx: ctx, kms: k}
	config.Timeout = k.timeout
	client, err := kms.NewClientWithOptions(k.region, config, &credentials.StsTokenCredential{
		AccessKeyId: id, AccessKeySecret: secret, AccessKeyStsToken: token,
	})
	if err != nil {
		return &setupError{fmt.Errorf("set up KMS client: %w", err)}
	}
	return do(client)
}

// setupError is a failure before anything was sent.
type setupError struct{ error }

// Unwrap returns the failure itself.
func (e *setupError) Unwrap() error { return e.error }

// boundTransport sends requests of the SDK, which knows no contexts, under the context of one attempt.
type boundTransport struct {
	ctx context.Context //nolint:containedctx // the SDK has no parameter for it
	kms *KMS
}

// RoundTrip implements http.RoundTripper.
func (t *boundTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.kms.calls.Add(1)
	resp, err := t.kms.transport.RoundTrip(r.WithContext(t.ctx))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 3 { // the SDK would follow, with a key in the body
		return nil, errors.Join(fmt.Errorf("redirected with status %d, is the endpoint right?", resp.StatusCode), resp.Body.Close())
	}
	resp.Body = &shortBody{Reader: io.LimitReader(resp.Body, maxAnswer), Closer: resp.Body}
	return resp, nil
}

// maxAnswer bounds what is read of an answer, which the SDK takes whole: a blob has a few KiB.
const maxAnswer = 256 << 10

// shortBody is a body that ends early.
type shortBody struct {
	io.Reader
	io.Closer
}

// judge turns an error of the SDK into one of ours and tells whether to try again. Of errors that are neither an answer nor
// of the network only the type is told: the SDK's JSON errors quote what they read, secrets included.
func judge(ctx context.Context, action string, err error) (_ error, again bool) {
	var refused *sdkerrors.ServerError
	if errors.As(err, &refused) {
		return judgeRefusal(action, refused)
	}
	var unready *setupError
	if errors.As(err, &unready) {
		return fmt.Errorf("KMS %s: %w", action, err), false
	}
	var sent *url.Error // would print the URL with access key id and signature
	if errors.As(err, &sent) {
		err = sent.Err
	}
	var network net.Error
	ofNetwork := sent != nil || errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
	if !ofNetwork {
		err = fmt.Errorf("unreadable answer (%T), is the endpoint right?", err) //nolint:errorlint // see above
	}
	if ctx.Err() != nil {
		return fmt.Errorf("KMS %s: %w: %w: %w", action, ErrKMSUnreachable, ctx.Err(), err), false
	}
	var untrusted *tls.CertificateVerificationError
	again = ofNetwork && !errors.As(err, &untrusted)
	return fmt.Errorf("KMS %s: %w: %w", action, ErrKMSUnreachable, err), again
}

// isThrottled tells whether KMS said that the calls come too fast.
func isThrottled(err error) bool {
	var refused *KMSError
	return errors.As(err, &refused) && (refused.Status == http.StatusTooManyRequests || strings.Contains(refused.Code, "Throttling"))
}

// short cuts what KMS says, or a web page when the endpoint is no KMS, and makes it fit for a line of a log and a terminal.
func short(s string) string {
	cut := len(s) > maxMessage
	if cut {
		s = s[:maxMessage]
	}
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if cut {
		s += "..."
	}
	return s
}

// judgeRefusal sorts the answers of KMS: worth another try, access denied, or a blob that is not this key's.
func judgeRefusal(action string, r *sdkerrors.ServerError) (_ error, again bool) {
	e := &KMSError{Action: action, Code: short(r.ErrorCode()), Message: short(r.Message()), RequestID: short(r.RequestId()), Status: r.HttpStatus()}
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(e.Code, p) {
				return true
			}
		}
		return false
	}
	switch {
	case e.Status >= 500, e.Status == http.StatusTooManyRequests, e.Status == http.StatusRequestTimeout,
		has("Throttling", "ServiceUnavailable", "InternalFailure", "InternalError"):
		return fmt.Errorf("%w: %w", ErrKMSUnreachable, e), true
	case action == "Decrypt" && has("Ciphertext", "EncryptionContext", "InvalidParameter"):
		return fmt.Errorf("%w: %w", ErrUnwrap, e), false
	default:
		return fmt.Errorf("%w: %w", ErrKMSDenied, e), false
	}
}
