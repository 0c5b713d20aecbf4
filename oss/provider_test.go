package oss

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aliyun/credentials-go/credentials/providers"

	"github.com/ossencfs/ossencfs/child"
	"github.com/ossencfs/ossencfs/endpoint"
)

// clearEnv hides the machine's own credentials from a test.
func clearEnv(t *testing.T) {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "OSS") || strings.HasPrefix(name, "ALIBABA_CLOUD_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDefaultCredentialsOrder(t *testing.T) {
	clearEnv(t)
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	want := func(id string) {
		t.Helper()
		got, err := DefaultCredentials().Credentials(t.Context())
		if id == "" {
			if !errors.Is(err, ErrNoCredentials) {
				t.Errorf("got %v, %v, want ErrNoCredentials", got, err)
			}
			return
		}
		if err != nil || got.ID != id {
			t.Errorf("got %v, %v, want %s", got, err, id)
		}
	}
	want("")
	writeFile(t, filepath.Join(home, ".aliyun", "config.json"),
		`{"current":"b","profiles":[{"name":"a","mode":"AK"},{"name":"b","mode":"StsToken","access_key_id":"cli","access_key_secret":"s","sts_token":"t"}]}`)
	want("cli")
	writeFile(t, filepath.Join(home, ".ossutilconfig"), "[Credentials]\nlanguage=EN\naccessKeyID=util\naccessKeySecret=s\n")
	want("util")
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "cloud")
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "s")
	want("cloud")
	t.Setenv("OSS_ACCESS_KEY_ID", "env")
	t.Setenv("OSS_ACCESS_KEY_SECRET", "s")
	want("env")
}

func TestEnvHalfSetEndsTheChain(t *testing.T) {
	clearEnv(t)
	t.Setenv("OSS_ACCESS_KEY_ID", "id")
	_, err := Chain(Env{}, Static{ID: "other", Secret: "s"}).Credentials(t.Context())
	if err == nil || errors.Is(err, ErrNoCredentials) || !strings.Contains(err.Error(), "OSS_ACCESS_KEY_SECRET") {
		t.Errorf("got %v, want an error that names the missing variable", err)
	}
}

func TestOSSUtilConfig(t *testing.T) {
	const file = "[default]\naccess-key-id = d\naccess_key_secret = ds\n# note\n[profile p]\nmode=StsToken\naccessKeyId=p\naccessKeySecret=ps\nstsToken=pt\n" +
		"[profile cmd]\ncredential-process=printf '{\"access_key_id\":\"c\",\"access_key_secret\":\"cs\"}'\n[profile none]\nregion=x\n[profile odd]\nmode=Anonymous\n" +
		"[profile round]\nmode=RamRoleArn\nrole-arn=r\nsource_profile=round\n"
	clearEnv(t)
	path := filepath.Join(t.TempDir(), "config")
	writeFile(t, path, file)
	for name, want := range map[string]Credentials{
		"":    {ID: "d", Secret: "ds"},
		"p":   {ID: "p", Secret: "ps", Token: "pt"},
		"cmd": {ID: "c", Secret: "cs"},
	} {
		got, err := OSSUtilConfig(path, name).Credentials(t.Context())
		if err != nil || got != want {
			t.Errorf("profile %q: got %v, %v, want %v", name, got, err, want)
		}
	}
	for name, absent := range map[string]bool{"none": true, "missing": true, "odd": false, "round": false} {
		_, err := OSSUtilConfig(path, name).Credentials(t.Context())
		if err == nil || errors.Is(err, ErrNoCredentials) != absent {
			t.Errorf("profile %q: got %v, want absent %v", name, err, absent)
		}
	}
}

func TestConfigFileIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	p := OSSUtilConfig(path, "")
	if _, err := p.Credentials(t.Context()); !errors.Is(err, ErrNoCredentials) {
		t.Errorf("got %v, want ErrNoCredentials", err)
	}
	for _, id := range []string{"one", "two"} {
		writeFile(t, path, "[default]\naccessKeyID="+id+"\naccessKeySecret=s\n")
		if got, err := p.Credentials(t.Context()); err != nil || got.ID != id {
			t.Errorf("got %v, %v, want %s", got, err, id)
		}
	}
}

func TestAliyunConfigErrorsKeepSecrets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	writeFile(t, path, `{"profiles":[{"name":"default","access_key_secret":"hidden"`)
	_, err := AliyunConfig(path, "").Credentials(t.Context())
	if err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("got %v", err)
	}
}

