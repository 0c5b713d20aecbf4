package object

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/kms"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
)

// secondKMS makes another key in the emulator's KMS.
func secondKMS(t *testing.T, s *emulator.Server) *keys.KMS {
	t.Helper()
	c, err := kms.NewClientWithAccessKey(s.Region(), s.AccessKeyID(), s.AccessKeySecret())
	if err != nil {
		t.Fatal(err)
	}
	c.Domain = strings.TrimPrefix(s.KMSEndpoint(), "http://")
	c.GetConfig().WithScheme("HTTP")
	made, err := c.CreateKey(kms.CreateCreateKeyRequest())
	if err != nil {
		t.Fatal(err)
	}
	k, err := keys.NewKMS(keys.KMSConfig{KeyID: made.KeyMetadata.KeyId, Region: s.Region(), Endpoint: s.KMSEndpoint(),
		Credentials: func(context.Context) (string, string, string, error) {
			return s.AccessKeyID(), s.AccessKeySecret(), "", nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

// TestRewrapBetweenKMSKeys goes from one KMS key to another of the same account, whose blobs KMS decrypts alike: which objects are
// done is seen all the same, of those with a box for no call at all, of those of others for one.
func TestRewrapBetweenKMSKeys(t *testing.T) {
	for _, dialect := range []string{"both", "current", "legacy"} {
		t.Run(dialect, func(t *testing.T) {
			s := emulated(t, emulator.Options{})
			old, fresh := masterKMS(t, s), secondKMS(t, s)
			o := Options{Connection: connection(s), Dialect: dialect, Keyring: keys.NewKeyring(old)}
			b := opened(t, o)
			for _, key := range []string{"ours", "theirs"} {
				put(t, b, request(t, key, []byte("text of "+key)))
			}
			if err := s.AlterObject(testBucket, "theirs", func(h http.Header, p []byte) []byte {
				h.Del("x-oss-meta-ossencfs-box")
				h.Del("x-oss-meta-ossencfs-id")
				return p
			}); err != nil {
				t.Fatal(err)
			}
			b = rotated(t, o, fresh, old)
			if rep := rewrap(t, b, RewrapOptions{}); rep.Rewrapped != 2 || rep.Foreign != 1 {
				t.Errorf("report %+v", rep)
			}
			s.ResetRequests()
			if rep := rewrap(t, b, RewrapOptions{}); rep.Done != 2 || rep.Rewrapped != 0 || kmsCalls(s) > 2 {
				t.Errorf("second run: %+v, %d calls", rep, kmsCalls(s))
			}
			o.Keyring = keys.NewKeyring(fresh)
			only := opened(t, o)
			for _, key := range []string{"ours", "theirs"} {
				wantText(t, only, key, "text of "+key)
				got, err := only.oss.Head(t.Context(), key)
				if err != nil {
					t.Fatal(err)
				}
				for name, blob := range got.Meta {
					if !strings.HasSuffix(name, "crypto-key") && !strings.HasSuffix(name, "encryption-key") {
						continue
					}
					if own, err := fresh.Owns(t.Context(), []byte(blob)); err != nil || !own {
						t.Errorf("%s: %s is not of the new key, %v", key, name, err)
					}
				}
			}
		})
	}
}
