package emulator

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// kmsVersion is the API version of KMS's RPC interface.
const kmsVersion = "2016-01-20"

// maxKMSBody bounds the form of a KMS request.
const maxKMSBody = 256 << 10

// isKMS tells RPC requests from OSS requests, which share the listener.
func isKMS(r *http.Request) bool {
	if r.URL.Path != "/" && r.URL.Path != "" {
		return false
	}
	if r.URL.Query().Has("Action") {
		return true
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return r.Method == http.MethodPost && err == nil && kind == "application/x-www-form-urlencoded" && r.Header.Get("Authorization") == ""
}

// serveKMS takes one KMS request through counting, faults and its handler.
func (s *Server) serveKMS(w http.ResponseWriter, r *http.Request) {
	c := &call{s: s, w: w, r: r, q: r.URL.Query(), id: s.requestID(), body: r.Body, kms: true, run: (*call).runKMS}
	params, err := c.readForm()
	c.q = params
	c.op = c.param("Action")
	if _, known := kmsActions[c.op]; !known {
		c.op = "UnknownKMS"
	}
	s.count.add(c.op)
	c.set("x-acs-request-id", c.id)
	c.set("Date", httpTime(s.opt.Now()))
	if err != nil {
		c.fail(err)
		return
	}
	if f := s.faults.match(c.op, "", ""); f != nil {
		f.apply(c)
		return
	}
	c.execute()
}

// readForm merges query and form; the body is then spent.
func (c *call) readForm() (url.Values, error) {
	all := url.Values{}
	for k, v := range c.q {
		all[k] = v
	}
	data, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxKMSBody))
	if err != nil {
		return all, refuse(http.StatusBadRequest, "InvalidParameter", "", "The form cannot be read.")
	}
	form, err := url.ParseQuery(string(data))
	if err != nil {
		return all, refuse(http.StatusBadRequest, "InvalidParameter", "", "The form is not well-formed.")
	}
	for k, v := range form {
		all[k] = v
	}
	c.body = bytes.NewReader(nil)
	return all, nil
}

// kmsActions are the operations of KMS that the emulator has.
var kmsActions = map[string]func(*call) (kmsAnswer, error){
	"GenerateDataKey":                 (*call).kmsGenerateDataKey,
	"GenerateDataKeyWithoutPlaintext": (*call).kmsGenerateDataKey,
	"Encrypt":                         (*call).kmsEncrypt,
	"Decrypt":                         (*call).kmsDecrypt,
	"DescribeKey":                     (*call).kmsDescribeKey,
	"CreateKey":                       (*call).kmsCreateKey,
	"ListKeys":                        (*call).kmsListKeys,
}

// kmsAnswer is the content of a response, in order.
type kmsAnswer []kmsField

type kmsField struct {
	name  string
	value any // string, bool, int or kmsAnswer
}

// runKMS checks a request and answers it.
func (c *call) runKMS() error {
	if v := c.param("Version"); v != kmsVersion {
		return refuse(http.StatusBadRequest, "InvalidVersion", "", "Specified parameter Version is not valid.")
	}
	action := kmsActions[c.param("Action")]
	if action == nil {
		return refuse(http.StatusNotFound, "InvalidAction.NotFound", "", "Specified api is not found, please check your url and method.")
	}
	if err := c.checkRPC(); err != nil {
		return err
	}
	answer, err := action(c)
	if err != nil {
		return err
	}
	return c.sendKMS(http.StatusOK, c.op+"Response", append(answer, kmsField{"RequestId", c.id}))
}

