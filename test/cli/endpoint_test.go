package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/test/procenv"
)

// TestHTTPToOtherMachines: an endpoint over http is refused before anything is sent, however it is given, for OSS and KMS, unless
// --allow-http permits it; then one line warns. The emulator on this machine needs no permission and no warning.
func TestHTTPToOtherMachines(t *testing.T) {
	w := procenv.New(t)
	const oss, kms = "http://no-such-host.invalid", "http://no-such-kms.invalid"
	kmsArgs := func(more ...string) []string {
		return append([]string{"mount", "oss://" + procenv.Bucket, w.Dir, "--kms-key", "key-1", "--cache-dir", w.Cache}, more...)
	}
	file := write(t, filepath.Join(w.Base, "config.toml"), "kms-endpoint = \""+kms+"\"\n", 0o600)
	allowed := write(t, filepath.Join(w.Base, "allowed.toml"), "allow-http = true\nkms-endpoint = \""+kms+"\"\n", 0o600)
	for _, tc := range []struct {
		name    string
		env     []string
		args    []string
		address string
		code    int
	}{
		{"flag", nil, mountArgs(w, "--endpoint", oss), oss, usage},
		{"mount option", nil, mountArgs(w, "-o", "endpoint="+oss), oss, usage},
		{"variable", []string{"OSSENCFS_ENDPOINT=" + oss}, mountArgs(w), oss, usage},
		{"variable of other tools", []string{"OSS_ENDPOINT=" + oss}, mountArgs(w), oss, usage},
		{"KMS by a flag", nil, kmsArgs("--kms-endpoint", kms), kms, usage},
		{"KMS in a file", nil, kmsArgs("--config", file), kms, usage},
		{"another command", nil, []string{"get", "oss://" + procenv.Bucket + "/x", "-", "--rsa-key", w.Key, "--endpoint", oss}, oss, usage},
		{"no key needed", nil, []string{"inspect", "oss://" + procenv.Bucket + "/x", "--no-key", "--endpoint", oss}, oss, usage},
		{"a proxy elsewhere", nil, mountArgs(w, "--proxy", "http://no-such-proxy.invalid:3128"), w.Server.Endpoint(), usage},
		{"allowed by a flag", nil, mountArgs(w, "--endpoint", oss, "--allow-http"), oss, unreachable},
		{"allowed by a mount option", nil, mountArgs(w, "-o", "allow_http,endpoint="+oss), oss, unreachable},
		{"allowed by a variable", []string{"OSSENCFS_ALLOW_HTTP=true"}, mountArgs(w, "--endpoint", oss), oss, unreachable},
		{"KMS allowed in a file", nil, kmsArgs("--config", allowed), kms, unreachable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := ask(t, w, tc.env, tc.args...)
			warnings := strings.Count(a.stderr, "ossencfs: warning: ")
			if tc.code == usage {
				a.want(t, usage, tc.address+": http would show", "hint: write https://; --allow-http")
			} else if a.code != tc.code || warnings != 1 || !strings.Contains(a.stderr, "on the way to "+tc.address) {
				t.Errorf("exit code %d, %d warnings\n%s", a.code, warnings, a.stderr)
			}
			wantNothingLeft(t, w)
		})
	}
	if a := mount(t, w); a.stderr != "" {
		t.Errorf("the emulator on this machine: %s", a.stderr)
	}
}

// TestPlaceOfOSSUtil: who has set up ossutil need not say again where the bucket is; the background mount's daemon finds it, too.
func TestPlaceOfOSSUtil(t *testing.T) {
	w := procenv.New(t)
	text := "[default]\naccessKeyID=" + w.Server.AccessKeyID() + "\naccessKeySecret=" + w.Server.AccessKeySecret() +
		"\nregion=" + w.Server.Region() + "\nendpoint=" + w.Server.Endpoint() + "\n"
	if err := os.WriteFile(filepath.Join(w.Base, ".ossutilconfig"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"HOME=" + w.Base, "OSS_ENDPOINT=", "OSS_REGION=", "OSS_ACCESS_KEY_ID=", "OSS_ACCESS_KEY_SECRET="}
	ask(t, w, env, mountArgs(w)...).want(t, ok)
	t.Cleanup(func() { ask(t, w, env, "umount", w.Dir).want(t, ok) })
	if err := os.WriteFile(filepath.Join(w.Dir, "file"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	ask(t, w, env, "sync", w.Dir).want(t, ok)
	ask(t, w, env, "get", "oss://"+procenv.Bucket+"/file", "-", "--rsa-key", w.Key).want(t, ok)
}
