package emulator

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// account is what emulator.json holds, so that a folder's users keep their credentials.
type account struct {
	AccessKeyID     string            `json:"access_key_id"`
	AccessKeySecret string            `json:"access_key_secret"`
	KMSKeyID        string            `json:"kms_key_id"`
	KMSKeys         map[string][]byte `json:"kms_keys"` // AES-256 keys by id
}

// loadAccount takes credentials and KMS keys from the options, then from the folder, then makes them.
func (s *Server) loadAccount() error {
	var a account
	path := filepath.Join(s.opt.Dir, "emulator.json")
	if s.opt.Dir != "" {
		data, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(data, &a)
		}
		if err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("read emulator account: %w", err)
		}
	}
	for _, f := range []struct {
		given  *string
		kept   *string
		prefix string
		bytes  int
	}{
		{&s.opt.AccessKeyID, &a.AccessKeyID, "LTAI5t", 9},
		{&s.opt.AccessKeySecret, &a.AccessKeySecret, "", 15},
		{&s.opt.KMSKeyID, &a.KMSKeyID, "key-", 12},
	} {
		if *f.given == "" && *f.kept == "" {
			var raw [16]byte
			if _, err := rand.Read(raw[:]); err != nil {
				return fmt.Errorf("draw credentials: %w", err)
			}
			*f.kept = f.prefix + hex.EncodeToString(raw[:f.bytes])
		}
		if *f.given == "" {
			*f.given = *f.kept
		}
		*f.kept = *f.given
	}
	if a.KMSKeys == nil {
		a.KMSKeys = map[string][]byte{}
	}
	s.creds.main(a.AccessKeyID, a.AccessKeySecret)
	s.keys = &keyring{account: a, path: path, keep: s.opt.Dir != ""}
	return s.keys.ensure(a.KMSKeyID)
}

// credential is one access key the server knows.
type credential struct {
	secret  string
	token   string // "" for long-lived keys
	expires time.Time
}

// credentials are the access keys the server knows.
type credentials struct {
	mu   sync.RWMutex // mu guards the fields below
	keys map[string]credential
	own  string // id of the account's long-lived key
}

func (c *credentials) main(id, secret string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.own = id
	c.keys = map[string]credential{id: {secret: secret}}
}

// AddSTS registers temporary credentials as AssumeRole hands them out; a zero expires means they do not
// expire. An empty token registers one more long-lived access key. The same id replaces what was there.
func (s *Server) AddSTS(id, secret, token string, expires time.Time) {
	s.creds.mu.Lock()
	defer s.creds.mu.Unlock()
	s.creds.keys[id] = credential{secret: secret, token: token, expires: expires}
}

// RemoveAccessKey forgets an access key, as deleting it in RAM does.
func (s *Server) RemoveAccessKey(id string) {
	s.creds.mu.Lock()
	defer s.creds.mu.Unlock()
	delete(s.creds.keys, id)
}

// Why a credential is refused.
type credentialFault int

const (
	credentialOK credentialFault = iota
	credentialUnknown
	credentialNotSTS // a token came with a long-lived key
	credentialBadToken
	credentialExpired
)

// lookup returns the secret for an access key id and the token that came with it.
func (s *Server) lookup(id, token string) (string, credentialFault) {
	s.creds.mu.RLock()
	c, ok := s.creds.keys[id]
	own := id == s.creds.own
	s.creds.mu.RUnlock()
	switch {
	case !ok:
		return "", credentialUnknown
	case c.token == "" && token != "" && !(own && s.opt.AcceptAnyToken):
		return "", credentialNotSTS
	case c.token != "" && c.token != token:
		return "", credentialBadToken
	case c.token != "" && !c.expires.IsZero() && !s.opt.Now().Before(c.expires):
		return "", credentialExpired
	}
	return c.secret, credentialOK
}
