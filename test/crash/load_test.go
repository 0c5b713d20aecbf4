package crash

import (
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

func sum(p []byte) uint32 { return crc32.ChecksumIEEE(p) }

// step is one system call, what it makes of the state, and what it makes safe.
type step struct {
	what string
	do   func() error
	next func(*state) // nil: the state stays
	safe bool         // when it has returned, names are on the disk
	file bool         // and the content of the open file is
	part *part        // what a write carries
}

// part is the bytes of one write.
type part struct {
	id, off int
	p       []byte
}

// pageSize is where the kernel may cut a write into several requests.
const pageSize = 4096

// moment is a state and what an acknowledged call has promised of it.
type moment struct {
	state *state
	what  string
	safe  bool
	file  int // node whose content is safe; 0: none
	part  *part
}

// between lists the states that a call under way may leave besides all and nothing: a write that the kernel cuts at pages.
func (m *moment) between(was *state) (list []*state) {
	if m == nil || m.part == nil {
		return nil
	}
	for end := pageSize - m.part.off%pageSize; end < len(m.part.p); end += pageSize {
		s := was.clone()
		s.write(m.part.id, m.part.off, m.part.p[:end])
		list = append(list, s)
	}
	return list
}

// worker changes one directory that nobody else changes. It knows after each call what the directory has to hold.
type worker struct {
	dir    string
	random *rand.Rand
	open   *os.File // of the script that runs; nil: none
	id     int      // node behind open

	past    []moment // acknowledged states, oldest first; the last one is the present
	pending *moment  // the call under way or that failed: it may have happened or not
}

func newWorker(dir string) *worker {
	return &worker{dir: dir, past: []moment{{state: newState(), what: "nothing", safe: true}}}
}

func (w *worker) present() *state { return w.past[len(w.past)-1].state }

// reset says what the directory was found to hold.
func (w *worker) reset(s *state) {
	w.past, w.pending = []moment{{state: s, what: "found", safe: true}}, nil
}

// load is several workers on one mount.
type load struct {
	workers []*worker
	history bool        // keep all states, for power cuts
	dark    atomic.Bool // the power is off: what returns from now on never did
	calls   atomic.Int64
	after   func(calls int64) // called after each call; nil: not
}

func newLoad(t *testing.T, dir string, workers int) *load {
	t.Helper()
	l := &load{}
	for n := range workers {
		w := newWorker(filepath.Join(dir, fmt.Sprintf("worker-%d", n)))
		if err := os.Mkdir(w.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		l.workers = append(l.workers, w)
	}
	return l
}

// run lets the workers work until each has failed or stop is closed, and returns what they failed with.
func (l *load) run(seed uint64, round int, stop <-chan struct{}) error {
	l.calls.Store(0)
	l.dark.Store(false)
	errs := make([]error, len(l.workers))
	var wait sync.WaitGroup
	for n, w := range l.workers {
		w.random = rand.New(rand.NewPCG(seed, uint64(round)<<16|uint64(n)))
		wait.Go(func() { errs[n] = l.work(w, stop) })
	}
	wait.Wait()
	return errors.Join(errs...)
}

func (l *load) work(w *worker, stop <-chan struct{}) error {
	defer func() {
		if w.open != nil {
			_ = w.open.Close() // perhaps of a dead mount
			w.open = nil
		}
	}()
	for {
		for _, s := range w.script() {
			select {
			case <-stop:
				return nil
			default:
			}
			if err := l.take(w, s); err != nil {
				return fmt.Errorf("%s: %s: %w", w.dir, s.what, err)
			}
		}
		w.present().forget(0)
	}
}

var errDark = errors.New("the power is off")

// take makes one call.
func (l *load) take(w *worker, s step) error {
	next := w.present()
	if s.next != nil {
		next = next.clone()
		s.next(next)
	}
	w.pending = &moment{state: next, what: s.what, safe: s.safe}
	if s.file {
		w.pending.file = w.id
	}
	if s.part != nil {
		w.pending.part = &part{id: w.id, off: s.part.off, p: s.part.p}
	}
	if err := s.do(); err != nil {
		return err
	}
	if l.dark.Load() { // an fdatasync under way returns nil when the kernel has given its transaction up by then
		return errDark
	}
	if l.history {
		w.past = append(w.past, *w.pending)
	} else {
		w.past[0] = *w.pending
	}
	w.pending = nil
	if calls := l.calls.Add(1); l.after != nil {
		l.after(calls)
	}
	return nil
}

// settle compares each directory with what a SIGKILL may leave: every acknowledged call, and of the one under way all or nothing. What
// is found is what the next round begins with.
func (l *load) settle(t *testing.T, when string) {
	t.Helper()
	for _, w := range l.workers {
		got, err := read(w.dir)
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		diff := differences(got, w.present())
		if w.pending != nil {
			for _, s := range append(w.pending.between(w.present()), w.pending.state) {
				if len(diff) > 0 && len(differences(got, s)) == 0 {
					diff = nil
				}
			}
		}
		for _, d := range diff {
			t.Errorf("%s: %s/%s", when, filepath.Base(w.dir), d)
		}
		if len(diff) > 0 {
			t.Fatalf("%s: %s is not as after %q, and not as after %v", when, w.dir, w.past[len(w.past)-1].what, w.pending)
		}
		w.reset(got)
	}
}

func (m *moment) String() string {
	if m == nil {
		return "anything else"
	}
	return m.what
}
