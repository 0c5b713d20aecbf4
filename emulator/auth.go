package emulator

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"
)

// signedParams are the query parameters that a V1 signature covers, beside those beginning with x-oss-.
var signedParams = func() map[string]bool {
	m := map[string]bool{}
	for _, name := range strings.Fields(`acl append asyncFetch bucketInfo callback callback-var cloudboxes cname comp
		continuation-token cors delete encryption endTime img inventory inventoryId lifecycle live location logging
		metaQuery objectInfo objectMeta partNumber policy position publicAccessBlock qos qosInfo referer regionList
		replication replicationLocation replicationProgress requestPayment resourceGroup response-cache-control
		response-content-disposition response-content-encoding response-content-language response-content-type
		response-expires responseHeader restore rtc security-token sequential startTime stat status style styleName
		symlink tagging transferAcceleration udf uploadId uploads versionId versioning versions vod website
		withHashContext worm wormExtend wormId`) {
		m[name] = true
	}
	return m
}()

// authenticate checks the signature of a request, or marks it anonymous when it has none.
func (c *call) authenticate() error {
	auth := c.header("Authorization")
	switch {
	case strings.HasPrefix(auth, "OSS4-HMAC-SHA256 "):
		return c.checkV4Header(auth)
	case strings.HasPrefix(auth, "OSS "):
		return c.checkV1Header(auth)
	case auth != "":
		return refuse(http.StatusBadRequest, "InvalidArgument", ecBadAuthorization, "Unsupported Authorization Type").with("ArgumentName", "Authorization")
	case c.q.Has("x-oss-signature-version") || c.q.Has("x-oss-signature"):
		return c.checkV4URL()
	case c.q.Has("OSSAccessKeyId") || c.q.Has("Signature"):
		return c.checkV1URL()
	}
	c.anonymous = true
	return c.allowAnonymous()
}

// allowAnonymous lets unsigned requests read and write what the bucket's or object's ACL opens to all.
func (c *call) allowAnonymous() error {
	denied := refuse(http.StatusForbidden, "AccessDenied", ecAccessDenied, "You have no right to access this object because of bucket acl.")
	if c.bucket == "" {
		return denied
	}
	b, err := c.s.store.bucket(c.bucket)
	if err != nil {
		return err
	}
	b.mu.RLock()
	acl := b.config.ACL
	b.mu.RUnlock()
	if c.key != "" {
		if v := b.latest(c.key); v != nil {
			if v.ACL != "" && v.ACL != "default" {
				acl = v.ACL
			}
			v.release()
		}
	}
	read := c.op == "GetObject" || c.op == "HeadObject" || c.op == "GetObjectMeta"
	if (read && strings.HasPrefix(acl, "public-read")) || (c.op == "PutObject" && acl == "public-read-write") {
		return nil
	}
	return denied
}

// secretFor returns the secret of an access key or why it is refused.
func (c *call) secretFor(id, token string) (string, error) {
	secret, fault := c.s.lookup(id, token)
	switch fault {
	case credentialUnknown:
		return "", refuse(http.StatusForbidden, "InvalidAccessKeyId", ecNoAccessKey, "The OSS Access Key Id you provided does not exist in our records.").with("OSSAccessKeyId", id)
	case credentialNotSTS:
		return "", refuse(http.StatusForbidden, "InvalidAccessKeyId", ecNoSTSAccessKey, "The OSS Access Key Id you provided is not of temporary credentials, but a security token came with it.").with("OSSAccessKeyId", id)
	case credentialBadToken:
		return "", refuse(http.StatusForbidden, "InvalidSecurityToken", ecBadToken, "The security token you provided is invalid.")
	case credentialExpired:
		return "", refuse(http.StatusForbidden, "SecurityTokenExpired", ecTokenExpired, "The security token you provided has expired.")
	}
	return secret, nil
}

// checkSkew compares a request's date with the server's.
func (c *call) checkSkew(t time.Time) error {
	if d := c.now().Sub(t); d > c.s.opt.MaxSkew || d < -c.s.opt.MaxSkew {
		return refuse(http.StatusForbidden, "RequestTimeTooSkewed", ecSkew, "The difference between the request time and the current time is too large.").
			with("MaxAllowedSkewMilliseconds", strconv.FormatInt(c.s.opt.MaxSkew.Milliseconds(), 10)).
			with("RequestTime", isoTime(t)).with("ServerTime", isoTime(c.now()))
	}
	return nil
}

func errBadDate() *apiError {
	return refuse(http.StatusForbidden, "AccessDenied", ecBadDate, "OSS authentication requires a valid Date.")
}

