package e2e

import (
	"os"
	"testing"

	"github.com/ossencfs/ossencfs/test/testenv"
)

// TestHostMakesItsDirectory: a host that may write below a directory only makes and removes that directory. The time that this gives the one above, whose
// marker it may not write, stays on the host, and holds nothing back.
func TestHostMakesItsDirectory(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	must(t, os.Mkdir(env.Path("hosts"), 0o755))
	must(t, os.Chmod(env.Dir, 0o711))
	env.Sync()
	host := testenv.New(t, env.WriteOnly(env.Bundle("hosts/a/")))
	must(t, os.Mkdir(host.Path("hosts", "a"), 0o755))
	must(t, os.WriteFile(host.Path("hosts", "a", "f"), []byte("x"), 0o644))
	host.Sync()
	must(t, os.Remove(host.Path("hosts", "a", "f")))
	must(t, os.Remove(host.Path("hosts", "a")))
	host.Sync()
}
