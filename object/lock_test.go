package object

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/oss"
)

// lockWorld is a server whose clock can be moved, and hosts.
type lockWorld struct {
	t      *testing.T
	ahead  atomic.Int64
	server *emulator.Server
	hosts  []*Bucket
}

func newLockWorld(t *testing.T, hosts int) *lockWorld {
	t.Helper()
	w := &lockWorld{t: t}
	w.server = emulated(t, emulator.Options{MaxSkew: 240 * time.Hour, Now: func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }})
	for range hosts {
		w.hosts = append(w.hosts, opened(t, Options{Connection: connection(w.server)}))
	}
	return w
}

func (w *lockWorld) pass(d time.Duration) { w.ahead.Add(int64(d)) }

func (w *lockWorld) take(host int) *Lock {
	w.t.Helper()
	l, err := w.hosts[host].TakeLock(w.t.Context(), "dir/f", 10*time.Second)
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

func (w *lockWorld) refused(host int) {
	w.t.Helper()
	if _, err := w.hosts[host].TakeLock(w.t.Context(), "dir/f", 10*time.Second); !errors.Is(err, ErrLocked) {
		w.t.Errorf("got %v, want %v", err, ErrLocked)
	}
}

func (w *lockWorld) release(host int, l *Lock) {
	w.t.Helper()
	if err := w.hosts[host].ReleaseLock(w.t.Context(), l); err != nil {
		w.t.Error(err)
	}
}

// left counts the lock objects in the bucket.
func (w *lockWorld) left() int {
	n := 0
	err := w.hosts[0].oss.ListAll(w.t.Context(), oss.ListOptions{Prefix: lockDir}, func(p oss.Page) error {
		n += len(p.Objects)
		return nil
	})
	if err != nil {
		w.t.Error(err)
	}
	return n
}

// TestLock: one host has it, and those that died are followed when their time is over.
func TestLock(t *testing.T) {
	w := newLockWorld(t, 3)
	first := w.take(0)
	w.refused(1)
	w.refused(0)
	w.release(0, first)
	if n := w.left(); n != 0 {
		t.Errorf("%d lock objects are left", n)
	}
	w.take(0) // and dies
	w.pass(9 * time.Second)
	w.refused(1)
	w.pass(5 * time.Second)
	second := w.take(1)
	w.refused(2)
	w.pass(9 * time.Second)
	if err := w.hosts[1].RenewLock(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	w.pass(9 * time.Second)
	w.refused(2)
	w.pass(5 * time.Second) // the second is dead, too
	third := w.take(2)
	w.refused(0)
	if n := w.left(); n != 3 {
		t.Errorf("got %d lock objects, want 3", n)
	}
	w.release(2, third)
	if n := w.left(); n != 0 {
		t.Errorf("%d lock objects are left", n)
	}
	w.release(0, w.take(0))
}

// linkTo makes a symbolic link of OSS.
func linkTo(t *testing.T, s *emulator.Server, name, target string) {
	t.Helper()
	b, err := sdkClient(t, s).Bucket(testBucket)
	must(t, err)
	must(t, b.PutSymlink(name, target))
}

// TestLockInTheWay: whoever could write to the bucket once can have left there what is no lock, or what leads nowhere. It ends as every lock does.
func TestLockInTheWay(t *testing.T) {
	lock := func(token ID) map[string]string {
		return map[string]string{metaLock: formatLock(token, 10*time.Second)}
	}
	for name, plant := range map[string]func(w *lockWorld, base string, put func(name string, meta map[string]string)){
		"no locks": func(_ *lockWorld, base string, put func(string, map[string]string)) {
			put(base, nil)
			put(base+"."+ID{}.String(), nil)
		},
		"a circle of one": func(_ *lockWorld, base string, put func(string, map[string]string)) {
			a := NewID()
			put(base, lock(a))
			put(base+"."+a.String(), lock(a))
		},
		"a circle of two": func(_ *lockWorld, base string, put func(string, map[string]string)) {
			a, b := NewID(), NewID()
			put(base, lock(a))
			put(base+"."+a.String(), lock(b))
			put(base+"."+b.String(), lock(a))
		},
		"many that ended": func(_ *lockWorld, base string, put func(string, map[string]string)) {
			for name, n := base, 0; n < 20; n++ {
				next := NewID()
				put(name, lock(next))
				name = base + "." + next.String()
			}
		},
		"a link to nothing": func(w *lockWorld, base string, _ func(string, map[string]string)) {
			linkTo(w.t, w.server, base, "nothing")
		},
		"a link to an object": func(w *lockWorld, base string, put func(string, map[string]string)) {
			put("something", nil)
			linkTo(w.t, w.server, base, "something")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newLockWorld(t, 2)
			plant(w, w.hosts[0].lockName("dir/f"), func(name string, meta map[string]string) {
				if _, err := w.hosts[0].oss.Put(t.Context(), name, nil, 0, oss.PutOptions{Meta: meta}); err != nil {
					t.Fatal(err)
				}
			})
			w.pass(2 * time.Hour)
			l := w.take(0)
			w.refused(1)
			w.release(0, l)
			if n := w.left(); n != 0 {
				t.Errorf("%d objects are left in the way", n)
			}
			w.release(1, w.take(1))
		})
	}
}

// TestLockAnswerLost: whose lock it is tells the token.
func TestLockAnswerLost(t *testing.T) {
	w := newLockWorld(t, 2)
	w.server.AddFault(emulator.Fault{Operation: "PutObject", Key: lockDir + "*", LoseResponse: true, Count: 1})
	l := w.take(0)
	w.refused(1)
	w.release(0, l)
}

// TestLockOverHasty: who follows a lock that another one has followed and removed meanwhile gives up.
func TestLockOverHasty(t *testing.T) {
	w := newLockWorld(t, 2)
	w.take(0)
	w.pass(20 * time.Second)
	base := w.hosts[0].lockName("dir/f")
	there, err := w.hosts[1].readLock(t.Context(), base)
	if err != nil || !there.ended {
		t.Fatalf("got %+v, %v, want one that ended", there, err)
	}
	w.release(0, w.take(0))
	live := w.take(0)
	l := &Lock{token: NewID(), life: 10 * time.Second, names: []string{base}}
	name := base + "." + there.token.String()
	taken, _, err := w.hosts[1].placeLock(t.Context(), l, name)
	if err != nil || !taken {
		t.Fatalf("got %v, %v, want a lock object", taken, err)
	}
	l.names = append(l.names, name)
	if err := w.hosts[1].confirmLock(t.Context(), l, []ID{there.token}); !errors.Is(err, ErrLocked) {
		t.Errorf("got %v, want %v", err, ErrLocked)
	}
	w.refused(1)
	w.release(0, live)
	if n := w.left(); n != 0 {
		t.Errorf("%d lock objects are left", n)
	}
}

// TestLockVersioned: nothing can be created on condition there.
func TestLockVersioned(t *testing.T) {
	s := emulated(t, emulator.Options{Versioning: true})
	b := opened(t, Options{Connection: connection(s)})
	if _, err := b.TakeLock(t.Context(), "f", time.Minute); !errors.Is(err, ErrNoLocks) {
		t.Errorf("got %v, want %v", err, ErrNoLocks)
	}
	if list, err := b.oss.ListVersions(t.Context(), b.lockName("f"), "", 10); err != nil || len(list) != 0 {
		t.Errorf("got %v, %v, want no version of a lock", list, err)
	}
}

// TestLockExcludes: at no moment do two have it, though some die with it.
func TestLockExcludes(t *testing.T) {
	const hosts, rounds = 4, 40
	w := newLockWorld(t, hosts)
	var inside, taken atomic.Int32
	var all sync.WaitGroup
	for n := range hosts {
		all.Go(func() {
			for taken.Load() < rounds {
				l, err := w.hosts[n].TakeLock(t.Context(), "f", time.Minute)
				if errors.Is(err, ErrLocked) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				taken.Add(1)
				if inside.Add(1) != 1 {
					t.Error("two hosts have the lock")
				}
				dies := rand.IntN(4) == 0
				if !dies {
					_, err = w.hosts[n].oss.Head(t.Context(), "f") // as long as a request takes
				}
				inside.Add(-1)
				switch {
				case dies:
					w.pass(2 * time.Minute)
				case !isGone(err):
					t.Errorf("got %v, want no object", err)
				default:
					w.release(n, l)
				}
			}
		})
	}
	all.Wait()
}
