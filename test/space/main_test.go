// Package space proves what happens when there is no room: on a disk that is full or broken, and in a cache that is smaller than what
// is written to it.
package space

import (
	"testing"

	"github.com/ossencfs/ossencfs/test/procenv"
)

func TestMain(m *testing.M) { procenv.Main(m) }
