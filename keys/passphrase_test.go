package keys

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestPassphraseSources(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("OSSENCFS_TEST_PASS", "from env")
	t.Setenv("OSSENCFS_TEST_EMPTY", "")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		source Passphrase
		want   string
		err    error
	}{
		"file":           {PassphraseFile(t.Context(), file("a", "secret \n")), "secret ", nil},
		"file, CRLF":     {PassphraseFile(t.Context(), file("b", "secret\r\n")), "secret", nil},
		"file, no end":   {PassphraseFile(t.Context(), file("c", "secret")), "secret", nil},
		"file, two ends": {PassphraseFile(t.Context(), file("d", "secret\n\n")), "secret\n", nil},
		"file, empty":    {PassphraseFile(t.Context(), file("e", "\n")), "", ErrNoPassphrase},
		"file, huge":     {PassphraseFile(t.Context(), file("f", strings.Repeat("x", maxPassphrase+1))), "", ErrNoPassphrase},
		"file, missing":  {PassphraseFile(t.Context(), filepath.Join(dir, "none")), "", fs.ErrNotExist},
		"env":            {PassphraseEnv("OSSENCFS_TEST_PASS"), "from env", nil},
		"env, unset":     {PassphraseEnv("OSSENCFS_TEST_UNSET"), "", ErrNoPassphrase},
		"env, empty":     {PassphraseEnv("OSSENCFS_TEST_EMPTY"), "", ErrNoPassphrase},
		"command":        {PassphraseCommand(t.Context(), "printf 'from command\\n'"), "from command", nil},
		"command, fails": {PassphraseCommand(t.Context(), "echo no; exit 3"), "", errAny},
		"command, ended": {PassphraseCommand(ended, "echo late"), "", context.Canceled},
		"command, empty": {PassphraseCommand(t.Context(), "true"), "", ErrNoPassphrase},
	} {
		got, err := c.source()
		if string(got) != c.want || (err == nil) != (c.err == nil) || c.err != nil && c.err != errAny && !errors.Is(err, c.err) {
			t.Errorf("%s: got %q, %v, want %q, %v", name, got, err, c.want, c.err)
		}
	}
}

// errAny stands for any error.
var errAny = errors.New("any")

// TestPromptWithoutTerminal runs itself in a session of its own, which has no terminal.
func TestPromptWithoutTerminal(t *testing.T) {
	if os.Getenv("OSSENCFS_TEST_NO_TERMINAL") != "" {
		if _, err := PassphrasePrompt(t.Context(), "passphrase: ")(); !errors.Is(err, ErrNoPassphrase) {
			t.Errorf("got %v, want ErrNoPassphrase", err)
		}
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPromptWithoutTerminal$") //nolint:gosec // itself
	cmd.Env = append(os.Environ(), "OSSENCFS_TEST_NO_TERMINAL=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestPassphraseCommandGetsNoSecrets: the command has no use for access keys, nor for options of ours.
func TestPassphraseCommandGetsNoSecrets(t *testing.T) {
	t.Setenv("OSS_ACCESS_KEY_SECRET", "canary-secret")
	t.Setenv("OSS_SESSION_TOKEN", "canary-token")
	t.Setenv("OSSENCFS_RSA_KEY", "canary-option")
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "canary-vendor")
	t.Setenv("ALIBABA_CLOUD_SECURITY_TOKEN", "canary-vendors-token")
	t.Setenv("HTTPS_PROXY", "http://user:canary-proxy@proxy.example")
	t.Setenv("OF_MY_CHOICE", "canary-passphrase")
	if _, err := PassphraseEnv("OF_MY_CHOICE")(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OTHER", "kept")
	line := `case "$(env)" in *canary*) exit 3;; esac; echo "$OTHER"`
	if got, err := PassphraseCommand(t.Context(), line)(); err != nil || string(got) != "kept" {
		t.Errorf("got %q, %v, want the variable that was left", got, err)
	}
}
