package keys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/ossencfs/ossencfs/child"
	"github.com/ossencfs/ossencfs/localfile"
)

// Passphrase is a source of a passphrase: the returned bytes are the caller's to wipe. A passphrase is never an argument of
// the command line, where every process of the machine can read it.
type Passphrase = func() ([]byte, error)

// ErrNoPassphrase: the source has none. Test with errors.Is; the text carries the hint.
var ErrNoPassphrase = errors.New("no passphrase")

// ErrNoTerminal: there is no terminal to ask on. It comes with ErrNoPassphrase.
var ErrNoTerminal = errors.New("no terminal to ask on")

// maxPassphrase bounds a passphrase in bytes.
const maxPassphrase = 64 << 10

// commandTime bounds how long a passphrase command may take, a person's answer to its prompt included.
const commandTime = 2 * time.Minute

// PassphraseFile takes the passphrase from a file that is this user's alone, without one line end at its end. The end of ctx ends the
// waiting for a pipe.
func PassphraseFile(ctx context.Context, path string) Passphrase {
	return func() ([]byte, error) {
		text, err := localfile.Read(ctx, path, localfile.Secret, maxPassphrase)
		if errors.Is(err, localfile.ErrTooLarge) {
			err = fmt.Errorf("%w: %w", ErrNoPassphrase, err)
		}
		if err != nil {
			return nil, fmt.Errorf("passphrase file: %w", err)
		}
		return checkPassphrase(text, "passphrase file "+path)
	}
}

// PassphraseEnv takes the passphrase from an environment variable, which no command gets from then on.
func PassphraseEnv(name string) Passphrase {
	child.Hide(name)
	return func() ([]byte, error) {
		text, ok := os.LookupEnv(name)
		if !ok {
			return nil, fmt.Errorf("environment variable %s is not set: %w", name, ErrNoPassphrase)
		}
		return checkPassphrase([]byte(text), "environment variable "+name)
	}
}

// PassphraseCommand takes the passphrase from the standard output of a command that /bin/sh runs, without one line end.
// The command gets no secret of ours (package child), and its error output goes to ours. It is killed when ctx ends or after two minutes.
func PassphraseCommand(ctx context.Context, command string) Passphrase {
	return func() ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, commandTime)
		defer cancel()
		cmd := child.Command(ctx, command)
		cmd.Stdin, cmd.Stderr = os.Stdin, os.Stderr
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

// PassphrasePrompt asks on the terminal, without echo, until ctx ends. Without a terminal it is ErrNoTerminal.
func PassphrasePrompt(ctx context.Context, prompt string) Passphrase {
	return func() ([]byte, error) {
		tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
		if err != nil {
			return nil, &noTerminalError{err}
		}
		if _, err := fmt.Fprint(tty, prompt); err != nil {
			return nil, errors.Join(fmt.Errorf("ask for passphrase: %w", err), tty.Close())
		}
		text, err := readSilently(ctx, tty)
		if err != nil {
			return nil, fmt.Errorf("ask for passphrase: %w", err)
		}
		return checkPassphrase(text, "prompt")
	}
}

// noTerminalError says why there is no terminal. Which option is to be given instead, the caller knows.
type noTerminalError struct{ err error }

func (e *noTerminalError) Error() string { return ErrNoTerminal.Error() + ": " + e.err.Error() }

func (e *noTerminalError) Unwrap() []error { return []error{ErrNoTerminal, ErrNoPassphrase, e.err} }

// readSilently reads a line without echo, and closes the terminal. When ctx ends the reading is left behind: a process that was
// interrupted ends, and its terminal shows again what is typed.
func readSilently(ctx context.Context, tty *os.File) ([]byte, error) {
	type line struct {
		text []byte
		err  error
	}
	fd := int(tty.Fd()) //nolint:gosec // a descriptor fits
	before, err := term.GetState(fd)
	if err != nil {
		return nil, errors.Join(err, tty.Close())
	}
	read := make(chan line, 1)
	go func() {
		text, err := readLine(fd)
		_, _ = fmt.Fprintln(tty)
		read <- line{text, errors.Join(err, tty.Close())}
	}()
	select {
	case l := <-read:
		return l.text, l.err
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), term.Restore(fd, before))
	}
}

// readLine reads a line from a terminal that does not show it. It has one buffer, which is the caller's to wipe: one that grows, as
// that of x/term does, leaves its beginnings behind.
func readLine(tty int) ([]byte, error) {
	before, err := unix.IoctlGetTermios(tty, unix.TCGETS)
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller says what it is about
	}
	silent := *before
	silent.Lflag &^= unix.ECHO
	silent.Lflag |= unix.ICANON | unix.ISIG
	silent.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(tty, unix.TCSETS, &silent); err != nil {
		return nil, err //nolint:wrapcheck // see above
	}
	defer func() { _ = unix.IoctlSetTermios(tty, unix.TCSETS, before) }()
	line := make([]byte, maxLine)
	for n := 0; n < len(line); {
		k, err := unix.Read(tty, line[n:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			Wipe(line)
			return nil, err //nolint:wrapcheck // see above
		}
		n += k
		if k == 0 || line[n-1] == '\n' { // at the end of the line, or of the input
			return line[:n], nil
		}
	}
	Wipe(line)
	return nil, errors.New("the line is too long")
}

// maxLine bounds a line in bytes that is typed; terminals take 4096.
const maxLine = 8 << 10

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
