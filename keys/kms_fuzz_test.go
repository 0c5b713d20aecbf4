package keys

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/test/membound"
)

// testDeadline ends retries, which no fixed answer needs.
const testDeadline = 20 * time.Millisecond

// saying is a transport that answers everything alike.
type saying struct {
	status int
	body   []byte
}

// RoundTrip implements http.RoundTripper.
func (s saying) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: s.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(s.body))}, nil
}

// kmsSaying is a master key whose KMS answers everything alike.
func kmsSaying(t *testing.T, status int, body []byte) *KMS {
	t.Helper()
	k, err := NewKMS(KMSConfig{KeyID: "key-1", Endpoint: "https://kms.example.com", Region: "cn-test", Deadline: testDeadline,
		Credentials: func(context.Context) (string, string, string, error) { return "id", "secret", "", nil }})
	if err != nil {
		t.Fatal(err)
	}
	k.transport = &http.Transport{}
	k.transport.RegisterProtocol("https", saying{status, body})
	return k
}

// FuzzKMSAnswer: what KMS answers, or whoever sits at its address, is an answer or an error of a known kind, and no error is long.
func FuzzKMSAnswer(f *testing.F) {
	f.Add(uint8(0), []byte(`{"Plaintext":"AAAA","CiphertextBlob":"blob","KeyId":"key-1","RequestId":"r"}`))
	f.Add(uint8(1), []byte(`{"Code":"Forbidden.KeyNotFound","Message":"no","RequestId":"r"}`))
	f.Add(uint8(2), []byte("<html>"+strings.Repeat("x", 1000)))
	f.Add(uint8(0), []byte(`{"Plaintext":[{}],"KeyId":1e999}`))
	f.Add(uint8(1), []byte(`{"Code":"`+strings.Repeat("x", 5000)+`","Message":"\u001b[2J","RequestId":"r\n"}`))
	f.Add(uint8(4), []byte(`{}`))
	f.Fuzz(func(t *testing.T, status uint8, body []byte) {
		k := kmsSaying(t, []int{200, 400, 403, 404, 302, 307}[int(status)%6], body)
		membound.Check(t, len(body), 200, func() {
			_, err1 := k.encrypt(t.Context(), []byte("text"), "")
			_, err2 := k.decrypt(t.Context(), []byte("blob"), "")
			_, _, err3 := k.GenerateDataKey(t.Context())
			for _, err := range []error{err1, err2, err3} {
				if err == nil {
					continue
				}
				if !errors.Is(err, ErrKMSDenied) && !errors.Is(err, ErrKMSUnreachable) && !errors.Is(err, ErrUnwrap) {
					t.Fatalf("error of no kind: %.300v", err)
				}
				if len(err.Error()) > 2000 {
					t.Fatalf("error of %d bytes", len(err.Error()))
				}
			}
		})
	})
}

// TestKMSAnswersAreBounded: an answer without an end is cut, and a redirect is not followed with a key in the body.
func TestKMSAnswersAreBounded(t *testing.T) {
	for _, status := range []int{200, 400} {
		huge := []byte(`{"Plaintext":"` + strings.Repeat("A", 32<<20))
		k := kmsSaying(t, status, huge)
		membound.Check(t, 0, 0, func() {
			if _, err := k.decrypt(t.Context(), []byte("blob"), ""); err == nil || len(err.Error()) > 2000 {
				t.Errorf("status %d: got %.300v, want a short error", status, err)
			}
		})
	}
	k := kmsSaying(t, 307, nil)
	if _, err := k.encrypt(t.Context(), []byte("text"), ""); !errors.Is(err, ErrKMSUnreachable) || !strings.Contains(err.Error(), "redirected") {
		t.Errorf("got %v, want ErrKMSUnreachable", err)
	}
}
