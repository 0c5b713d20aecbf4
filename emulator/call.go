package emulator

import (
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// call is one OSS request on its way through the server.
type call struct {
	s    *Server
	w    http.ResponseWriter
	r    *http.Request
	q    url.Values
	id   string // request id
	op   string // OSS's name of the operation
	run  func(*call) error
	body io.Reader // the request body behind throttles and faults

	bucket, key string
	anonymous   bool
	damageStore bool // a fault: store a flipped bit
	kms         bool // a KMS request: it authenticates and fails in its own way
}

// set sets a response header. OSS writes its own names in lower case; those net/http looks at must be
// canonical.
func (c *call) set(name, value string) {
	if !strings.HasPrefix(name, "x-oss-") && name != "ETag" {
		name = http.CanonicalHeaderKey(name)
	}
	c.w.Header()[name] = []string{value}
}

// param returns a query parameter.
func (c *call) param(name string) string { return c.q.Get(name) }

// header returns a request header.
func (c *call) header(name string) string { return c.r.Header.Get(name) }

func (c *call) now() time.Time { return c.s.opt.Now() }

// done answers with an empty body.
func (c *call) done(status int) error {
	c.set("Content-Length", "0")
	if status == http.StatusNoContent {
		delete(c.w.Header(), "Content-Length")
	}
	c.begin(status)
	return nil
}

// begin sends the status and the headers, with the time at which the work is done.
func (c *call) begin(status int) {
	c.set("Date", httpTime(c.now()))
	c.w.WriteHeader(status)
}

// xml answers 200 with a document.
func (c *call) xml(doc string) error {
	c.set("Content-Type", "application/xml")
	c.set("Content-Length", strconv.Itoa(len(doc)))
	c.begin(http.StatusOK)
	c.s.count.out(int64(len(doc)))
	// A client that went away needs no answer.
	_, _ = io.WriteString(c.w, doc)
	return nil
}

// fail answers with an error.
func (c *call) fail(err error) {
	if c.kms {
		c.failKMS(err)
		return
	}
	var e *apiError
	if !errors.As(err, &e) {
		c.s.opt.Logger.Error("emulator request failed", "op", c.op, "bucket", c.bucket, "key", c.key, "err", err)
		e = errInternal(err)
	}
	c.drain()
	for name, value := range e.header {
		c.set(name, value)
	}
	c.set("x-oss-ec", e.ec)
	if e.status == http.StatusNotModified {
		c.begin(e.status)
		return
	}
	x := newXML("Error")
	x.text("Code", e.code)
	x.text("Message", e.msg)
	x.text("RequestId", c.id)
	x.text("HostId", c.r.Host)
	for _, name := range sortedKeys(e.fields) {
		x.text(name, e.fields[name])
	}
	x.text("EC", e.ec)
	doc := x.end()
	c.set("Content-Type", "application/xml")
	if c.r.Method == http.MethodHead {
		c.set("x-oss-err", base64.StdEncoding.EncodeToString([]byte(doc)))
		c.begin(e.status)
		return
	}
	c.set("Content-Length", strconv.Itoa(len(doc)))
	c.begin(e.status)
	_, _ = io.WriteString(c.w, doc)
}

// drainMax is how much of a refused body is read, so that the client sees the answer and not a reset.
const drainMax = 8 << 20

func (c *call) drain() {
	if c.r.Body != nil && c.r.ContentLength != 0 {
		n, _ := io.CopyN(io.Discard, c.r.Body, drainMax)
		c.s.count.in(n)
	}
}

// receive takes the request body in, at most limit bytes, and checks Content-MD5.
func (c *call) receive(limit int64) (*received, error) {
	want, err := c.contentMD5()
	if err != nil {
		return nil, err
	}
	tooLarge := refuse(http.StatusBadRequest, "EntityTooLarge", ecTooLarge, "Your proposed upload exceeds the maximum allowed size of %d bytes.", limit)
	if c.r.ContentLength > limit {
		return nil, tooLarge
	}
	got, err := c.s.store.receive(c.body, c.r.ContentLength, limit, c.damageStore)
	if errors.Is(err, errTooLong) {
		return nil, tooLarge
	}
	if errors.Is(err, errBodyRead) {
		return nil, refuse(http.StatusBadRequest, "IncompleteBody", ecBodyShort, "The request body ended early.")
	}
	if err != nil {
		return nil, err
	}
	c.s.count.in(got.size)
	if want != nil && string(want) != string(got.md5[:]) {
		got.drop()
		return nil, refuse(http.StatusBadRequest, "InvalidDigest", ecDigest, "The Content-MD5 you specified did not match what we received.")
	}
	return got, nil
}

// contentMD5 returns the digest the client announced, or nil.
func (c *call) contentMD5() ([]byte, error) {
	text := c.header("Content-MD5")
	if text == "" {
		return nil, nil
	}
	sum, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(sum) != 16 {
		return nil, refuse(http.StatusBadRequest, "InvalidDigest", ecDigest, "The Content-MD5 you specified is not valid.")
	}
	return sum, nil
}

// maxDocument bounds XML request bodies: 10,000 parts or 1,000 long names fit several times.
const maxDocument = 8 << 20

// document decodes an XML request body, which must be there.
func (c *call) document(into any) error {
	empty, err := c.optionalDocument(into)
	if err == nil && empty {
		return errMalformedXML()
	}
	return err
}

// optionalDocument decodes an XML request body and says whether there was none.
func (c *call) optionalDocument(into any) (empty bool, err error) {
	got, err := c.receive(maxDocument)
	if err != nil {
		return false, err
	}
	defer got.drop()
	if got.size == 0 {
		return true, nil
	}
	var text strings.Builder
	if err := got.body.copyTo(&text, 0, got.size); err != nil {
		return false, err
	}
	if err := xml.Unmarshal([]byte(text.String()), into); err != nil {
		return false, errMalformedXML()
	}
	return false, nil
}

// xmlDoc writes a document element by element.
type xmlDoc struct {
	b    strings.Builder
	open []string
}

func newXML(root string) *xmlDoc {
	x := &xmlDoc{}
	x.b.WriteString(xml.Header)
	x.begin(root)
	return x
}

func (x *xmlDoc) begin(name string) {
	x.b.WriteString("<" + name + ">")
	x.open = append(x.open, name)
}

func (x *xmlDoc) close() {
	x.b.WriteString("</" + x.open[len(x.open)-1] + ">")
	x.open = x.open[:len(x.open)-1]
}

func (x *xmlDoc) text(name, value string) {
	x.b.WriteString("<" + name + ">")
	// A strings.Builder does not fail.
	_ = xml.EscapeText(&x.b, []byte(value))
	x.b.WriteString("</" + name + ">")
}

func (x *xmlDoc) number(name string, n int64) { x.text(name, strconv.FormatInt(n, 10)) }

func (x *xmlDoc) truth(name string, v bool) { x.text(name, strconv.FormatBool(v)) }

// end closes what is open and returns the document.
func (x *xmlDoc) end() string {
	for len(x.open) > 0 {
		x.close()
	}
	return x.b.String()
}

// isoTime is how OSS writes times in XML: to the second, with three zeros that the Python SDK insists on.
func isoTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05") + ".000Z" }

func httpTime(t time.Time) string { return t.UTC().Format(http.TimeFormat) }
