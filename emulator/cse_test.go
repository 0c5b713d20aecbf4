package emulator

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// envelope is a whole set of headers as an SDK sends them.
func envelope() map[string]string {
	return map[string]string{"key": "a2V5", "start": "aXY=", "cek-alg": "AES/CTR/NoPadding", "wrap-alg": "RSA/NONE/PKCS1Padding"}
}

func multipartEnvelope(data, part string) map[string]string {
	e := envelope()
	e["data-size"], e["part-size"] = data, part
	return e
}

func without(e map[string]string, name string) map[string]string {
	delete(e, name)
	return e
}

func with(e map[string]string, name, value string) map[string]string {
	e[name] = value
	return e
}

// headers turns an envelope into SDK options.
func headers(e map[string]string) []sdk.Option {
	var opts []sdk.Option
	for name, value := range e {
		opts = append(opts, sdk.Meta("client-side-encryption-"+name, value))
	}
	return opts
}

func TestCSEPut(t *testing.T) {
	s := start(t, Options{})
	b := sdkBucket(t, s)
	if err := b.PutObject("ok", strings.NewReader("x"), headers(envelope())...); err != nil {
		t.Errorf("a whole envelope: %v", err)
	}
	if err := b.PutObject("hmac", strings.NewReader("x"), headers(with(with(envelope(), "wrap-alg", "rsa"), "magic-number-hmac", "aA=="))...); err != nil {
		t.Errorf("wrap-alg rsa with its hmac: %v", err)
	}
	for name, test := range map[string]struct {
		e  map[string]string
		ec string
	}{
		"no key":      {without(envelope(), "key"), "0005-00000401"},
		"no start":    {without(envelope(), "start"), "0005-00000402"},
		"no cek-alg":  {without(envelope(), "cek-alg"), "0005-00000403"},
		"no wrap-alg": {without(envelope(), "wrap-alg"), "0005-00000404"},
		"rsa no hmac": {with(envelope(), "wrap-alg", "rsa"), "0005-00000405"},
	} {
		t.Run(name, func(t *testing.T) {
			refusedAs(t, b.PutObject("o", strings.NewReader("x"), headers(test.e)...), test.ec)
		})
	}
}

func TestCSEInitiate(t *testing.T) {
	s := start(t, Options{})
	b := sdkBucket(t, s)
	for name, test := range map[string]struct {
		e  map[string]string
		ec string
	}{
		"no key":           {without(multipartEnvelope("200000", "102400"), "key"), "0005-00000401"},
		"no data-size":     {without(multipartEnvelope("200000", "102400"), "data-size"), "0005-00000406"},
		"no part-size":     {without(multipartEnvelope("200000", "102400"), "part-size"), "0005-00000407"},
		"data-size text":   {multipartEnvelope("9x5.2", "102400"), "0005-00000408"},
		"part-size text":   {multipartEnvelope("200000", "many"), "0005-00000409"},
		"part-size zero":   {multipartEnvelope("200000", "0"), "0005-00000409"},
		"10,001 parts":     {multipartEnvelope("160001", "16"), "0005-00000410"},
		"negative":         {multipartEnvelope("-1", "16"), "0005-00000408"},
		"rsa without hmac": {with(multipartEnvelope("200000", "102400"), "wrap-alg", "rsa"), "0005-00000405"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.InitiateMultipartUpload("o", headers(test.e)...)
			refusedAs(t, err, test.ec)
		})
	}
	lax := sdkBucket(t, start(t, Options{CSEDataSize: Optional}))
	if _, err := lax.InitiateMultipartUpload("o", headers(without(multipartEnvelope("", "102400"), "data-size"))...); err != nil {
		t.Errorf("without data-size where it is optional: %v", err)
	}
}

