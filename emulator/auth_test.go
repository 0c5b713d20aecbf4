package emulator

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// tryPut tries one small PUT with these credentials.
func tryPut(t *testing.T, s *Server, id, secret string, opts ...sdk.ClientOption) error {
	t.Helper()
	opts = append([]sdk.ClientOption{sdk.ForcePathStyle(true), sdk.Region(s.Region())}, opts...)
	c, err := sdk.New(s.Endpoint(), id, secret, opts...)
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.Bucket(testBucket)
	if err != nil {
		t.Fatal(err)
	}
	return b.PutObject("o", strings.NewReader("x"))
}

func TestCredentialsRefused(t *testing.T) {
	s := start(t, Options{})
	s.AddSTS("STS.good", "secret", "token", time.Now().Add(time.Hour))
	s.AddSTS("STS.old", "secret", "token", time.Now().Add(-time.Second))
	id, secret := s.AccessKeyID(), s.AccessKeySecret()
	for _, version := range []sdk.AuthVersionType{sdk.AuthV1, sdk.AuthV4} {
		v := sdk.AuthVersion(version)
		for name, test := range map[string]struct {
			err error
			ec  string
		}{
			"wrong secret":      {tryPut(t, s, id, secret+"x", v), ecSignature},
			"unknown key":       {tryPut(t, s, "nobody", secret, v), ecNoAccessKey},
			"token with a key":  {tryPut(t, s, id, secret, v, sdk.SecurityToken("1234")), ecNoSTSAccessKey},
			"other token":       {tryPut(t, s, "STS.good", "secret", v, sdk.SecurityToken("other")), ecBadToken},
			"no token":          {tryPut(t, s, "STS.good", "secret", v), ecBadToken},
			"expired token":     {tryPut(t, s, "STS.old", "secret", v, sdk.SecurityToken("token")), ecTokenExpired},
			"wrong STS secret":  {tryPut(t, s, "STS.good", "other", v, sdk.SecurityToken("token")), ecSignature},
			"unsupported in V2": {tryPut(t, s, id, secret, sdk.AuthVersion(sdk.AuthV2)), ecBadAuthorization},
		} {
			t.Run(string(version)+" "+name, func(t *testing.T) { refusedAs(t, test.err, test.ec) })
		}
		if err := tryPut(t, s, "STS.good", "secret", v, sdk.SecurityToken("token")); err != nil {
			t.Errorf("%s with a good token: %v", version, err)
		}
	}
	refusedAs(t, tryPut(t, s, id, secret, sdk.AuthVersion(sdk.AuthV4), sdk.Region("cn-beijing")), ecRegion)
	s.RemoveAccessKey("STS.good")
	refusedAs(t, tryPut(t, s, "STS.good", "secret", sdk.SecurityToken("token")), ecNoAccessKey)
	lax := start(t, Options{AcceptAnyToken: true})
	if err := tryPut(t, lax, lax.AccessKeyID(), lax.AccessKeySecret(), sdk.SecurityToken("1234")); err != nil {
		t.Errorf("any token where it is accepted: %v", err)
	}
}

func TestClock(t *testing.T) {
	for name, skew := range map[string]time.Duration{"behind": -16 * time.Minute, "ahead": 16 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			s := start(t, Options{Now: func() time.Time { return time.Now().Add(skew) }})
			for _, version := range []sdk.AuthVersionType{sdk.AuthV1, sdk.AuthV4} {
				refusedAs(t, tryPut(t, s, s.AccessKeyID(), s.AccessKeySecret(), sdk.AuthVersion(version)), ecSkew)
			}
		})
	}
	s := start(t, Options{Now: func() time.Time { return time.Now().Add(14 * time.Minute) }})
	if err := tryPut(t, s, s.AccessKeyID(), s.AccessKeySecret()); err != nil {
		t.Errorf("14 minutes: %v", err)
	}
}

func TestURLsExpire(t *testing.T) {
	now := time.Now()
	s := start(t, Options{Now: func() time.Time { return now }})
	if err := s.WriteObject(testBucket, "o", nil, []byte("x")); err != nil {
		t.Fatal(err)
	}
	for _, version := range []sdk.AuthVersionType{sdk.AuthV1, sdk.AuthV4} {
		now = time.Now()
		b := sdkBucket(t, s, sdk.AuthVersion(version))
		url, err := b.SignURL("o", sdk.HTTPGet, 60)
		if err != nil {
			t.Fatal(err)
		}
		r, err := b.GetObjectWithURL(url)
		if err != nil {
			t.Fatalf("%s in time: %v", version, err)
		}
		r.Close()
		now = now.Add(62 * time.Second)
		_, err = b.GetObjectWithURL(url)
		refusedAs(t, err, ecURLExpired)
		now = now.Add(-time.Hour)
		if version == sdk.AuthV4 {
			_, err = b.GetObjectWithURL(url)
			refusedAs(t, err, ecURLNotValid)
		}
	}
}