func TestRolesAreBuiltFromProfiles(t *testing.T) {
	raw := []byte(`{"current":"x","profiles":[
		{"name":"x","mode":"ChainableRamRoleArn","source_profile":"base","ram_role_arn":"arn","ram_session_name":"s","expired_seconds":1800},
		{"name":"base","mode":"AK","access_key_id":"i","access_key_secret":"s"},
		{"name":"ecs","mode":"EcsRamRole","ram_role_name":"role"},
		{"name":"oidc","mode":"OIDC","oidc_provider_arn":"p","oidc_token_file":"f","ram_role_arn":"arn"},
		{"name":"ext","mode":"External","process_command":"true"}]}`)
	f := &fileProvider{file: "config.json", parse: parseAliyun}
	for name, want := range map[string]string{"": "assume role arn", "ecs": "ECS RAM role", "oidc": "OIDC role"} {
		p, err := f.build(raw, name, 0)
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		if c, ok := p.(*cloudProvider); !ok || c.name != want {
			t.Errorf("%q: got %T %+v, want %s", name, p, p, want)
		} else if _, err := c.build(); err != nil {
			t.Errorf("%q: credentials-go refuses it: %v", name, err)
		}
	}
	if p, err := f.build(raw, "ext", 0); err != nil || p != command("true") {
		t.Errorf("got %v, %v, want the command", p, err)
	}
}