func TestCSEParts(t *testing.T) {
	const size = 102400
	s := start(t, Options{})
	b := sdkBucket(t, s)
	e := with(multipartEnvelope("204805", "102400"), "magic-number-hmac", "aA==") // two parts and 5 bytes
	up, err := b.InitiateMultipartUpload("o", headers(e)...)
	if err != nil {
		t.Fatal(err)
	}
	part := func(n, bytesLong int, e map[string]string) error {
		_, err := b.UploadPart(up, bytes.NewReader(make([]byte, bytesLong)), int64(bytesLong), n, headers(e)...)
		return err
	}
	for name, test := range map[string]struct {
		n, size int
		e       map[string]string
		ec      string
	}{
		"no envelope":     {1, size, nil, "0005-00000401"},
		"no start":        {1, size, without(multipartEnvelope("204805", "102400"), "start"), "0005-00000402"},
		"other key":       {1, size, with(with(multipartEnvelope("204805", "102400"), "magic-number-hmac", "aA=="), "key", "b3RoZXI="), "0005-00000412"},
		"other start":     {1, size, with(with(multipartEnvelope("204805", "102400"), "magic-number-hmac", "aA=="), "start", "b3RoZXI="), "0005-00000413"},
		"other cek-alg":   {1, size, with(with(multipartEnvelope("204805", "102400"), "magic-number-hmac", "aA=="), "cek-alg", "x"), "0005-00000414"},
		"other wrap-alg":  {1, size, with(with(multipartEnvelope("204805", "102400"), "magic-number-hmac", "aA=="), "wrap-alg", "x"), "0005-00000415"},
		"other hmac":      {1, size, with(multipartEnvelope("204805", "102400"), "magic-number-hmac", "bB=="), "0005-00000416"},
		"other data-size": {1, size, with(multipartEnvelope("204806", "102400"), "magic-number-hmac", "aA=="), "0005-00000417"},
		"other part-size": {1, size, with(multipartEnvelope("204805", "102416"), "magic-number-hmac", "aA=="), "0005-00000418"},
		"short part":      {1, size - 1, e, "0005-00000419"},
		"long part":       {2, size + 1, e, "0005-00000419"},
		"wrong last part": {3, 6, e, "0005-00000420"},
		"stray part":      {4, 7, e, "0005-00000419"},
	} {
		t.Run(name, func(t *testing.T) { refusedAs(t, part(test.n, test.size, test.e), test.ec) })
	}
	if err := part(3, 5, e); err != nil {
		t.Errorf("the last part: %v", err)
	}
}

func TestCSEComplete(t *testing.T) {
	const size = 102400
	s := start(t, Options{})
	b := sdkBucket(t, s)
	up, err := b.InitiateMultipartUpload("o", headers(multipartEnvelope("204800", "102400"))...)
	if err != nil {
		t.Fatal(err)
	}
	var parts []sdk.UploadPart
	for _, n := range []int{1, 2, 5} {
		p, err := b.UploadPart(up, bytes.NewReader(make([]byte, size)), size, n, headers(multipartEnvelope("204800", "102400"))...)
		if err != nil {
			t.Fatalf("part %d: %v", n, err)
		}
		parts = append(parts, p)
	}
	_, err = b.CompleteMultipartUpload(up, parts)
	refusedAs(t, err, "0005-00000411")
	_, err = b.CompleteMultipartUpload(up, parts[:1])
	refusedAs(t, err, "0005-00000420")
	_, err = b.CompleteMultipartUpload(up, parts[:2], sdk.Meta("client-side-encryption-data-size", "x"))
	refusedAs(t, err, "0005-00000408")
	if _, err = b.CompleteMultipartUpload(up, parts[:2]); err != nil {
		t.Errorf("two parts of two: %v", err)
	}
}

// TestCSEPartsWithoutHeaders is how the Java and C++ SDKs send parts.
func TestCSEPartsWithoutHeaders(t *testing.T) {
	s := start(t, Options{CSEPartHeaders: Optional})
	b := sdkBucket(t, s)
	up, err := b.InitiateMultipartUpload("o", headers(multipartEnvelope("102405", "102400"))...)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.UploadPart(up, bytes.NewReader(make([]byte, 7)), 7, 1)
	refusedAs(t, err, "0005-00000419")
	var parts []sdk.UploadPart
	for n, size := range []int64{102400, 5} {
		p, err := b.UploadPart(up, bytes.NewReader(make([]byte, size)), size, n+1)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, p)
	}
	if _, err := b.CompleteMultipartUpload(up, parts); err != nil {
		t.Error(err)
	}
}

