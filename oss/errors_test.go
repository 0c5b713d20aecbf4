package oss

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/ossencfs/ossencfs/test/membound"
)

func errorXML(code, extra string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><Error><Code>` + code + `</Code><Message>m</Message><RequestId>R</RequestId>` + extra + `</Error>`
}

func TestAnswerErrorKinds(t *testing.T) {
	for _, tt := range []struct {
		name      string
		status    int
		body      string
		want      error
		retryable bool
		noEffect  bool
	}{
		{"no key", 404, errorXML("NoSuchKey", ""), ErrNotFound, false, true},
		{"no bucket", 404, errorXML("NoSuchBucket", ""), ErrNoSuchBucket, false, true},
		{"no upload", 404, errorXML("NoSuchUpload", ""), ErrNoSuchUpload, false, true},
		{"exists", 409, errorXML("FileAlreadyExists", ""), ErrExists, false, true},
		{"precondition", 412, errorXML("PreconditionFailed", ""), ErrPrecondition, false, true},
		{"denied", 403, errorXML("AccessDenied", ""), ErrDenied, false, true},
		{"other region", 403, errorXML("AccessDenied", "<Endpoint>oss-cn-x.aliyuncs.com</Endpoint>"), ErrWrongEndpoint, false, true},
		{"signing region", 400, errorXML("InvalidArgument", "<EC>0002-00000226</EC>"), ErrWrongEndpoint, false, true},
		{"key id", 403, errorXML("InvalidAccessKeyId", ""), ErrCredentials, false, true},
		{"signature", 403, errorXML("SignatureDoesNotMatch", ""), ErrCredentials, false, true},
		{"token", 403, errorXML("SecurityTokenExpired", ""), ErrCredentials, false, true},
		{"skew", 403, errorXML("RequestTimeTooSkewed", ""), ErrClock, true, true},
		{"worm", 403, errorXML("FileImmutable", ""), ErrImmutable, false, true},
		{"archive", 403, errorXML("InvalidObjectState", ""), ErrArchived, false, true},
		{"unpaid", 403, errorXML("UserDisable", ""), ErrQuota, false, true},
		{"md5", 400, errorXML("InvalidDigest", ""), ErrBadDigest, true, true},
		{"argument", 400, errorXML("InvalidArgument", ""), ErrInvalid, false, true},
		{"range", 416, errorXML("InvalidRange", ""), ErrRange, false, true},
		{"timeout", 408, errorXML("RequestTimeout", ""), ErrUnavailable, true, false},
		{"qps", 429, errorXML("QpsLimitExceeded", ""), ErrThrottled, true, true},
		{"traffic", 503, errorXML("UploadTrafficRateLimitExceeded", ""), ErrThrottled, true, true},
		{"503", 503, errorXML("ServiceUnavailable", ""), ErrThrottled, true, false},
		{"503 of a proxy", 503, "<html>", ErrThrottled, true, false},
		{"500", 500, errorXML("InternalError", ""), ErrUnavailable, true, false},
		{"502 of a proxy", 502, "<html>", ErrUnavailable, true, false},
		{"404 of a web server", 404, "<html>", ErrWrongEndpoint, false, false},
		{"403 of a proxy", 403, "<html>", ErrWrongEndpoint, false, false},
		{"429 of a proxy", 429, "<html>", ErrThrottled, true, false},
		{"redirect", 302, "", ErrWrongEndpoint, false, false},
		{"not modified", 304, "", ErrPrecondition, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{}
			if strings.Contains(tt.body, "<RequestId>") {
				h.Set("x-oss-request-id", "R")
			}
			err := fmt.Errorf("wrapped: %w", answerError("Op", "k", tt.status, h, []byte(tt.body)))
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if got := Retryable(err); got != tt.retryable {
				t.Errorf("Retryable = %v, want %v", got, tt.retryable)
			}
			if got := NoEffect(err); got != tt.noEffect {
				t.Errorf("NoEffect = %v, want %v", got, tt.noEffect)
			}
		})
	}
}

func TestHeadErrorFromHeader(t *testing.T) {
	h := http.Header{}
	h.Set("x-oss-err", base64.StdEncoding.EncodeToString([]byte(errorXML("NoSuchBucket", ""))))
	h.Set("x-oss-request-id", "R")
	h.Set("x-oss-ec", "0015-00000101")
	e := answerError("HeadObject", "k", 404, h, nil)
	if !errors.Is(e, ErrNoSuchBucket) || e.EC != "0015-00000101" {
		t.Errorf("got %v, EC %q", e, e.EC)
	}
	h.Del("x-oss-err")
	if e := answerError("HeadObject", "k", 404, h, nil); !errors.Is(e, ErrNotFound) {
		t.Errorf("without a document got %v, want ErrNotFound", e)
	}
}

func TestRetryAfterIsBounded(t *testing.T) {
	for _, tt := range []struct {
		name, value string
		want        time.Duration
	}{
		{"x-oss-qos-delay-time", "150", 150 * time.Millisecond},
		{"x-oss-qos-delay-time", "99999999", maxQoSDelay},
		{"x-oss-qos-delay-time", "-5", 0},
		{"x-oss-qos-delay-time", "soon", 0},
		{"Retry-After", "2", 2 * time.Second},
	} {
		h := http.Header{}
		h.Set(tt.name, tt.value)
		if got := RetryAfter(answerError("Op", "k", 503, h, nil)); got != tt.want {
			t.Errorf("%s: %s: got %v, want %v", tt.name, tt.value, got, tt.want)
		}
	}
	if RetryAfter(errors.New("other")) != 0 {
		t.Error("RetryAfter of a foreign error is not 0")
	}
}

func TestEndedContextIsNotRetryable(t *testing.T) {
	for _, cause := range []error{context.Canceled, context.DeadlineExceeded} {
		if Retryable(networkError("Op", "k", cause, nil)) {
			t.Errorf("Retryable(%v) = true", cause)
		}
	}
}

func TestBackoffGrowsWithinBounds(t *testing.T) {
	for tries := range 70 {
		full := min(firstDelay<<min(tries, 10), lastDelay)
		for range 20 {
			if d := backoff(tries, 0); d < full/2 || d > full {
				t.Fatalf("backoff(%d) = %v, want within %v and %v", tries, d, full/2, full)
			}
		}
		if d := backoff(tries, 7*time.Second); d < 7*time.Second {
			t.Fatalf("backoff(%d, 7s) = %v", tries, d)
		}
	}
}

func FuzzErrorDocument(f *testing.F) {
	f.Add([]byte(errorXML("NoSuchKey", "<EC>1</EC>")), 404)
	f.Add([]byte("<Error>"), 500)
	f.Add([]byte(""), 302)
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		h := http.Header{"X-Oss-Err": {string(body)}}
		var e *Error
		membound.Check(t, len(body), 100, func() { e = answerError("Op", "k", status, h, body) })
		if e.kind == nil || e.Error() == "" {
			t.Fatalf("error without a kind: %#v", e)
		}
		if text := e.Error(); len(text) > 2000 || strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
			t.Fatalf("error of %d bytes: %.300q", len(text), text)
		}
		_, _, _ = Retryable(e), NoEffect(e), RetryAfter(e)
	})
}