func TestCommand(t *testing.T) {
	for _, tt := range []struct {
		name, line string
		want       Credentials
		err        string
	}{
		{"aliyun", `printf '{"mode":"StsToken","access_key_id":"i","access_key_secret":"s","sts_token":"t"}'`, Credentials{ID: "i", Secret: "s", Token: "t"}, ""},
		{"sts", `printf '{"AccessKeyId":"i","AccessKeySecret":"s","SecurityToken":"t","Expiration":"2030-01-02T03:04:05Z"}'`,
			Credentials{ID: "i", Secret: "s", Token: "t", Expires: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}, ""},
		{"fails", `echo hidden; echo hidden >&2; exit 3`, Credentials{}, "exit status 3"},
		{"no json", `echo hidden`, Credentials{}, "not a JSON object"},
		{"no key", `echo '{"secret":"hidden"}'`, Credentials{}, "no access_key_id"},
		{"bad time", `echo '{"AccessKeyId":"i","AccessKeySecret":"hidden","Expiration":"hidden"}'`, Credentials{}, "RFC 3339"},
		{"endless", `yes hidden`, Credentials{}, "command"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Command(tt.line).Credentials(t.Context())
			if tt.err == "" {
				if err != nil || got != tt.want {
					t.Errorf("got %v, %v", got, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "hidden") {
				t.Errorf("got %v, want %q and no secret", err, tt.err)
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Command("exec sleep 60").Credentials(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
}

func FuzzConfigFiles(f *testing.F) {
	f.Add([]byte("[default]\naccessKeyID=a\naccessKeySecret=b\n[profile x]\nmode=RamRoleArn\n"), "x")
	f.Add([]byte(`{"current":"x","profiles":[{"name":"x","mode":"External","process_command":"true"}]}`), "")
	f.Add([]byte("\ufeff[]\n=\n[[]"), "default")
	f.Fuzz(func(t *testing.T, raw []byte, name string) {
		if strings.Contains(string(raw)+name, "%!") {
			return // quoted in a message it looks like a mistake of ours
		}
		for _, parse := range []func([]byte, string) (profile, error){parseOSSUtil, parseAliyun} {
			p := &fileProvider{file: "f", parse: parse}
			if _, err := p.build(raw, name, 0); err != nil && strings.Contains(err.Error(), "%!") {
				t.Fatalf("malformed message %q", err)
			}
		}
	})
}

func FuzzCommandOutput(f *testing.F) {
	f.Add([]byte(`{"AccessKeyId":"i","AccessKeySecret":"s","Expiration":"2030-01-02T03:04:05Z"}`))
	f.Add([]byte(`[1]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := parseCommandOutput(raw)
		if err == nil && (c.ID == "" || c.Secret == "") {
			t.Fatal("accepted without a key")
		}
	})
}

// libFake stands in for a provider of credentials-go.
type libFake struct {
	block chan struct{}
	err   error
}

func (f libFake) GetCredentials() (*providers.Credentials, error) {
	if f.block != nil {
		<-f.block
	}
	return &providers.Credentials{AccessKeyId: "i", AccessKeySecret: "s", SecurityToken: "t"}, f.err
}

func (libFake) GetProviderName() string { return "fake" }

func TestCloudProvider(t *testing.T) {
	with := func(f libFake, absent bool) *cloudProvider {
		return &cloudProvider{name: "fake", absent: absent, build: func() (providers.CredentialsProvider, error) { return f, nil }}
	}
	got, err := with(libFake{}, false).Credentials(t.Context())
	if left := time.Until(got.Expires); err != nil || got.Token != "t" || left < renewBefore || left > cloudLifetime {
		t.Errorf("got %v for %v, %v", got, left, err)
	}
	broken := errors.New("metadata service gone")
	for _, absent := range []bool{false, true} {
		if _, err := with(libFake{err: broken}, absent).Credentials(t.Context()); !errors.Is(err, broken) || errors.Is(err, ErrNoCredentials) != absent {
			t.Errorf("absent %v: got %v", absent, err)
		}
	}
	met := with(libFake{}, true)
	if _, err := met.Credentials(t.Context()); err != nil {
		t.Fatal(err)
	}
	met.inner = libFake{err: broken}
	if _, err := met.Credentials(t.Context()); errors.Is(err, ErrNoCredentials) {
		t.Errorf("a source that worked once is not absent: %v", err)
	}
	block := make(chan struct{})
	defer close(block)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := with(libFake{block: block}, false).Credentials(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want cancelled", err)
	}
}

func TestAssumeRoleAsksItsSource(t *testing.T) {
	clearEnv(t)
	missing := errors.New("source is empty")
	_, err := AssumeRole(failing{missing}, Role{ARN: "acs:ram::1:role/r"}).Credentials(t.Context())
	if !errors.Is(err, missing) {
		t.Errorf("got %v, want the error of the source", err)
	}
	if _, err := OIDC(OIDCRole{ProviderARN: "p"}).Credentials(t.Context()); !errors.Is(err, ErrNoCredentials) {
		t.Errorf("OIDC without a token file: got %v, want ErrNoCredentials", err)
	}
}

type failing struct{ err error }

func (f failing) Credentials(context.Context) (Credentials, error) { return Credentials{}, f.err }

// TestCommandGetsNoSecrets: a command that prints credentials has no use for others, nor for options of ours.
func TestCommandGetsNoSecrets(t *testing.T) {
	t.Setenv("OSS_ACCESS_KEY_ID", "canary-id")
	t.Setenv("OSS_ACCESS_KEY_SECRET", "canary-secret")
	t.Setenv("OSS_SESSION_TOKEN", "canary-token")
	t.Setenv("OSSENCFS_RSA_KEY", "canary-option")
	t.Setenv("OF_MY_CHOICE", "canary-passphrase")
	child.Hide("OF_MY_CHOICE")
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "for the command's own login")
	t.Setenv("OTHER", "kept")
	line := `[ -n "$ALIBABA_CLOUD_ACCESS_KEY_SECRET" ] || exit 4; case "$(env)" in *canary*) exit 3;; esac; printf '{"access_key_id":"%s","access_key_secret":"s"}' "$OTHER"`
	if got, err := Command(line).Credentials(t.Context()); err != nil || got.ID != "kept" {
		t.Errorf("got %v, %v, want the id of the environment that was left", got, err)
	}
}

// TestCredentialsKeepToTheRuleForHTTP: credentials-go sends with a copy of the default transport, and follows redirects.
func TestCredentialsKeepToTheRuleForHTTP(t *testing.T) {
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		t.Fatalf("the default transport is %T", http.DefaultTransport)
	}
	client := &http.Client{Transport: transport.Clone()}
	redirecting := httptest.NewServer(http.RedirectHandler("http://sts.example.com/", http.StatusTemporaryRedirect))
	defer redirecting.Close()
	for _, address := range []string{"http://sts.example.com/", redirecting.URL} {
		resp, err := client.Post(address, "text/plain", strings.NewReader("token"))
		if !errors.Is(err, endpoint.ErrPlain) {
			t.Errorf("%s: got %v, %v, want %v", address, resp, err, endpoint.ErrPlain)
		}
	}
}

// TestCredentialsOutOfReach: that nobody could be asked for a token is no word about the access key, but an outage as any other. The error shows
// nothing of the request, which is signed.
func TestCredentialsOutOfReach(t *testing.T) {
	clearEnv(t)
	role := AssumeRole(Static{ID: "an-access-key", Secret: "s"}, Role{ARN: "acs:ram::1:role/x", STSEndpoint: "127.0.0.1:1"})
	c, err := Open(Config{Endpoint: "http://127.0.0.1:1", Region: "cn-test", Bucket: "bucket", Credentials: role})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err = c.Check(t.Context()); !errors.Is(err, ErrUnreachable) || errors.Is(err, ErrCredentials) || !Outage(err) {
		t.Errorf("got %v, want ErrUnreachable", err)
	}
	for _, part := range []string{"Signature", "an-access-key"} {
		if strings.Contains(err.Error(), part) {
			t.Errorf("the error shows %s: %v", part, err)
		}
	}
}
