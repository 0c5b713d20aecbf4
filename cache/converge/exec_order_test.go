package converge

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// holdFirst holds the executions of a request until the returned function is called.
func (r *rig) holdFirst(request string) (release func()) {
	hold := make(chan struct{})
	r.store.setFault(func(got string, _ int) fault {
		if got == request {
			return fault{hold: hold}
		}
		return fault{}
	})
	return func() { close(hold) }
}

// TestDeleteWaits: what was written before a removal reaches the bucket before it.
func TestDeleteWaits(t *testing.T) {
	r := newRig(t, Options{})
	r.uploadedAlready(2, func(n int) string { return []string{"old", "early"}[n] })
	release := r.holdFirst("put new")
	r.unlink("early")
	r.create("new", "text")
	r.unlink("old")
	r.create("other", "text")
	r.until("the others are sent", func() bool { return len(r.store.requests()) == 2 })
	release()
	r.calm()
	got := r.store.requests()
	slices.Sort(got[:2])
	if want := []string{"delete early", "put other", "put new", "delete old"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestRemovedContentIsNotWaitedFor: a file that is removed before it could be sent holds nothing up.
func TestRemovedContentIsNotWaitedFor(t *testing.T) {
	r := newRig(t, Options{})
	r.uploadedAlready(1, func(int) string { return "old" })
	r.store.setFault(func(request string, _ int) fault {
		return fault{refuse: refusal(request == "put new")}
	})
	r.create("new", "text")
	r.until("it was tried", func() bool { return r.store.attempts("put new") > 0 })
	r.unlink("old")
	begin := time.Now()
	r.unlink("new")
	r.until("the removal is sent", func() bool { return r.store.count("delete old") == 1 })
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	r.calm()
}

// TestOverwrites: two hundred files are written anew, and some swap names. Each overwriting is destructive and waits for what was
// closed before; none waits for ever, and the bucket never runs ahead.
func TestOverwrites(t *testing.T) {
	r := newRig(t, Options{Late: 200 * time.Millisecond})
	const files = 200
	name := func(n int) string { return fmt.Sprintf("f%03d", n) }
	r.uploadedAlready(files, name)
	r.store.setFault(func(request string, n int) fault {
		if n == 1 && strings.HasPrefix(request, "put") && len(request)%3 == 0 && request[len(request)-1] == '7' {
			return fault{lose: true}
		}
		return fault{}
	})
	order := rand.New(rand.NewPCG(1, 2)).Perm(files)
	for _, n := range order {
		r.rewrite(name(n), fmt.Sprintf("new content %d", n))
	}
	r.sync("")
	r.calm()
	var want []string
	for _, n := range order {
		want = append(want, "put "+name(n))
	}
	// A file that is parked (R10) arrives there in time and at its name later.
	got := slices.DeleteFunc(r.store.requests(), func(request string) bool { return !strings.HasPrefix(request, "put f") })
	if r.store.count("put "+ParkPrefix) == 0 && !slices.Equal(slices.Compact(got), want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestManyWait: thousands of removals wait behind one slow upload, while others arrive. They are not all looked at each time.
func TestManyWait(t *testing.T) {
	r := newRig(t, Options{})
	const old, others = 800, 300
	name := func(n int) string { return fmt.Sprintf("old%04d", n) }
	r.uploadedAlready(old, name)
	release := r.holdFirst("put slow")
	r.create("slow", "text")
	for n := range old {
		r.unlink(name(n))
	}
	for n := range others {
		r.create(fmt.Sprintf("other%d", n), "text")
	}
	r.until("the others are there", func() bool { return r.store.count("put other") == others })
	if got := r.store.count("delete"); got != 0 {
		t.Errorf("%d removals came before what was written earlier", got)
	}
	if got := r.c.counts.plans.Load(); got > 3*(old+others) {
		t.Errorf("%d looks at %d keys", got, old+others)
	}
	release()
	r.calm()
}

// TestRenamedDirectory: 3,000 files move with their directory, through a restart in the middle.
func TestRenamedDirectory(t *testing.T) {
	r := newRig(t, Options{Exclusive: true})
	files := 3000
	if testing.Short() {
		files = 600
	}
	r.mkdir("d/")
	r.mkdir("d/sub/")
	r.sync("")
	r.uploadedAlready(files, func(n int) string {
		if n%3 == 0 {
			return fmt.Sprintf("d/sub/f%d", n)
		}
		return fmt.Sprintf("d/f%d", n)
	})
	r.store.forget()
	r.rename("d/", "e/")
	r.until("some are moved", func() bool { return r.store.count("copy") > files/4 })
	r.restart()
	r.rename("e/", "g/")
	r.calm()
	if got := r.store.count("put d/"); got != 0 {
		t.Errorf("%d files were uploaded again", got)
	}
}

// TestWalkBeginsAnew: a directory is renamed again while the walk below it is under way. Nothing may be left out.
func TestWalkBeginsAnew(t *testing.T) {
	r := newRig(t, Options{Exclusive: true})
	const files = 3 * walkStep
	r.mkdir("d/")
	r.uploadedAlready(files, func(n int) string { return fmt.Sprintf("d/f%d", n) })
	for n := range 4 {
		r.rename("d/", "e/")
		if n == 2 {
			r.until("the walk is under way", func() bool { return r.store.count("copy") > 0 })
		}
		r.rename("e/", "d/")
	}
	r.rename("d/", "h/")
	r.calm()
}

// TestRemovalAfterRestart: the wait for quiet before a removal ends after a restart, too.
func TestRemovalAfterRestart(t *testing.T) {
	r := newRig(t, Options{Settle: 200 * time.Millisecond})
	r.uploadedAlready(1, func(int) string { return "a" })
	r.unlink("a")
	r.restart()
	r.calm()
}

// TestCycle: names that swap are moved by a copy to a parking key.
func TestCycle(t *testing.T) {
	r := newRig(t, Options{})
	r.uploadedAlready(2, func(n int) string { return []string{"a", "b"}[n] })
	r.evict("a")
	r.evict("b")
	r.update(func(tx *index.Tx) error {
		a, b := r.file(tx, "a"), r.file(tx, "b")
		a.Name, b.Name, a.PathSeq, b.PathSeq = "tmp", "a", seq(tx), seq(tx)
		for _, i := range []index.Inode{a, b} {
			if err := tx.PutInode(i); err != nil {
				return err
			}
		}
		a.Name = "b"
		return tx.PutInode(a)
	})
	r.sync("")
	r.calm()
	if r.store.count("copy a "+ParkPrefix) != 1 || r.store.count("put") != 0 {
		t.Errorf("got %v", r.store.requests())
	}
}

// TestParkedByTheVersionBefore: content that earlier versions parked, under the inode number, alone or with that of the cache, is known after the upgrade, moves to its name, and
// leaves nothing behind. So does a request to such a key whose answer was lost.
func TestParkedByTheVersionBefore(t *testing.T) {
	const before, lost = ParkPrefix + "0000000000000080", ParkPrefix + "00112233445566778899aabbccddeeff.81"
	r := newRig(t, Options{})
	r.uploadedAlready(2, func(n int) string { return []string{"a", "b"}[n] })
	r.evict("a")
	r.update(func(tx *index.Tx) error {
		row, _, err := tx.Object("a")
		if err != nil {
			return err
		}
		r.store.mu.Lock()
		defer r.store.mu.Unlock()
		r.store.objects[before] = r.store.objects["a"]
		delete(r.store.objects, "a")
		row.Key = before
		b := r.file(tx, "b")
		upload := object.NewID()
		there := r.store.objects["b"]
		there.info.Upload = upload
		r.store.objects[lost] = there
		p := index.Pend{Key: lost, Op: index.Put, Ino: b.Ino, Gen: b.Gen, AttrVer: b.AttrVer, Upload: index.ID(upload), Attempts: 1, IfAbsent: true}
		return errors.Join(tx.DeleteObject("a"), tx.PutObject(row), tx.PutPend(p))
	})
	r.restart()
	r.sync("")
	r.calm()
	got := r.store.requests()
	if r.store.count("copy "+before+" a") != 1 || r.store.count("delete "+before) != 1 || r.store.count("put") != 0 {
		t.Errorf("got %v, want the content moved from its old parking key", got)
	}
}

// TestFaultsEverywhere runs a tree through a bucket where every fifth request goes wrong in some way.
func TestFaultsEverywhere(t *testing.T) {
	r := newRig(t, Options{Late: 60 * time.Millisecond})
	random := rand.New(rand.NewPCG(3, 4))
	r.store.setFault(func(_ string, n int) fault { // the store is locked
		if n > 3 {
			return fault{} // the pauses between attempts grow, and the test has to end
		}
		switch random.IntN(25) {
		case 0:
			return fault{refuse: object.ErrUnavailable}
		case 1:
			return fault{refuse: object.ErrThrottled}
		case 2:
			return fault{lose: true}
		case 3:
			return fault{late: 30 * time.Millisecond}
		case 4:
			return fault{refuse: object.ErrQuota}
		}
		return fault{}
	})
	r.mkdir("d/")
	for n := range 40 {
		r.create(fmt.Sprintf("d/a%d", n), "text")
		r.create(fmt.Sprintf("d/b%d", n), "text")
	}
	r.sync("d/")
	for n := range 40 {
		a, b := fmt.Sprintf("d/a%d", n), fmt.Sprintf("d/b%d", n)
		switch n % 4 {
		case 0:
			r.rename(a, b)
		case 1:
			r.rewrite(a, "other")
			r.chmod(b, 0o600)
		case 2:
			r.unlink(a)
			r.create(a, "again")
		case 3:
			r.evict(a)
			r.rename(a, fmt.Sprintf("c%d", n))
		}
	}
	r.restart()
	r.rename("d/", "e/")
	r.sync("")
	r.calm()
	if len(r.imports()) != 0 {
		t.Errorf("our own requests were taken for those of others: %v", r.imports())
	}
}
