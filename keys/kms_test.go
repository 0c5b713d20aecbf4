package keys

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// kmsServer is a KMS of a few lines over TLS, for what the client does on the wire. The real strictness is the
// emulator's, against which package object tests.
type kmsServer struct {
	*httptest.Server
	mu      sync.Mutex           // guards the fields below
	texts   map[string][2]string // blob to text and context
	owners  map[string]string    // blob to key, after its alias was resolved
	asked   []map[string]string  // parameters of each request
	refuse  []refusal            // answered first, one a request
	hang    chan struct{}        // when set, requests wait for it
	arrived chan struct{}        // when set, told of each request that hangs
}

// refusal is an error answer.
type refusal struct {
	status int
	code   string
	body   string // instead of JSON
}

// newKMSServer starts one and returns the name of a file with its CA.
func newKMSServer(t *testing.T) (*kmsServer, string) {
	t.Helper()
	s := &kmsServer{texts: map[string][2]string{}, owners: map[string]string{}}
	s.Server = httptest.NewTLSServer(s)
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return s, file
}

// ServeHTTP answers the three actions.
func (s *kmsServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secretInURL := r.URL.Query().Has("Plaintext") || r.URL.Query().Has("CiphertextBlob")
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost || secretInURL {
		http.Error(w, "secrets belong into the body of a POST", http.StatusBadRequest)
		return
	}
	params := map[string]string{}
	for name := range r.Form {
		params[name] = r.Form.Get(name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, params)
	if hang := s.hang; hang != nil {
		arrived := s.arrived
		s.mu.Unlock()
		if arrived != nil {
			arrived <- struct{}{}
		}
		select {
		case <-hang:
		case <-r.Context().Done():
		}
		s.mu.Lock()
	}
	if len(s.refuse) > 0 {
		refused := s.refuse[0]
		s.refuse = s.refuse[1:]
		w.WriteHeader(refused.status)
		if refused.body == "" {
			refused.body = fmt.Sprintf(`{"Code":%q,"Message":"no","RequestId":"r-1"}`, refused.code)
		}
		_, _ = w.Write([]byte(refused.body))
		return
	}
	s.answerLocked(w, params)
}

// answerLocked does what KMS does.
func (s *kmsServer) answerLocked(w http.ResponseWriter, p map[string]string) {
	id := strings.NewReplacer("alias/other-", "key-", "alias/", "key-").Replace(p["KeyId"]) // two aliases for each key
	answer := map[string]string{"RequestId": "r-2", "KeyId": id[strings.LastIndexByte(id, '/')+1:]}
	text := p["Plaintext"]
	switch p["Action"] {
	case "GenerateDataKey":
		text = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
		answer["Plaintext"] = text
		fallthrough
	case "Encrypt":
		blob := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "blob %d\xff", len(s.texts)))
		s.texts[blob] = [2]string{text, p["EncryptionContext"]}
		s.owners[blob] = answer["KeyId"]
		answer["CiphertextBlob"] = blob
	case "Decrypt":
		entry, ok := s.texts[p["CiphertextBlob"]]
		if !ok || entry[1] != p["EncryptionContext"] {
			w.WriteHeader(http.StatusBadRequest)
			answer = map[string]string{"Code": "InvalidCiphertext", "Message": "no", "RequestId": "r-3"}
		} else {
			answer["Plaintext"], answer["KeyId"] = entry[0], s.owners[p["CiphertextBlob"]]
		}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// client makes a master key that uses the server.
func (s *kmsServer) client(t *testing.T, caFile string, change func(*KMSConfig)) *KMS {
	t.Helper()
	c := KMSConfig{
		KeyID: "key-1", Endpoint: s.URL, CAFile: caFile,
		Credentials: func(context.Context) (string, string, string, error) { return "id", "secret", "", nil },
	}
	if change != nil {
		change(&c)
	}
	k, err := NewKMS(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

func TestKMSRoundTrip(t *testing.T) {
	s, ca := newKMSServer(t)
	k := s.client(t, ca, nil)
	if k.ID() != "kms:key-1" || fmt.Sprintf("%+v", k) != "kms:key-1" || k.Bound() || !k.CanUnwrap() {
		t.Errorf("prints as %+v", k)
	}
	if k.WrappedSize(KMSText, 32) != kmsGuess {
		t.Errorf("first guess is %d", k.WrappedSize(KMSText, 32))
	}
	blob, err := k.Wrap(t.Context(), KMSText, []byte("123456"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := k.Unwrap(t.Context(), KMSText, blob, 0); err != nil || string(got) != "123456" {
		t.Errorf("got %q, %v", got, err)
	}
	key, blob, err := k.GenerateDataKey(t.Context())
	if err != nil || len(key) != 32 {
		t.Fatalf("data key of %d bytes, %v", len(key), err)
	}
	text, err := k.Unwrap(t.Context(), KMSText, blob, 0)
	if err != nil || string(text) != base64.StdEncoding.EncodeToString(key) {
		t.Errorf("data key unwraps to %q, %v", text, err)
	}
	local, err := k.WrapLocal(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := k.UnwrapLocal(t.Context(), local); err != nil || string(got) != string(key) {
		t.Errorf("local key: got %q, %v", got, err)
	}
	if _, err := k.UnwrapLocal(t.Context(), blob); !errors.Is(err, ErrUnwrap) {
		t.Errorf("an object's blob passes as local: %v", err)
	}
	if k.Calls() != int64(len(s.asked)) || k.Calls() != 7 {
		t.Errorf("counted %d calls, the server saw %d", k.Calls(), len(s.asked))
	}
	if k.WrappedSize(KMSText, 32) != len(blob) {
		t.Errorf("measured %d, blobs have %d", k.WrappedSize(KMSText, 32), len(blob))
	}
	want := map[string]string{"Action": "GenerateDataKey", "KeyId": "key-1", "KeySpec": "AES_256", "NumberOfBytes": "32", "Version": "2016-01-20"}
	for name, value := range want {
		if s.asked[2][name] != value {
			t.Errorf("%s: sent %q, want %q", name, s.asked[2][name], value)
		}
	}
	if _, ok := s.asked[2]["SecurityToken"]; ok {
		t.Error("a token was sent without one")
	}
}

func TestKMSContextAndToken(t *testing.T) {
	s, ca := newKMSServer(t)
	n := 0
	k := s.client(t, ca, func(c *KMSConfig) {
		c.Passphrase = "kms-pass-phrase"
		c.Credentials = func(context.Context) (string, string, string, error) {
			n++
			return "id", "secret", fmt.Sprint("token-", n), nil
		}
	})
	blob, err := k.Wrap(t.Context(), KMSText, []byte("5"))
	if err != nil || !k.Bound() {
		t.Fatal(err)
	}
	if got, err := k.Unwrap(t.Context(), KMSText, blob, 0); err != nil || string(got) != "5" {
		t.Errorf("got %q, %v", got, err)
	}
	for i, p := range s.asked {
		if p["EncryptionContext"] != `{"x-passphrase":"kms-pass-phrase"}` || p["SecurityToken"] != fmt.Sprint("token-", i+1) {
			t.Errorf("request %d: context %q, token %q", i, p["EncryptionContext"], p["SecurityToken"])
		}
	}
	plain := s.client(t, ca, nil)
	if _, err := plain.Unwrap(t.Context(), KMSText, blob, 0); !errors.Is(err, ErrUnwrap) {
		t.Errorf("without the passphrase: got %v, want ErrUnwrap", err)
	}
	if _, ok := s.asked[2]["EncryptionContext"]; ok {
		t.Error("an empty context was sent")
	}
}

func TestKMSRetriesAndRefusals(t *testing.T) {
	s, ca := newKMSServer(t)
	throttled := refusal{status: 429, code: "Rejected.Throttling"}
	for name, c := range map[string]struct {
		refuse []refusal
		want   error
		asked  int
	}{
		"throttling passes":  {[]refusal{throttled, {400, "Throttling.User", ""}, {503, "ServiceUnavailable", ""}}, nil, 4},
		"no such key":        {[]refusal{{404, "Forbidden.KeyNotFound", ""}}, ErrKMSDenied, 1},
		"no permission":      {[]refusal{{403, "Forbidden.NoPermission", ""}}, ErrKMSDenied, 1},
		"bad signature":      {[]refusal{{400, "SignatureDoesNotMatch", ""}}, ErrKMSDenied, 1},
		"wrong blob":         {[]refusal{{400, "InvalidCiphertext", ""}}, ErrUnwrap, 1},
		"a web page":         {[]refusal{{404, "", "<html>" + strings.Repeat("x", 5000)}}, ErrKMSDenied, 1},
		"unreadable success": {[]refusal{{200, "", `{"Plaintext":"c2VjcmV0", oops`}}, ErrKMSUnreachable, 1},
	} {
		k := s.client(t, ca, nil)
		s.texts["blob"] = [2]string{"text", ""}
		s.refuse = c.refuse
		_, err := k.Unwrap(t.Context(), KMSText, []byte("blob"), 0)
		if !errors.Is(err, c.want) || k.Calls() != int64(c.asked) {
			t.Errorf("%s: got %v after %d calls, want %v after %d", name, err, k.Calls(), c.want, c.asked)
		}
		if err == nil {
			continue
		}
		if text := err.Error(); len(text) > 600 || strings.Contains(text, "c2VjcmV0") || strings.Contains(text, "Signature=") {
			t.Errorf("%s: message %q", name, text)
		}
		var refused *KMSError
		if c.refuse[0].code != "" && (!errors.As(err, &refused) || refused.Code != c.refuse[0].code || refused.RequestID != "r-1") {
			t.Errorf("%s: refusal is %+v", name, refused)
		}
	}
}

func TestKMSGivesUp(t *testing.T) {
	s, ca := newKMSServer(t)
	s.hang = make(chan struct{})
	defer close(s.hang)
	k := s.client(t, ca, func(c *KMSConfig) { c.Timeout, c.Deadline = 30*time.Millisecond, 200*time.Millisecond })
	_, err := k.Wrap(t.Context(), KMSText, []byte("very secret text"))
	if !errors.Is(err, ErrKMSUnreachable) || !errors.Is(err, context.DeadlineExceeded) || k.Calls() < 2 {
		t.Errorf("hanging server: got %v after %d calls", err, k.Calls())
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("message %q holds what was sent", err)
	}
	s.mu.Lock()
	s.arrived = make(chan struct{}, 1)
	s.mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	slow := s.client(t, ca, nil)
	done := make(chan error, 1)
	go func() {
		_, err := slow.Wrap(ctx, KMSText, []byte("x"))
		done <- err
	}()
	<-s.arrived
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
	untrusting := s.client(t, "", nil)
	if _, err := untrusting.Wrap(t.Context(), KMSText, []byte("x")); !errors.Is(err, ErrKMSUnreachable) || untrusting.Calls() != 1 {
		t.Errorf("unknown CA: got %v after %d calls, want one", err, untrusting.Calls())
	}
	broken := errors.New("no credentials")
	poor := s.client(t, ca, func(c *KMSConfig) {
		c.Credentials = func(context.Context) (string, string, string, error) { return "", "", "", broken }
	})
	if _, err := poor.Wrap(t.Context(), KMSText, []byte("x")); !errors.Is(err, broken) || poor.Calls() != 0 {
		t.Errorf("no credentials: got %v", err)
	}
}

func TestNewKMSConfig(t *testing.T) {
	ok := func() KMSConfig {
		return KMSConfig{KeyID: "k", Region: "cn-hangzhou", Credentials: func(context.Context) (a, b, c string, err error) { return }}
	}
	for name, c := range map[string]struct {
		change         func(*KMSConfig)
		scheme, domain string
	}{
		"region":    {func(*KMSConfig) {}, "https", "kms.cn-hangzhou.aliyuncs.com"},
		"endpoint":  {func(c *KMSConfig) { c.Endpoint = "kms-vpc.cn-hangzhou.aliyuncs.com" }, "https", "kms-vpc.cn-hangzhou.aliyuncs.com"},
		"URL":       {func(c *KMSConfig) { c.Endpoint = "http://127.0.0.1:8000/" }, "http", "127.0.0.1:8000"},
		"this host": {func(c *KMSConfig) { c.Endpoint = "127.0.0.1:1" }, "http", "127.0.0.1:1"},
		"address":   {func(c *KMSConfig) { c.Endpoint = "10.1.2.3" }, "https", "10.1.2.3"},
		"allowed":   {func(c *KMSConfig) { c.Endpoint, c.AllowHTTP = "http://10.1.2.3", true }, "http", "10.1.2.3"},
		"http":      {func(c *KMSConfig) { c.Endpoint = "http://kms.cn-hangzhou.aliyuncs.com" }, "", ""},
		"password":  {func(c *KMSConfig) { c.Endpoint = "https://u:p@x" }, "", ""},
		"no key":    {func(c *KMSConfig) { c.KeyID = "" }, "", ""},
		"no creds":  {func(c *KMSConfig) { c.Credentials = nil }, "", ""},
		"nowhere":   {func(c *KMSConfig) { c.Region = "" }, "", ""},
		"ftp":       {func(c *KMSConfig) { c.Endpoint = "ftp://x" }, "", ""},
		"path":      {func(c *KMSConfig) { c.Endpoint = "https://x/y" }, "", ""},
		"two binds": {func(c *KMSConfig) { c.Passphrase, c.EncryptionContext = "a", "{}" }, "", ""},
		"empty CA":  {func(c *KMSConfig) { c.CAFile = os.DevNull }, "", ""},
	} {
		config := ok()
		c.change(&config)
		k, err := NewKMS(config)
		if c.domain == "" {
			if !errors.Is(err, ErrConfig) || k != nil {
				t.Errorf("%s: got %v, %v, want ErrConfig", name, k, err)
			}
			continue
		}
		if err != nil || k.scheme != c.scheme || k.domain != c.domain {
			t.Errorf("%s: got %v://%v, %v", name, k.scheme, k.domain, err)
		}
	}
}
