package emulator

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	sdkerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/kms"
	sdkcrypto "github.com/aliyun/aliyun-oss-go-sdk/oss/crypto"
)

// kmsClient is the official KMS client on s, over HTTP or HTTPS.
func kmsClient(t *testing.T, s *Server, id, secret, token string, secure bool) *kms.Client {
	t.Helper()
	c, err := kms.NewClientWithStsToken(s.Region(), id, secret, token)
	if err != nil {
		t.Fatal(err)
	}
	c.Domain = strings.TrimPrefix(s.KMSEndpoint(), "http://")
	c.GetConfig().WithScheme("HTTP").WithAutoRetry(false)
	if secure {
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(s.CACertPEM()) {
			t.Fatal("the CA is no certificate")
		}
		c.Domain = strings.TrimPrefix(s.TLSEndpoint(), "https://")
		c.GetConfig().WithScheme("HTTPS")
		c.SetTransport(&http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}})
	}
	return c
}

// refusedByKMS fails unless err is a refusal with this code.
func refusedByKMS(t *testing.T, err error, code string) {
	t.Helper()
	e, ok := err.(*sdkerrors.ServerError)
	if !ok || e.ErrorCode() != code || e.RequestId() == "" {
		t.Errorf("got %v, want KMS code %s with a request id", err, code)
	}
}

func generate(c *kms.Client, key, context string) (*kms.GenerateDataKeyResponse, error) {
	r := kms.CreateGenerateDataKeyRequest()
	r.KeyId, r.KeySpec, r.EncryptionContext = key, "AES_256", context
	return c.GenerateDataKey(r)
}

func encrypt(c *kms.Client, key, text, context string) (*kms.EncryptResponse, error) {
	r := kms.CreateEncryptRequest()
	r.KeyId, r.Plaintext, r.EncryptionContext = key, text, context
	return c.Encrypt(r)
}

func decrypt(c *kms.Client, blob, context string) (*kms.DecryptResponse, error) {
	r := kms.CreateDecryptRequest()
	r.CiphertextBlob, r.EncryptionContext = blob, context
	return c.Decrypt(r)
}

func TestKMS(t *testing.T) {
	s := start(t, Options{TLS: true})
	for name, secure := range map[string]bool{"http": false, "https": true} {
		t.Run(name, func(t *testing.T) {
			c := kmsClient(t, s, s.AccessKeyID(), s.AccessKeySecret(), "", secure)
			key, err := generate(c, s.KMSKeyID(), `{"x-passphrase":"p", "a":"b"}`)
			if err != nil {
				t.Fatal(err)
			}
			if raw, err := base64.StdEncoding.DecodeString(key.Plaintext); err != nil || len(raw) != 32 {
				t.Errorf("data key %d bytes, %v", len(raw), err)
			}
			back, err := decrypt(c, key.CiphertextBlob, `{ "a":"b","x-passphrase":"p" }`)
			if err != nil || back.Plaintext != key.Plaintext || back.KeyId != s.KMSKeyID() {
				t.Errorf("decrypt under the same map: %v", err)
			}
			_, err = decrypt(c, key.CiphertextBlob, `{"x-passphrase":"q","a":"b"}`)
			refusedByKMS(t, err, "InvalidCiphertext")
			_, err = decrypt(c, key.CiphertextBlob, "")
			refusedByKMS(t, err, "InvalidCiphertext")
			blob, err := encrypt(c, s.KMSKeyID(), "7", "")
			if err != nil {
				t.Fatal(err)
			}
			if back, err := decrypt(c, blob.CiphertextBlob, "{}"); err != nil || back.Plaintext != "7" {
				t.Errorf("bare text: %v", err)
			}
		})
	}
	if n := s.Requests(); n["GenerateDataKey"] != 2 || n["Decrypt"] != 8 || n["Encrypt"] != 2 {
		t.Errorf("counts %v", n)
	}
}

