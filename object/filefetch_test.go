package object

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/cipher"
	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
)

// TestGetFileStaysAuthentic: of an object whose first bytes were proved no others come without a proof, where objects without a box are accepted.
func TestGetFileStaysAuthentic(t *testing.T) {
	s := emulated(t, emulator.Options{})
	target, err := url.Parse(s.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
		ModifyResponse: func(r *http.Response) error {
			r.Header.Del("X-Oss-Hash-Crc64ecma")
			if r.Request.Method != http.MethodGet || !strings.HasPrefix(r.Request.Header.Get("Range"), "bytes=8388608") {
				return nil
			}
			r.Header.Del(cipher.BoxHeader)
			body, err := io.ReadAll(r.Body)
			body[len(body)-1] ^= 1
			r.Body = io.NopCloser(bytes.NewReader(body))
			return err
		},
	})
	t.Cleanup(front.Close)
	o := Options{Connection: connection(s), Keyring: keys.NewKeyring(masterRSA(t, 0))}
	b := opened(t, o)
	r := request(t, "f", make([]byte, fetchChunk+5))
	put(t, b, r)
	if _, err := b.GetFile(t.Context(), "f", io.Discard, nil); err != nil {
		t.Fatal(err)
	}
	o.Connection.Endpoint = front.URL
	var got bytes.Buffer
	if _, err := opened(t, o).GetFile(t.Context(), "f", &got, nil); !errors.Is(err, ErrTampered) {
		t.Errorf("got %v after %d bytes, want ErrTampered", err, got.Len())
	}
}
