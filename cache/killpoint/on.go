//go:build faultpoints

package killpoint

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// Env names the point and how often it is passed before the process ends: "intended:3" ends it at the third time.
const Env = "OSSENCFS_TEST_KILL"

// EnvBoot names the boot of the machine, so that a test can cut the power of a disk alone.
const EnvBoot = "OSSENCFS_TEST_BOOT"

var (
	chosen Point
	left   atomic.Int64
)

func init() {
	name, count, _ := strings.Cut(os.Getenv(Env), ":")
	n, err := strconv.ParseInt(count, 10, 64)
	if err == nil && n > 0 {
		chosen = Point(name)
		left.Store(n)
	}
}

// At ends this process, and all others of its group, as SIGKILL does, when it is the chosen point and its time has come. The group is
// the test's own doing: it starts the program as the leader of one.
func At(p Point) {
	if p != chosen || left.Add(-1) != 0 {
		return
	}
	_ = syscall.Kill(-syscall.Getpgrp(), syscall.SIGKILL)
	select {} // no step further
}

// Boot is the boot that the environment names; empty: the machine's own.
func Boot() string { return os.Getenv(EnvBoot) }
