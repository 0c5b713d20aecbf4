package oss

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"strconv"
	"time"
)

// maxErrorBody bounds how much of an error document is read; OSS sends less than 2 KiB.
const maxErrorBody = 64 << 10

// maxQoSDelay bounds the wait that a server may ask for, so that a broken header cannot stop a mount.
const maxQoSDelay = 30 * time.Second

// errorDocument is the error body of OSS: <Error><Code/><Message/><RequestId/><Endpoint/><EC/></Error>.
type errorDocument struct {
	XMLName   xml.Name `xml:"Error"`
	Code      string   `xml:"Code"`
	Message   string   `xml:"Message"`
	RequestID string   `xml:"RequestId"`
	Endpoint  string   `xml:"Endpoint"`
	EC        string   `xml:"EC"`
}

// parseErrorDocument reads an error body; ok is false when it is none of OSS.
func parseErrorDocument(body []byte) (doc errorDocument, ok bool) {
	if len(bytes.TrimSpace(body)) == 0 || len(body) > maxErrorBody {
		return errorDocument{}, false
	}
	if err := xml.Unmarshal(body, &doc); err != nil || doc.Code == "" {
		return errorDocument{}, false
	}
	return doc, true
}

// answerError turns an answer outside 2xx into an *Error. HEAD answers carry the document in a header.
func answerError(op, key string, status int, header http.Header, body []byte) *Error {
	doc, ok := parseErrorDocument(body)
	if !ok {
		if raw, err := base64.StdEncoding.DecodeString(header.Get("x-oss-err")); err == nil {
			doc, ok = parseErrorDocument(raw)
		}
	}
	e := &Error{Op: op, Key: key, Status: status, Code: doc.Code, Message: doc.Message, Endpoint: doc.Endpoint,
		EC: firstOf(doc.EC, header.Get("x-oss-ec")), RequestID: firstOf(header.Get("x-oss-request-id"), doc.RequestID)}
	e.after = retryDelay(header)
	e.date, _ = http.ParseTime(header.Get("Date"))
	e.kind = kindOf(e)
	if e.kind != ErrWrongEndpoint {
		e.Endpoint = ""
	}
	if !ok && e.RequestID == "" && e.kind == ErrWrongEndpoint {
		e.Message = "the server does not answer like OSS: " + http.StatusText(status)
	}
	return e
}

// retryDelay reads the wait that a throttling answer asks for.
func retryDelay(header http.Header) time.Duration {
	d := time.Duration(0)
	if ms, err := strconv.ParseInt(header.Get("x-oss-qos-delay-time"), 10, 32); err == nil {
		d = time.Duration(ms) * time.Millisecond
	} else if s, err := strconv.ParseInt(header.Get("Retry-After"), 10, 32); err == nil {
		d = time.Duration(s) * time.Second
	}
	return min(max(d, 0), maxQoSDelay)
}

// kindByCode holds the codes whose meaning does not follow from the status (OSS error-code reference; OSS.md §5.7).
var kindByCode = map[string]error{
	"NoSuchKey":                 ErrNotFound,
	codeDanglingLink:            ErrNotFound,
	"NoSuchBucket":              ErrNoSuchBucket,
	"NoSuchUpload":              ErrNoSuchUpload,
	"FileAlreadyExists":         ErrExists,
	"PreconditionFailed":        ErrPrecondition,
	"NotModified":               ErrPrecondition,
	"InvalidAccessKeyId":        ErrCredentials,
	"SignatureDoesNotMatch":     ErrCredentials,
	"SecurityTokenExpired":      ErrCredentials,
	"InvalidSecurityToken":      ErrCredentials,
	"SecurityTokenNotSupported": ErrCredentials,
	"RequestTimeTooSkewed":      ErrClock,
	"FileImmutable":             ErrImmutable,
	"InvalidObjectState":        ErrArchived,
	"InvalidDigest":             ErrBadDigest,
	"BadDigest":                 ErrBadDigest,
	"InvalidRange":              ErrRange,
	"UserDisable":               ErrQuota,
	"QuotaExceeded":             ErrQuota,
	"InsufficientStorage":       ErrQuota,
	"NotImplemented":            ErrUnsupported,
	"MethodNotAllowed":          ErrUnsupported,
	"QpsLimitExceeded":          ErrThrottled,
	"RequestTimeout":            ErrUnavailable,
	"IncompleteBody":            ErrTruncated,
	"AccessDenied":              ErrDenied,
	"InvalidBucketName":         ErrNoSuchBucket,
}

// ecWrongRegion is the detailed code of "Invalid signing region in Authorization header" (400 InvalidArgument).
const ecWrongRegion = "0002-00000226"

// kindOf decides what an answer outside 2xx means.
func kindOf(e *Error) error {
	if e.Endpoint != "" && e.Status >= 300 && e.Status <= 403 || e.EC == ecWrongRegion {
		return ErrWrongEndpoint
	}
	if k, ok := kindByCode[e.Code]; ok {
		return k
	}
	switch s := e.Status; {
	case s == http.StatusNotModified, s == http.StatusPreconditionFailed:
		return ErrPrecondition
	case s >= 300 && s < 400:
		return ErrWrongEndpoint
	case s < 500 && e.RequestID == "" && s != http.StatusRequestTimeout && s != http.StatusTooManyRequests:
		return ErrWrongEndpoint // a web server or a proxy, not OSS
	case s == http.StatusNotFound:
		return ErrNotFound
	case s == http.StatusUnauthorized:
		return ErrCredentials
	case s == http.StatusForbidden:
		return ErrDenied
	case s == http.StatusRequestTimeout:
		return ErrUnavailable
	case s == http.StatusRequestedRangeNotSatisfiable:
		return ErrRange
	case s == http.StatusNotImplemented, s == http.StatusMethodNotAllowed:
		return ErrUnsupported
	case s == http.StatusTooManyRequests, s == http.StatusServiceUnavailable:
		return ErrThrottled
	case s == http.StatusInsufficientStorage:
		return ErrQuota
	case s >= 500:
		return ErrUnavailable
	}
	return ErrInvalid
}

func firstOf(ss ...string) string {
	for _, s := range ss {
		if s != "" {
			return s
		}
	}
	return ""
}