func TestKMSRefusals(t *testing.T) {
	s := start(t, Options{KMSPlaintext: Refuse})
	s.AddSTS("STS.ok", "secret", "token", time.Time{})
	s.AddSTS("STS.old", "secret", "token", time.Now().Add(-time.Hour))
	c := kmsClient(t, s, s.AccessKeyID(), s.AccessKeySecret(), "", false)
	with := func(id, secret, token string) error {
		_, err := generate(kmsClient(t, s, id, secret, token, false), s.KMSKeyID(), "")
		return err
	}
	if err := with("STS.ok", "secret", "token"); err != nil {
		t.Errorf("a good token: %v", err)
	}
	_, noKey := generate(c, "key-none", "")
	_, noID := generate(c, "", "")
	_, badContext := generate(c, s.KMSKeyID(), "[1]")
	_, bare := encrypt(c, s.KMSKeyID(), "7", "")
	_, long := encrypt(c, s.KMSKeyID(), strings.Repeat("AAAA", 1600), "")
	_, junk := decrypt(c, "AAAA", "")
	_, notBase64 := decrypt(c, "!", "")
	for name, test := range map[string]struct {
		err  error
		code string
	}{
		"unknown access key": {with("nobody", "secret", ""), "InvalidAccessKeyId.NotFound"},
		"wrong secret":       {with(s.AccessKeyID(), "wrong", ""), "SignatureDoesNotMatch"},
		"wrong token":        {with("STS.ok", "secret", "other"), "InvalidSecurityToken.MismatchWithAccessKey"},
		"expired token":      {with("STS.old", "secret", "token"), "InvalidSecurityToken.Expired"},
		"unknown key":        {noKey, "Forbidden.KeyNotFound"},
		"no key id":          {noID, "MissingParameter"},
		"context":            {badContext, "InvalidParameter"},
		"bare text":          {bare, "InvalidParameter"},
		"long text":          {long, "InvalidParameter"},
		"short blob":         {junk, "InvalidCiphertext"},
		"blob not base64":    {notBase64, "InvalidCiphertext"},
	} {
		t.Run(name, func(t *testing.T) { refusedByKMS(t, test.err, test.code) })
	}
}

// TestKMSOverOSSCrypto stores through the SDK's KMS encryption, which speaks HTTPS only.
func TestKMSOverOSSCrypto(t *testing.T) {
	s := start(t, Options{TLS: true})
	m, err := sdkcrypto.CreateMasterAliKms(nil, s.KMSKeyID(), kmsClient(t, s, s.AccessKeyID(), s.AccessKeySecret(), "", true))
	if err != nil {
		t.Fatal(err)
	}
	b, err := sdkcrypto.GetCryptoBucket(sdkClient(t, s), testBucket, sdkcrypto.CreateAesCtrCipher(m))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.PutObject("o", strings.NewReader("secret text")); err != nil {
		t.Fatal(err)
	}
	r, err := b.GetObject("o")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); string(got) != "secret text" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestKMSXMLAndGet uses the default answer format and the GET method, as the Python SDK may.
func TestKMSXMLAndGet(t *testing.T) {
	s := start(t, Options{})
	q := url.Values{
		"Action": {"DescribeKey"}, "Version": {kmsVersion}, "KeyId": {s.KMSKeyID()}, "AccessKeyId": {s.AccessKeyID()},
		"SignatureMethod": {"HMAC-SHA1"}, "SignatureVersion": {"1.0"}, "SignatureNonce": {"a+b c"},
		"Timestamp": {time.Now().UTC().Format("2006-01-02T15:04:05Z")}, "Signature": {"x"},
	}
	get := func() (int, string) {
		resp, err := http.Get(s.KMSEndpoint() + "/?" + q.Encode())
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(data)
	}
	if status, doc := get(); status != 400 || !strings.Contains(doc, "<Code>SignatureDoesNotMatch</Code>") {
		t.Errorf("wrong signature: %d %s", status, doc)
	}
	q.Set("Timestamp", "2020-01-01T00:00:00Z")
	if status, doc := get(); status != 400 || !strings.Contains(doc, "InvalidTimeStamp.Expired") {
		t.Errorf("old request: %d %s", status, doc)
	}
	q.Set("Action", "Nothing")
	if status, doc := get(); status != 404 || !strings.Contains(doc, "InvalidAction.NotFound") {
		t.Errorf("unknown action: %d %s", status, doc)
	}
}

// FuzzUnwrap feeds foreign blobs to Decrypt's parser.
func FuzzUnwrap(f *testing.F) {
	k := &keyring{account: account{KMSKeys: map[string][]byte{"k": bytes.Repeat([]byte{1}, 32)}}}
	good, err := k.wrap("k", []byte("text"), "")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, "")
	f.Add("AQFr", "x")
	f.Add("AQ==", "")
	f.Fuzz(func(t *testing.T, blob, context string) {
		if plain, _, err := k.unwrap(blob, context); err == nil && (string(plain) != "text" || context != "") {
			t.Errorf("a foreign blob opened to %q", plain)
		}
	})
}
