package converge

import (
	"fmt"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/cache/index"
)

// BenchmarkConverge10k uploads 10,000 new small files to a bucket that answers at once. What is measured is the time from the
// moment when all of them are in the index.
func BenchmarkConverge10k(b *testing.B) {
	const files = 10_000
	var took time.Duration
	for b.Loop() {
		b.StopTimer()
		r := newRig(b, Options{Settle: time.Hour})
		body := r.bodies.put(0, "text")
		r.update(func(tx *index.Tx) error {
			for n := range files {
				gen := tx.NextGen()
				r.bodies.share(gen, body)
				if err := r.add(tx, fmt.Sprintf("file-%05d", n), gen, 4); err != nil {
					return err
				}
			}
			return nil
		})
		b.StartTimer()
		begin := time.Now()
		r.sync("")
		took += time.Since(begin)
		b.StopTimer()
		if got := r.store.count("put"); got != files {
			b.Fatalf("got %d PUT", got)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(took.Microseconds())/float64(b.N*files), "µs/file")
}
