// Package membound tells a test of a parser how much memory it took: a length inside of foreign bytes must not be believed before the bytes are there.
package membound

import (
	"runtime"
	"testing"
)

// Slack is what a parser may take whatever its input is; the fuzzer's own goroutines are in it.
const Slack = 4 << 20

// Check runs parse and fails when more than Slack and factor bytes for each of n bytes of input were allocated meanwhile.
func Check(t testing.TB, n, factor int, parse func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	parse()
	runtime.ReadMemStats(&after)
	if used, most := after.TotalAlloc-before.TotalAlloc, uint64(Slack+n*factor); used > most {
		t.Errorf("%d bytes were allocated for %d bytes of input, at most %d are expected", used, n, most)
	}
}
