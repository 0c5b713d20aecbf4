package model_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// version is one content of a shared file: its number, repeated over a length that the number tells.
func version(n uint64) []byte {
	p := make([]byte, 8*(1+n*n%17_000))
	for i := 0; i < len(p); i += 8 {
		binary.BigEndian.PutUint64(p[i:], n)
	}
	return p
}

// versionOf reads the number, or tells why the content is none.
func versionOf(p []byte) (uint64, error) {
	if len(p) < 8 {
		return 0, fmt.Errorf("%d bytes", len(p))
	}
	n := binary.BigEndian.Uint64(p)
	if !bytes.Equal(p, version(n)) {
		return n, fmt.Errorf("begins as version %d and is not: mixed", n)
	}
	return n, nil
}

// span is one replacement or one reading of a shared file, with the moments between which it happened.
type span struct {
	n          uint64
	begin, end int64
}

// history is what was done to one shared file.
type history struct {
	mu     sync.Mutex // guards the fields below
	writes []span
	reads  []span
}

func (h *history) add(list *[]span, s span) {
	h.mu.Lock()
	defer h.mu.Unlock()
	*list = append(*list, s)
}

// check reports what no order of the calls explains. Every version is written once, so that the conditions on pairs are enough.
func (h *history) check() error {
	writes := map[uint64]span{}
	for _, w := range h.writes {
		writes[w.n] = w
	}
	for i, r := range h.reads {
		w, ok := writes[r.n]
		if !ok || w.begin > r.end {
			return fmt.Errorf("version %d was read before it was written", r.n)
		}
		for _, between := range h.writes {
			if between.begin > w.end && between.end < r.begin {
				return fmt.Errorf("version %d was read after %d had replaced it", r.n, between.n)
			}
		}
		for _, earlier := range h.reads[:i] {
			if first, second := inTime(earlier, r); second.begin > first.end && writes[second.n].end < writes[first.n].begin {
				return fmt.Errorf("version %d was read after %d, which is newer", second.n, first.n)
			}
		}
	}
	return nil
}

func inTime(a, b span) (first, second span) {
	if b.begin < a.begin {
		return b, a
	}
	return a, b
}

// TestReplacementIsAtomic lets workers replace shared files by rename and read them, while others sync and make room. A
// reader finds one whole version, and the versions in an order that agrees with the calls.
func TestReplacementIsAtomic(t *testing.T) {
	rounds := 40 * number(t, "OSSENCFS_MODEL_ROUNDS", 1)
	const files, workers = 3, 4
	env := testenv.New(t, testenv.Options{Cache: cache.Options{Limit: 16 << 20, Settle: time.Millisecond, LateLimit: lateLimit}})
	var clock, versions atomic.Int64
	histories := make([]history, files)
	replace := func(worker, file int) error {
		n := uint64(versions.Add(1))
		part := env.Path(fmt.Sprintf("part-%d", worker))
		s := span{n: n, begin: clock.Add(1)}
		if err := os.WriteFile(part, version(n), 0o644); err != nil {
			return err
		}
		if err := os.Rename(part, env.Path(fmt.Sprintf("shared-%d", file))); err != nil {
			return err
		}
		s.end = clock.Add(1)
		histories[file].add(&histories[file].writes, s)
		return nil
	}
	look := func(file int) error {
		s := span{begin: clock.Add(1)}
		p, err := os.ReadFile(env.Path(fmt.Sprintf("shared-%d", file)))
		s.end = clock.Add(1)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("a file that is replaced all the time was not there: %w", err)
		}
		if err == nil {
			s.n, err = versionOf(p)
		}
		histories[file].add(&histories[file].reads, s)
		return err
	}
	for file := range files {
		if err := replace(workers, file); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for worker := range workers {
		r := rand.New(rand.NewPCG(uint64(number(t, "OSSENCFS_MODEL_SEED", 1)), uint64(worker)))
		wg.Go(func() {
			for round := range rounds {
				file := r.IntN(files)
				err := look(file)
				if err == nil && r.IntN(3) > 0 {
					err = replace(worker, file)
				}
				if err == nil && r.IntN(20) == 0 {
					env.Sync()
				}
				if err != nil {
					t.Errorf("worker %d, round %d, file %d: %v", worker, round, file, err)
					return
				}
			}
		})
	}
	wg.Wait()
	for file := range histories {
		if err := histories[file].check(); err != nil {
			t.Errorf("file %d: %v", file, err)
		}
	}
	last := map[int][]byte{}
	for file := range files {
		p, err := os.ReadFile(env.Path(fmt.Sprintf("shared-%d", file)))
		if err != nil {
			t.Fatal(err)
		}
		last[file] = p
	}
	env.DropCache()
	for file, want := range last {
		if got, err := os.ReadFile(env.Path(fmt.Sprintf("shared-%d", file))); err != nil || !bytes.Equal(got, want) {
			t.Errorf("file %d in the bucket: %d bytes, %v, want the %d of the last version", file, len(got), err, len(want))
		}
	}
}

// TestHistoryCheck makes sure that the check can fail.
func TestHistoryCheck(t *testing.T) {
	tests := []struct {
		name string
		h    *history
		ok   bool
	}{
		{"in order", &history{writes: []span{{1, 1, 2}, {2, 3, 4}}, reads: []span{{2, 5, 6}}}, true},
		{"either while it is replaced", &history{writes: []span{{1, 1, 2}, {2, 3, 8}}, reads: []span{{2, 4, 5}, {2, 6, 7}}}, true},
		{"stale", &history{writes: []span{{1, 1, 2}, {2, 3, 4}}, reads: []span{{1, 5, 6}}}, false},
		{"too early", &history{writes: []span{{1, 3, 4}}, reads: []span{{1, 1, 2}}}, false},
		{"never written", &history{writes: []span{{1, 1, 2}}, reads: []span{{7, 3, 4}}}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := test.h.check(); (err == nil) != test.ok {
				t.Errorf("got %v, want ok %v", err, test.ok)
			}
		})
	}
}