// checkRPC checks credentials, time and signature of an RPC request.
func (c *call) checkRPC() error {
	for _, name := range []string{"AccessKeyId", "Signature", "SignatureNonce", "Timestamp", "SignatureMethod"} {
		if c.param(name) == "" {
			return refuse(http.StatusBadRequest, "Missing"+name, "", "%s is mandatory for this action.", name)
		}
	}
	if m := c.param("SignatureMethod"); m != "HMAC-SHA1" || c.param("SignatureVersion") != "1.0" {
		return refuse(http.StatusBadRequest, "InvalidParameter", "", "Signature method %q version %q is not supported.", m, c.param("SignatureVersion"))
	}
	token := c.param("SecurityToken")
	if token == "" {
		token = c.param("STSToken") // the name that old Python KMS SDKs send
	}
	secret, fault := c.s.lookup(c.param("AccessKeyId"), token)
	switch fault {
	case credentialUnknown:
		return refuse(http.StatusNotFound, "InvalidAccessKeyId.NotFound", "", "Specified access key is not found.")
	case credentialNotSTS, credentialBadToken:
		return refuse(http.StatusBadRequest, "InvalidSecurityToken.MismatchWithAccessKey", "", "Specified SecurityToken mismatch with the AccessKey.")
	case credentialExpired:
		return refuse(http.StatusBadRequest, "InvalidSecurityToken.Expired", "", "Specified SecurityToken is expired.")
	}
	t, err := time.Parse("2006-01-02T15:04:05Z", c.param("Timestamp"))
	if err != nil {
		return refuse(http.StatusBadRequest, "InvalidTimeStamp.Format", "", "Specified time stamp or date value is not well formatted.")
	}
	if d := c.now().Sub(t); d > c.s.opt.MaxSkew || d < -c.s.opt.MaxSkew {
		return refuse(http.StatusBadRequest, "InvalidTimeStamp.Expired", "", "Specified time stamp or date value is expired.")
	}
	text := rpcStringToSign(c.r.Method, c.q)
	mac := hmac.New(sha1.New, []byte(secret+"&"))
	mac.Write([]byte(text))
	got, err := base64.StdEncoding.DecodeString(c.param("Signature"))
	if err != nil || !hmac.Equal(got, mac.Sum(nil)) {
		return refuse(http.StatusBadRequest, "SignatureDoesNotMatch", "", "Specified signature is not matched with our calculation. server string to sign is:%s", text)
	}
	return nil
}

// rpcStringToSign renders the text that an RPC signature covers.
func rpcStringToSign(method string, q url.Values) string {
	var items []string
	for _, k := range sortedKeys(q) {
		if k != "Signature" {
			items = append(items, percent(k, false)+"="+percent(q.Get(k), false))
		}
	}
	return method + "&%2F&" + percent(strings.Join(items, "&"), false)
}

// failKMS answers with an error in the form the client asked for.
func (c *call) failKMS(err error) {
	var e *apiError
	if !errors.As(err, &e) {
		c.s.opt.Logger.Error("emulator KMS request failed", "op", c.op, "err", err)
		e = refuse(http.StatusInternalServerError, "InternalFailure", "", "%v", err)
	}
	for name, value := range e.header {
		c.set(name, value)
	}
	// Only an encoding fault of our own could fail here.
	if err := c.sendKMS(e.status, "Error", kmsAnswer{
		{"HttpStatus", e.status}, {"Code", e.code}, {"Message", e.msg}, {"RequestId", c.id}, {"HostId", c.r.Host},
	}); err != nil {
		c.s.opt.Logger.Error("emulator KMS answer failed", "op", c.op, "err", err)
	}
}

func (c *call) sendKMS(status int, root string, a kmsAnswer) error {
	var doc bytes.Buffer
	kind := "text/xml;charset=utf-8"
	if strings.EqualFold(c.param("Format"), "JSON") {
		kind = "application/json;charset=utf-8"
		if err := a.json(&doc); err != nil {
			return err
		}
	} else {
		doc.WriteString(xml.Header)
		if err := a.xml(&doc, root); err != nil {
			return err
		}
	}
	c.set("Content-Type", kind)
	c.set("Content-Length", strconv.Itoa(doc.Len()))
	c.w.WriteHeader(status)
	// A client that went away needs no answer.
	_, _ = c.w.Write(doc.Bytes())
	return nil
}

func (a kmsAnswer) json(b *bytes.Buffer) error {
	b.WriteByte('{')
	for i, f := range a {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Quote(f.name) + ":")
		if sub, ok := f.value.(kmsAnswer); ok {
			if err := sub.json(b); err != nil {
				return err
			}
			continue
		}
		data, err := json.Marshal(f.value)
		if err != nil {
			return err
		}
		b.Write(data)
	}
	b.WriteByte('}')
	return nil
}

func (a kmsAnswer) xml(b *bytes.Buffer, root string) error {
	b.WriteString("<" + root + ">")
	for _, f := range a {
		if sub, ok := f.value.(kmsAnswer); ok {
			if err := sub.xml(b, f.name); err != nil {
				return err
			}
			continue
		}
		data, err := json.Marshal(f.value)
		if err != nil {
			return err
		}
		text := string(data)
		if s, ok := f.value.(string); ok {
			text = s
		}
		b.WriteString("<" + f.name + ">")
		if err := xml.EscapeText(b, []byte(text)); err != nil {
			return err
		}
		b.WriteString("</" + f.name + ">")
	}
	b.WriteString("</" + root + ">")
	return nil
}