// raw sends a request signed with V1 and returns status and EC.
func raw(t *testing.T, s *Server, method, path, body string, h map[string]string) (status int, ec string) {
	t.Helper()
	req, err := http.NewRequest(method, s.Endpoint()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	for k, v := range h {
		req.Header.Set(k, v)
	}
	if _, given := h["Authorization"]; !given {
		c := &call{s: s, r: req, q: req.URL.Query()}
		c.bucket, c.key = s.target(req)
		mac := hmac.New(sha1.New, []byte(s.AccessKeySecret()))
		mac.Write([]byte(c.v1StringToSign(req.Header.Get("Date"))))
		req.Header.Set("Authorization", "OSS "+s.AccessKeyID()+":"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var e struct {
		Code      string `xml:"Code"`
		RequestID string `xml:"RequestId"`
		HostID    string `xml:"HostId"`
		EC        string `xml:"EC"`
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode >= 400 && method != http.MethodHead {
		if err := xml.Unmarshal(data, &e); err != nil || e.Code == "" || e.HostID == "" || e.RequestID != resp.Header.Get("X-Oss-Request-Id") || e.EC != resp.Header.Get("X-Oss-Ec") {
			t.Errorf("%s %s: error document %q does not agree with headers %v: %v", method, path, data, resp.Header, err)
		}
	}
	return resp.StatusCode, resp.Header.Get("X-Oss-Ec")
}

// TestRawRefusals tries what no official client can send.
func TestRawRefusals(t *testing.T) {
	s := start(t, Options{})
	b := sdkBucket(t, s)
	up, err := b.InitiateMultipartUpload("m")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 2} {
		if _, err := b.UploadPart(up, strings.NewReader("x"), 1, n); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.WriteObject(testBucket, "o", nil, []byte("x")); err != nil {
		t.Fatal(err)
	}
	const part = `<Part><PartNumber>2</PartNumber><ETag>"9DD4E461268C8034F5C8564E155C67A6"</ETag></Part><Part><PartNumber>1</PartNumber><ETag>"9DD4E461268C8034F5C8564E155C67A6"</ETag></Part>`
	now := time.Now().UTC()
	v4 := func(scope string) string {
		return "OSS4-HMAC-SHA256 Credential=" + s.AccessKeyID() + "/" + scope + ",Signature=00"
	}
	md5text := "1B2M2Y8AsgTpgAmY7PhCfg==" // of the empty body
	for _, test := range []struct {
		name, method, path, body string
		h                        map[string]string
		status                   int
		ec                       string
	}{
		{"no signature", "GET", "/test-bucket/o", "", map[string]string{"Authorization": ""}, 403, ecAccessDenied},
		{"no signature at all buckets", "GET", "/", "", map[string]string{"Authorization": ""}, 403, ecAccessDenied},
		{"no colon", "GET", "/test-bucket/o", "", map[string]string{"Authorization": "OSS nothing"}, 400, ecBadAuthorization},
		{"other scheme", "GET", "/test-bucket/o", "", map[string]string{"Authorization": "Basic eA=="}, 400, ecBadAuthorization},
		{"bad date", "GET", "/test-bucket/o", "", map[string]string{"Date": "yesterday"}, 403, ecBadDate},
		{"V4 without payload hash", "GET", "/test-bucket/o", "", map[string]string{"Authorization": v4(now.Format("20060102") + "/cn-hangzhou/oss/aliyun_v4_request")}, 400, ecBadAuthorization},
		{"V4 with a short scope", "GET", "/test-bucket/o", "", map[string]string{"Authorization": v4("x/y"), "x-oss-content-sha256": v4Payload}, 400, ecBadAuthorization},
		{"V4 of another day", "GET", "/test-bucket/o", "", map[string]string{"Authorization": v4("20200101/cn-hangzhou/oss/aliyun_v4_request"), "x-oss-content-sha256": v4Payload, "x-oss-date": now.Format(v4TimeFormat)}, 400, ecBadAuthorization},
		{"V4 with a bad date", "GET", "/test-bucket/o", "", map[string]string{"Authorization": v4("20200101/cn-hangzhou/oss/aliyun_v4_request"), "x-oss-content-sha256": v4Payload, "x-oss-date": "x"}, 403, ecBadDate},
		{"V4 with no signature", "GET", "/test-bucket/o", "", map[string]string{"Authorization": v4(now.Format("20060102") + "/cn-hangzhou/oss/aliyun_v4_request"), "x-oss-content-sha256": v4Payload, "x-oss-date": now.Format(v4TimeFormat)}, 403, ecSignature},
		{"descending parts", "POST", "/test-bucket/m?uploadId=" + up.UploadID, "<CompleteMultipartUpload>" + part + "</CompleteMultipartUpload>", nil, 400, ecPartOrder},
		{"no parts", "POST", "/test-bucket/m?uploadId=" + up.UploadID, "<CompleteMultipartUpload></CompleteMultipartUpload>", nil, 400, ecXML},
		{"no document", "POST", "/test-bucket/m?uploadId=" + up.UploadID, "", nil, 400, ecXML},
		{"no XML", "POST", "/test-bucket/m?uploadId=" + up.UploadID, "{}", nil, 400, ecXML},
		{"no position", "POST", "/test-bucket/a?append", "x", nil, 400, ecNoPosition},
		{"negative position", "POST", "/test-bucket/a?append&position=-1", "x", nil, 400, ecArgument},
		{"batch without digest", "POST", "/test-bucket/?delete", "<Delete></Delete>", nil, 400, ecDigest},
		{"batch without keys", "POST", "/test-bucket/?delete", "", map[string]string{"Content-MD5": md5text}, 400, ecXML},
		{"method", "PATCH", "/test-bucket/o", "", nil, 405, ecMethod},
		{"unknown sub-resource", "GET", "/test-bucket/?cors", "", nil, 501, ecNotImplemented},
		{"bucket name", "PUT", "/No_Bucket/", "", nil, 400, ecBucketName},
		{"bucket acl", "PUT", "/test-bucket/?acl", "", map[string]string{"x-oss-acl": "all"}, 400, ecArgument},
		{"versioning", "PUT", "/test-bucket/?versioning", "<VersioningConfiguration><Status>Maybe</Status></VersioningConfiguration>", nil, 400, ecBucketConfig},
		{"encoding type", "GET", "/test-bucket/?encoding-type=base64", "", nil, 400, ecArgument},
		{"copy source", "PUT", "/test-bucket/c", "", map[string]string{"x-oss-copy-source": "nothing"}, 400, ecArgument},
		{"copy directive", "PUT", "/test-bucket/c", "", map[string]string{"x-oss-copy-source": "/test-bucket/o", "x-oss-metadata-directive": "KEEP"}, 400, ecArgument},
		{"no such version", "GET", "/test-bucket/o?versionId=CAE", "", nil, 404, ecNoSuchVersion},
		{"no symlink", "GET", "/test-bucket/o?symlink", "", nil, 400, ecNotSymlink},
		{"symlink target", "PUT", "/test-bucket/l?symlink", "", map[string]string{"x-oss-symlink-target": "%2Fx"}, 400, ecArgument},
		{"tags twice", "PUT", "/test-bucket/o?tagging", "<Tagging><TagSet><Tag><Key>a</Key></Tag><Tag><Key>a</Key></Tag></TagSet></Tagging>", nil, 400, ecTags},
		{"leading slash", "PUT", "/test-bucket//x", "", nil, 400, ecObjectName},
		{"not UTF-8", "PUT", "/test-bucket/%ff", "", nil, 400, ecObjectName},
		{"head of nothing", "HEAD", "/test-bucket/none", "", nil, 404, ecNoSuchKey},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, ec := raw(t, s, test.method, test.path, test.body, test.h)
			if status != test.status || ec != test.ec {
				t.Errorf("got %d with EC %s, want %d with %s", status, ec, test.status, test.ec)
			}
		})
	}
}

// FuzzAuthorization feeds the signature checks foreign headers and queries: they must refuse and not panic.
func FuzzAuthorization(f *testing.F) {
	for _, seed := range []string{
		"OSS a:b", "OSS4-HMAC-SHA256 Credential=a/20200101/cn-hangzhou/oss/aliyun_v4_request,AdditionalHeaders=host,Signature=00",
		"OSS4-HMAC-SHA256 ,,=", "OSS :", "OSS2 x",
	} {
		f.Add(seed, "x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-credential=a/b/c/oss/aliyun_v4_request&x-oss-expires=1")
		f.Add("", seed)
	}
	s, err := Start(Options{Buckets: []string{testBucket}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	f.Fuzz(func(t *testing.T, auth, query string) {
		r := httptest.NewRequest("GET", "/test-bucket/o", nil)
		r.URL.RawQuery = query
		if auth != "" {
			r.Header["Authorization"] = []string{auth}
		}
		c := &call{s: s, r: r, q: r.URL.Query()}
		c.bucket, c.key = s.target(r)
		if c.authenticate() == nil {
			t.Errorf("authorization %q with query %q was accepted", auth, query)
		}
	})
}