func TestCSECopy(t *testing.T) {
	s := start(t, Options{})
	b := sdkBucket(t, s)
	if err := b.PutObject("o", strings.NewReader("x"), headers(envelope())...); err != nil {
		t.Fatal(err)
	}
	if _, err := b.CopyObject("o", "moved"); err != nil {
		t.Errorf("copy with its metadata: %v", err)
	}
	if h, err := b.GetObjectDetailedMeta("moved"); err != nil || h.Get("X-Oss-Meta-Client-Side-Encryption-Key") != "a2V5" {
		t.Errorf("envelope of the copy: %v, %v", h, err)
	}
	_, err := b.CopyObject("o", "other", append(headers(envelope()), sdk.MetadataDirective(sdk.MetaReplace), sdk.Meta("mode", "33188"))...)
	refusedAs(t, err, "0005-00000421")
	refusedAs(t, b.SetObjectMeta("o", append(headers(envelope()), sdk.Meta("mode", "33188"))...), "0005-00000421")
	_, err = b.CopyObject("o", "o")
	refusedAs(t, err, "0005-00000421")
	up, err := b.InitiateMultipartUpload("parts")
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.UploadPartCopy(up, testBucket, "o", 0, 1, 1)
	refusedAs(t, err, ecPartCopyOfCSE)
	// A plain object may become an encrypted one: this is how a stream of unknown length gets its envelope.
	if err := b.PutObject("staged", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.CopyObject("staged", "final", append(headers(envelope()), sdk.MetadataDirective(sdk.MetaReplace))...); err != nil {
		t.Errorf("copy that adds an envelope: %v", err)
	}
	_, err = b.CopyObject("staged", "final", append(headers(without(envelope(), "start")), sdk.MetadataDirective(sdk.MetaReplace))...)
	refusedAs(t, err, "0005-00000402")
	lax := sdkBucket(t, start(t, Options{MetadataUpdateOnCSECopy: Allow}))
	if err := lax.PutObject("o", strings.NewReader("x"), headers(envelope())...); err != nil {
		t.Fatal(err)
	}
	if err := lax.SetObjectMeta("o", append(headers(envelope()), sdk.Meta("mode", "33188"))...); err != nil {
		t.Errorf("where it is allowed: %v", err)
	}
}

// TestSwitches tries both answers to the questions that no document settles.
func TestSwitches(t *testing.T) {
	tagged := func(o Options) http.Header {
		b := sdkBucket(t, start(t, o))
		if err := b.PutObject("o", strings.NewReader("x"), sdk.SetHeader("x-oss-tagging", "a=b")); err != nil {
			t.Fatal(err)
		}
		if _, err := b.CopyObject("o", "c"); err != nil {
			t.Fatal(err)
		}
		h, err := b.GetObjectDetailedMeta("c")
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	for _, test := range []struct {
		o    Options
		want string
	}{{Options{}, "1"}, {Options{TagsOnCopy: Refuse}, ""}, {Options{TaggingCount: Refuse}, ""}} {
		if got := tagged(test.o).Get("X-Oss-Tagging-Count"); got != test.want {
			t.Errorf("tag count %q, want %q", got, test.want)
		}
	}
	b := sdkBucket(t, start(t, Options{MetaValues: Allow}))
	if err := b.PutObject("o", strings.NewReader("x"), sdk.Meta("a", "ü")); err != nil {
		t.Errorf("metadata in UTF-8 where it is allowed: %v", err)
	}
	b = sdkBucket(t, start(t, Options{Versioning: true, AppendInVersioned: Refuse}))
	_, err := b.AppendObject("o", strings.NewReader("x"), 0)
	refusedAs(t, err, ecNotAppendable)
	if _, err := Start(Options{LargeCopy: "maybe"}); err == nil {
		t.Error("an unknown answer was taken")
	}
	if _, err := Start(Options{Buckets: []string{"No"}}); err == nil {
		t.Error("an invalid bucket name was taken")
	}
}
