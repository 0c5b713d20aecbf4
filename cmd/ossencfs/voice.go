package main

import (
	"errors"
	"fmt"
)

// Exit codes, documented in docs/CONFIGURATION.md.
const (
	exitOK          = 0   // done
	exitFailure     = 1   // something else failed
	exitUsage       = 2   // command line, environment or configuration file
	exitPending     = 3   // uploads are pending
	exitKey         = 4   // wrong key, wrong passphrase, or no key
	exitCredentials = 5   // OSS refuses the credentials, or they lack a permission
	exitUnreachable = 6   // no answer from OSS or KMS
	exitBucket      = 7   // no such bucket or object, or another region
	exitMountPoint  = 8   // mount point missing, not empty, busy, not a mount
	exitCache       = 9   // cache folder in use, damaged, or open to others
	exitTrust       = 10  // something in the bucket is not what a key holder wrote, or its volume record is missing
	exitIncomplete  = 11  // key check found that something is missing
	exitInterrupted = 130 // ended by Ctrl-C
)

// The voice of all messages: "ossencfs: error: …" says what failed, "ossencfs: hint: …" what to do next. Lower case, no
// full stop, one line each.
const (
	errorPrefix = "ossencfs: error: "
	hintPrefix  = "ossencfs: hint: "
)

// failure is an error with an exit code and hints. A failure without an error was already told to the user.
type failure struct {
	err   error
	code  int
	hints []string
}

// Error implements error.
func (f *failure) Error() string {
	if f.err == nil {
		return fmt.Sprintf("exit code %d", f.code)
	}
	return f.err.Error()
}

// Unwrap gives the cause to errors.Is.
func (f *failure) Unwrap() error { return f.err }

// fail gives an error an exit code and hints; empty hints are dropped.
func fail(code int, err error, hints ...string) error {
	f := &failure{err: err, code: code}
	for _, h := range hints {
		if h != "" {
			f.hints = append(f.hints, h)
		}
	}
	return f
}

// usageError is a failure of the command line or the configuration.
func usageError(err error, hints ...string) error { return fail(exitUsage, err, hints...) }

// quiet is a failure that needs no more words.
func quiet(code int) error { return &failure{code: code} }

// withHints adds hints to an error and keeps its exit code.
func withHints(err error, hints ...string) error {
	var f *failure
	if !errors.As(err, &f) {
		return fail(exitFailure, err, hints...)
	}
	return fail(f.code, f.err, append(append([]string{}, f.hints...), hints...)...)
}

// complain prints an error with its hints and returns the exit code.
func (p *program) complain(err error) int {
	f := explain(err)
	if f.err != nil {
		writeFailure(p.stderr, f)
	}
	return f.code
}

// writeFailure prints a failure in our voice, one line each.
func writeFailure(w *printer, f *failure) {
	w.printf("%s%v\n", errorPrefix, f.err)
	for _, h := range f.hints {
		w.printf("%s%s\n", hintPrefix, h)
	}
}
