package cipher

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ossencfs/ossencfs/keys"
)

// fakeKMS answers like KMS: Decrypt returns the text that was given to Encrypt.
type fakeKMS struct {
	keys.MasterKey // what is not defined here is not called
	matdesc        map[string]string
	bound          bool
	fail           error // answered to everything

	mu    sync.Mutex
	texts map[string]string // blob to text
	calls []string
}

func newFakeKMS() *fakeKMS { return &fakeKMS{texts: map[string]string{}} }

func (f *fakeKMS) ID() string                       { return "fake" }
func (f *fakeKMS) MatDesc() map[string]string       { return f.matdesc }
func (f *fakeKMS) CanUnwrap() bool                  { return true }
func (f *fakeKMS) Bound() bool                      { return f.bound }
func (f *fakeKMS) Supports(s keys.Scheme) bool      { return s == keys.KMSText }
func (f *fakeKMS) WrappedSize(keys.Scheme, int) int { return 128 }

func (f *fakeKMS) Wrap(_ context.Context, _ keys.Scheme, text []byte) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, "Encrypt "+string(text))
	return f.blobLocked(string(text)), f.fail
}

func (f *fakeKMS) GenerateDataKey(context.Context) (key, blob []byte, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, "GenerateDataKey")
	key = make([]byte, KeySize)
	_, _ = rand.Read(key)
	return key, f.blobLocked(base64.StdEncoding.EncodeToString(key)), f.fail
}

func (f *fakeKMS) Unwrap(_ context.Context, _ keys.Scheme, blob []byte, _ int) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, "Decrypt")
	if f.fail != nil {
		return nil, f.fail
	}
	text, ok := f.texts[string(blob)]
	if !ok {
		return nil, keys.ErrUnwrap
	}
	return []byte(text), nil
}

// blobLocked makes a blob as KMS's are: base64 of bytes that are not base64.
func (f *fakeKMS) blobLocked(text string) []byte {
	raw := make([]byte, 96)
	_, _ = rand.Read(raw)
	raw[40] = 0xff
	blob := base64.StdEncoding.EncodeToString(raw)
	f.texts[blob] = text
	return []byte(blob)
}

// testRSA loads a key of the vectors: rsa1 or rsa2.
func testRSA(t testing.TB, name string, matdesc map[string]string) *keys.RSA {
	t.Helper()
	k, err := keys.LoadRSA(filepath.Join(vectorsDir, "keys", name+".private.pkcs1.pem"), nil, matdesc)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// bothUnwrapped counts the unwraps of key and start apart.
type bothUnwrapped struct {
	*keys.RSA
	key, start atomic.Int32
}

func (b *bothUnwrapped) Unwrap(ctx context.Context, s keys.Scheme, blob []byte, size int) ([]byte, error) {
	if size == KeySize {
		b.key.Add(1)
	} else {
		b.start.Add(1)
	}
	return b.RSA.Unwrap(ctx, s, blob, size)
}
