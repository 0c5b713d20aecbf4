package keys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"
)

// Passphrase is a source of a passphrase: the returned bytes are the caller's to wipe. A passphrase is never an argument of
// the command line, where every process of the machine can read it.
type Passphrase = func() ([]byte, error)

// ErrNoPassphrase: the source has none. Test with errors.Is; the text carries the hint.
var ErrNoPassphrase = errors.New("no passphrase")

// maxPassphrase bounds a passphrase in bytes.
const maxPassphrase = 64 << 10

// commandTime bounds how long a passphrase command may take, a person's answer to its prompt included.
const commandTime = 2 * time.Minute

// PassphraseFile takes the passphrase from a file, without one line end at its end.
func PassphraseFile(path string) Passphrase {
	return func() ([]byte, error) {
		f, err := os.Open(path) //nolint:gosec // the user names the file
		if err != nil {
			return nil, fmt.Errorf("open passphrase file: %w", err)
		}
		defer func() { _ = f.Close() }()
		text, err := io.ReadAll(io.LimitReader(f, maxPassphrase+1))
		if err != nil {
			return nil, fmt.Errorf("read passphrase file %s: %w", path, err)
		}
		return checkPassphrase(text, "passphrase file "+path)
	}
}

// PassphraseEnv takes the passphrase from an environment variable.
func PassphraseEnv(name string) Passphrase {
	return func() ([]byte, error) {
		text, ok := os.LookupEnv(name)
		if !ok {
			return nil, fmt.Errorf("environment variable %s is not set: %w", name, ErrNoPassphrase)
		}
		return checkPassphrase([]byte(text), "environment variable "+name)
	}
}

// PassphraseCommand takes the passphrase from the standard output of a command that /bin/sh runs, without one line end.
// The command's error output goes to ours. It is killed when ctx ends or after two minutes.
func PassphraseCommand(ctx context.Context, command string) Passphrase {
	return func() ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, commandTime)
		defer cancel()
		cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command) //nolint:gosec // the user's own command
		cmd.Stdin, cmd.Stderr, cmd.Env = os.Stdin, os.Stderr, commandEnv()
		cmd.WaitDelay = time.Second
		text, err := cmd.Output()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		if err != nil {
			Wipe(text)
			return nil, fmt.Errorf("passphrase command: %w", err)
		}
		return checkPassphrase(text, "passphrase command")
	}
}

// commandEnv is our environment without what the command has no use for: access keys of the bucket, and options of ours.
func commandEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "OSSENCFS_") || strings.HasPrefix(v, "OSS_ACCESS_KEY_") || strings.HasPrefix(v, "OSS_SESSION_TOKEN=")
	})
}

// PassphrasePrompt asks on the terminal, without echo. Without a terminal it is ErrNoPassphrase.
func PassphrasePrompt(prompt string) Passphrase {
	return func() ([]byte, error) {
		tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
		if err != nil {
			return nil, fmt.Errorf("no terminal to ask on, give a passphrase file, variable or command: %w: %w", ErrNoPassphrase, err)
		}
		defer func() { _ = tty.Close() }()
		if _, err := fmt.Fprint(tty, prompt); err != nil {
			return nil, fmt.Errorf("ask for passphrase: %w", err)
		}
		text, err := term.ReadPassword(int(tty.Fd())) //nolint:gosec // a descriptor fits
		_, _ = fmt.Fprintln(tty)
		if err != nil {
			return nil, fmt.Errorf("ask for passphrase: %w", err)
		}
		return checkPassphrase(text, "prompt")
	}
}

// checkPassphrase cuts one line end and refuses nothing and too much.
func checkPassphrase(text []byte, source string) ([]byte, error) {
	if len(text) > maxPassphrase {
		Wipe(text)
		return nil, fmt.Errorf("%s: longer than %d bytes: %w", source, maxPassphrase, ErrNoPassphrase)
	}
	text = bytes.TrimSuffix(text, []byte("\n"))
	text = bytes.TrimSuffix(text, []byte("\r"))
	if len(text) == 0 {
		return nil, fmt.Errorf("%s is empty: %w", source, ErrNoPassphrase)
	}
	return text, nil
}
