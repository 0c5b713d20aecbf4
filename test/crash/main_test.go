// Package crash proves what must survive a SIGKILL, and what must never be found on a disk afterwards.
package crash

import (
	"testing"

	"github.com/ossencfs/ossencfs/test/procenv"
)

func TestMain(m *testing.M) { procenv.Main(m) }
