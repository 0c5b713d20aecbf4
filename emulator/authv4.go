package emulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	v4Algorithm  = "OSS4-HMAC-SHA256"
	v4TimeFormat = "20060102T150405Z"
	v4MaxExpires = 7 * 24 * 60 * 60 // seconds a V4 URL may live
	v4Payload    = "UNSIGNED-PAYLOAD"
)

// v4Request is what a V4 signature says about itself.
type v4Request struct {
	id, day, region string
	additional      []string
	signature       string
	date            string // as it was signed
	payload         string
}

func errV4(format string, args ...any) *apiError {
	return refuse(http.StatusBadRequest, "InvalidArgument", ecBadAuthorization, format, args...).with("ArgumentName", "Authorization")
}

// parseV4Header reads the fields of an Authorization header.
func parseV4Header(auth string) (v4Request, error) {
	var v v4Request
	var credential string
	for field := range strings.SplitSeq(strings.TrimPrefix(auth, v4Algorithm+" "), ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(field), "=")
		switch {
		case !ok:
			return v, errV4("Authorization header is invalid.")
		case name == "Credential":
			credential = value
		case name == "AdditionalHeaders":
			v.additional = strings.Split(value, ";")
		case name == "Signature":
			v.signature = value
		}
	}
	return v, v.scope(credential)
}

// scope reads ID/DAY/REGION/oss/aliyun_v4_request.
func (v *v4Request) scope(credential string) error {
	f := strings.Split(credential, "/")
	if len(f) != 5 || f[0] == "" || f[3] != "oss" || f[4] != "aliyun_v4_request" || v.signature == "" {
		return errV4("Invalid signing credential in Authorization header.")
	}
	v.id, v.day, v.region = f[0], f[1], f[2]
	return nil
}

func (c *call) checkV4Header(auth string) error {
	v, err := parseV4Header(auth)
	if err != nil {
		return err
	}
	v.payload = c.header("x-oss-content-sha256")
	if v.payload != v4Payload {
		return errV4("The x-oss-content-sha256 header must be %s.", v4Payload)
	}
	var t time.Time
	if v.date = c.header("x-oss-date"); v.date != "" {
		t, err = time.Parse(v4TimeFormat, v.date)
	} else {
		v.date = c.header("Date")
		t, err = http.ParseTime(v.date)
	}
	if err != nil {
		return errBadDate()
	}
	secret, err := c.secretFor(v.id, c.header("x-oss-security-token"))
	if err != nil {
		return err
	}
	if err := c.checkSkew(t); err != nil {
		return err
	}
	return c.matchV4(&v, secret, t)
}

func (c *call) checkV4URL() error {
	if c.param("x-oss-signature-version") != v4Algorithm {
		return errV4("x-oss-signature-version must be %s.", v4Algorithm)
	}
	v := v4Request{signature: c.param("x-oss-signature"), date: c.param("x-oss-date"), payload: v4Payload}
	if list := c.param("x-oss-additional-headers"); list != "" {
		v.additional = strings.Split(list, ";")
	}
	if err := v.scope(c.param("x-oss-credential")); err != nil {
		return err
	}
	t, err := time.Parse(v4TimeFormat, v.date)
	if err != nil {
		return errBadDate()
	}
	life, err := strconv.ParseInt(c.param("x-oss-expires"), 10, 64)
	if err != nil || life < 1 || life > v4MaxExpires {
		return errArgument("x-oss-expires", c.param("x-oss-expires"), "x-oss-expires must be between 1 and 604800 seconds.")
	}
	secret, err := c.secretFor(v.id, c.param("x-oss-security-token"))
	if err != nil {
		return err
	}
	if err := c.matchV4(&v, secret, t); err != nil {
		return err
	}
	now := c.now()
	if now.Before(t.Add(-c.s.opt.MaxSkew)) {
		return refuse(http.StatusForbidden, "AccessDenied", ecURLNotValid, "The signed URL is not valid yet.")
	}
	if end := t.Add(time.Duration(life) * time.Second); now.After(end) {
		return refuse(http.StatusForbidden, "AccessDenied", ecURLExpired, "Request has expired.").with("Expires", isoTime(end))
	}
	return nil
}

// matchV4 computes the signature and compares.
func (c *call) matchV4(v *v4Request, secret string, t time.Time) error {
	if v.region != c.s.opt.Region {
		return refuse(http.StatusBadRequest, "InvalidArgument", ecRegion, "Invalid signing region in Authorization header.").with("Region", c.s.opt.Region)
	}
	if v.day != t.UTC().Format("20060102") {
		return errV4("Invalid signing date in Authorization header.")
	}
	canonical := c.v4CanonicalRequest(v)
	sum := sha256.Sum256([]byte(canonical))
	text := strings.Join([]string{
		v4Algorithm, v.date, v.day + "/" + v.region + "/oss/aliyun_v4_request", hex.EncodeToString(sum[:]),
	}, "\n")
	key := []byte("aliyun_v4" + secret)
	for _, step := range []string{v.day, v.region, "oss", "aliyun_v4_request", text} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(step))
		key = mac.Sum(nil)
	}
	got, err := hex.DecodeString(v.signature)
	if err != nil || !hmac.Equal(got, key) {
		return refuse(http.StatusForbidden, "SignatureDoesNotMatch", ecSignature, msgSignature).
			with("OSSAccessKeyId", v.id).with("SignatureProvided", v.signature).
			with("StringToSign", text).with("CanonicalRequest", canonical)
	}
	return nil
}

// v4CanonicalRequest renders the request that a V4 signature covers.
func (c *call) v4CanonicalRequest(v *v4Request) string {
	extra := map[string]bool{}
	for _, name := range v.additional {
		extra[strings.ToLower(name)] = true
	}
	headers := canonicalHeaders(c.r, func(low string) bool {
		return low == "content-type" || low == "content-md5" || strings.HasPrefix(low, "x-oss-") || extra[low]
	})
	return strings.Join([]string{
		c.r.Method, percent(c.canonicalPath(), true), canonicalQuery(c.q), headers,
		strings.Join(v.additional, ";"), v.payload,
	}, "\n")
}