func (c *call) checkV1Header(auth string) error {
	id, signature, ok := strings.Cut(strings.TrimPrefix(auth, "OSS "), ":")
	if !ok || id == "" {
		return refuse(http.StatusBadRequest, "InvalidArgument", ecBadAuthorization, "Authorization header is invalid.").with("ArgumentName", "Authorization")
	}
	secret, err := c.secretFor(id, c.header("x-oss-security-token"))
	if err != nil {
		return err
	}
	date := c.header("Date")
	if date == "" {
		date = c.header("x-oss-date")
	}
	t, err := http.ParseTime(date)
	if err != nil {
		return errBadDate()
	}
	if err := c.checkSkew(t); err != nil {
		return err
	}
	return c.matchV1(id, secret, date, signature)
}

func (c *call) checkV1URL() error {
	id, expires := c.param("OSSAccessKeyId"), c.param("Expires")
	secret, err := c.secretFor(id, c.param("security-token"))
	if err != nil {
		return err
	}
	at, err := strconv.ParseInt(expires, 10, 64)
	if err != nil {
		return errArgument("Expires", expires, "The Expires parameter must be a UNIX time.")
	}
	if err := c.matchV1(id, secret, expires, c.param("Signature")); err != nil {
		return err
	}
	if c.now().Unix() > at {
		return refuse(http.StatusForbidden, "AccessDenied", ecURLExpired, "Request has expired.").with("Expires", isoTime(time.Unix(at, 0)))
	}
	return nil
}

func (c *call) matchV1(id, secret, date, signature string) error {
	text := c.v1StringToSign(date)
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(text))
	got, err := base64.StdEncoding.DecodeString(signature)
	if err != nil || !hmac.Equal(got, mac.Sum(nil)) {
		return refuse(http.StatusForbidden, "SignatureDoesNotMatch", ecSignature, msgSignature).
			with("OSSAccessKeyId", id).with("SignatureProvided", signature).with("StringToSign", text)
	}
	return nil
}

// v1StringToSign renders the text that a V1 signature covers:
//
//	VERB LF Content-MD5 LF Content-Type LF Date LF {x-oss-header:value LF} /bucket/key?subresources
func (c *call) v1StringToSign(date string) string {
	var b strings.Builder
	for _, line := range []string{c.r.Method, c.header("Content-MD5"), c.header("Content-Type"), date} {
		b.WriteString(line + "\n")
	}
	b.WriteString(canonicalHeaders(c.r, func(low string) bool { return strings.HasPrefix(low, "x-oss-") }))
	b.WriteString(c.canonicalPath())
	var params []string
	for k, v := range c.q {
		if !signedParams[k] && !strings.HasPrefix(k, "x-oss-") {
			continue
		}
		if v[0] != "" {
			k += "=" + v[0]
		}
		params = append(params, k)
	}
	sort.Strings(params)
	if len(params) > 0 {
		b.WriteString("?" + strings.Join(params, "&"))
	}
	return b.String()
}

// canonicalPath is the resource as signatures name it, whatever the addressing style: not escaped.
func (c *call) canonicalPath() string {
	if c.bucket == "" {
		return "/"
	}
	return "/" + c.bucket + "/" + c.key
}

// canonicalHeaders renders the chosen headers, names in lower case and sorted.
func canonicalHeaders(r *http.Request, chosen func(low string) bool) string {
	lines := map[string]string{}
	for name, values := range r.Header {
		low := strings.ToLower(name)
		if !chosen(low) {
			continue
		}
		trimmed := make([]string, len(values))
		for i, v := range values {
			trimmed[i] = strings.TrimSpace(v)
		}
		lines[low] = strings.Join(trimmed, ",")
	}
	if chosen("host") {
		lines["host"] = r.Host
	}
	var b strings.Builder
	for _, name := range sortedKeys(lines) {
		b.WriteString(name + ":" + lines[name] + "\n")
	}
	return b.String()
}

// canonicalQuery renders the query for V4: encoded, sorted, without the signature itself.
func canonicalQuery(q url.Values) string {
	var items []string
	for k, values := range q {
		if k == "x-oss-signature" {
			continue
		}
		item := percent(k, false)
		if values[0] != "" {
			item += "=" + percent(values[0], false)
		}
		items = append(items, item)
	}
	sort.Slice(items, func(i, j int) bool {
		a, _, _ := strings.Cut(items[i], "=")
		b, _, _ := strings.Cut(items[j], "=")
		return a < b
	})
	return strings.Join(items, "&")
}
