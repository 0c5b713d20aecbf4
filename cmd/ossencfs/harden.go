package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// privateFiles makes every file that this process creates its user's alone. Modes of files in the mount come from the
// kernel's requests and are not touched. It returns the umask that was in force.
func privateFiles() int { return unix.Umask(0o077) }

// harden keeps keys and content out of core files, and other processes of the same user out of our memory. Every command begins with it,
// so that none that holds a key can forget it.
func harden() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbid core dumps: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("forbid debuggers: %w", err)
	}
	return nil
}

// quietSDK begins anew without the variable DEBUG: with it the Alibaba SDKs print what they send and receive, keys from KMS included,
// and they read it before main does.
func quietSDK() {
	if os.Getenv("DEBUG") == "" {
		return
	}
	self, err := os.Executable()
	if err == nil {
		err = os.Unsetenv("DEBUG")
	}
	if err == nil {
		err = unix.Exec(self, os.Args, os.Environ())
	}
	fmt.Fprintf(os.Stderr, "ossencfs: error: begin without DEBUG in the environment: %v\n", err)
	os.Exit(exitFailure)
}
