package e2e

import (
	"errors"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// getxattr reads an extended attribute, "" when there is none.
func getxattr(t *testing.T, path, name string) string {
	t.Helper()
	value := make([]byte, 256)
	n, err := unix.Lgetxattr(path, name, value)
	if errors.Is(err, unix.ENODATA) {
		return ""
	}
	must(t, err)
	return string(value[:n])
}

// TestUntrustedFiles: what a program sees of a file whose object is not believed.
func TestUntrustedFiles(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	for _, name := range []string{"good", "bad", "away", "over"} {
		must(t, os.WriteFile(env.Path(name), []byte("text"), 0o600))
	}
	env.Sync()
	for _, name := range []string{"bad", "away", "over"} {
		must(t, env.Server.AlterObject(testenv.Bucket, name, func(h http.Header, body []byte) []byte {
			h.Del("x-oss-meta-ossencfs-box")
			return body
		}))
	}
	env.DropCache()
	st, err := os.Stat(env.Path("bad"))
	if err != nil || st.Mode() != 0o666 || st.Size() != 4 {
		t.Errorf("got %v, %v, want a regular file with default attributes", st, err)
	}
	for what, err := range map[string]error{
		"read":     second(os.ReadFile(env.Path("bad"))),
		"append":   appendTo(env.Path("bad")),
		"getxattr": second(unix.Getxattr(env.Path("bad"), "user.any", make([]byte, 9))),
	} {
		if !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: got %v, want EIO", what, err)
		}
	}
	if log := env.Log(); !strings.Contains(log, "path=/bad") || !strings.Contains(log, object.ErrUnauthentic.Error()) {
		t.Errorf("the log does not name the file and the reason:\n%s", log)
	}
	if got := getxattr(t, env.Path("bad"), "user.ossencfs.state"); got != "refused: "+object.ErrUnauthentic.Error() {
		t.Errorf("got the state %q", got)
	}
	if got := getxattr(t, env.Path("good"), "user.ossencfs.state"); got != "authentic" {
		t.Errorf("got the state %q of a good file", got)
	}
	if err := unix.Setxattr(env.Path("good"), "user.ossencfs.state", []byte("x"), 0); !errors.Is(err, unix.EPERM) {
		t.Errorf("setxattr: got %v, want EPERM", err)
	}
	if err := unix.Removexattr(env.Path("good"), "user.ossencfs.state"); !errors.Is(err, unix.EPERM) {
		t.Errorf("removexattr: got %v, want EPERM", err)
	}
	if n, err := unix.Listxattr(env.Path("good"), nil); err != nil || n != 0 {
		t.Errorf("listxattr: got %d bytes, %v, want none", n, err)
	}
	must(t, os.WriteFile(env.Path("over"), []byte("ours again"), 0o600))
	must(t, os.Rename(env.Path("bad"), env.Path("moved")))
	must(t, os.Remove(env.Path("away")))
	env.Sync()
	env.DropCache()
	if got, err := os.ReadFile(env.Path("over")); err != nil || string(got) != "ours again" {
		t.Errorf("overwritten: got %q, %v", got, err)
	}
	if _, err := os.ReadFile(env.Path("moved")); !errors.Is(err, syscall.EIO) {
		t.Errorf("moved: got %v, want EIO", err)
	}
	if _, err := os.Stat(env.Path("away")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("removed: got %v, want ENOENT", err)
	}
}

// appendTo writes a byte at the end of a file.
func appendTo(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("x")
	return errors.Join(err, f.Close())
}

// second is the error of a call that returns something else, too.
func second[T any](_ T, err error) error { return err }
