package e2e

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// TestRequestsPerFile counts what the kernel asks us for; each costs a program two changes of context. The question for security.capability, one for each
// file that is written, is not counted.
func TestRequestsPerFile(t *testing.T) {
	env := testenv.New(t, testenv.Options{Cache: cache.Options{Settle: time.Hour}})
	const files = 200
	for _, tt := range []struct {
		name string
		call func(n int) error
		want int64 // of the first to ask for: the directory's attributes
	}{
		{"create", func(n int) error { return os.WriteFile(env.Path(fmt.Sprint("f", n)), []byte("content"), 0o600) }, 5}, // GETATTR LOOKUP CREATE WRITE RELEASE
		{"read", func(n int) error { return second(os.ReadFile(env.Path(fmt.Sprint("f", n)))) }, 4},                      // GETATTR OPEN READ RELEASE
		{"chmod", func(n int) error { return os.Chmod(env.Path(fmt.Sprint("f", n)), 0o640) }, 1},                         // SETATTR
		{"test", func(n int) error { return accessible(env.Path(fmt.Sprint("f", n))) }, 0},
		{"remove", func(n int) error { return os.Remove(env.Path(fmt.Sprint("f", n))) }, 2},      // GETATTR UNLINK
		{"mkdir", func(n int) error { return os.Mkdir(env.Path(fmt.Sprint("d", n)), 0o700) }, 3}, // GETATTR LOOKUP MKDIR
	} {
		before := env.Mount.Answered()
		for n := range files {
			must(t, tt.call(n))
		}
		// A RELEASE may still be under way.
		if got := env.Mount.Answered() - before; got > tt.want*files+files/20 {
			t.Errorf("%s: %d requests for %d files, want %d for each", tt.name, got, files, tt.want)
		}
	}
}

// accessible asks for the rights to a file of mode 0640.
func accessible(path string) error {
	fi, err := os.Stat(path)
	if err == nil && fi.Mode().Perm() != 0o640 {
		err = errors.New("got mode " + fi.Mode().String())
	}
	return err
}
