package converge

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// second is one second of the planner's clock.
const second = int64(time.Second)

// quietFacts are facts with times to wait for quiet, at a moment.
func quietFacts(w *world, now int64) *Facts {
	f := w.facts()
	f.Now, f.Settle, f.MarkerSettle, f.LateSettle = now, 2*time.Second, 5*time.Second, 30*time.Second
	f.Urgent = func(string) bool { return false }
	return f
}

func planOf(t *testing.T, w *world, key string, f *Facts) Action {
	t.Helper()
	a, err := Plan(w.idx, key, f)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (w *world) touchAt(name string, changed, closed int64) {
	i, _ := w.find(name)
	i.ChangedAt, i.ClosedAt = changed, closed
	w.idx.inodes[i.Ino] = i
}

func TestSettle(t *testing.T) {
	w := newWorld(noRule)
	w.create("a")
	w.mkdir("d")
	w.touchAt("a", 100*second, 101*second)
	w.touchAt("d", 100*second, 0)
	for _, tt := range []struct {
		name, key  string
		now, since int64
		urgent     bool
		want       Kind
		at         int64
	}{
		{"too early", "a", 102 * second, 0, false, Wait, 103 * second},
		{"quiet", "a", 103 * second, 0, false, Send, 0},
		{"urgent", "a", 102 * second, 0, true, Send, 0},
		{"never quiet", "a", 102 * second, 72 * second, false, Send, 0},
		{"not quiet for long", "a", 102 * second, 72*second + 1, false, Wait, 102*second + 1},
		{"directories wait longer", "d/", 104 * second, 0, false, Wait, 105 * second},
		{"directory", "d/", 105 * second, 0, false, Send, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := quietFacts(w, tt.now)
			f.Since = func(string) int64 { return tt.since }
			f.Urgent = func(string) bool { return tt.urgent }
			a := planOf(t, w, tt.key, f)
			if a.Kind != tt.want || a.At != tt.at || a.Settle != (tt.want == Wait) {
				t.Errorf("got %s at %d (settle %v), want %s at %d", a.Kind, a.At, a.Settle, tt.want, tt.at)
			}
		})
	}
}

// TestDeleteWaitsForSuccessor: a deleted name that is used again soon costs one PUT and no DELETE.
func TestDeleteWaitsForSuccessor(t *testing.T) {
	w := newWorld(noRule)
	w.run("create a")
	w.unlink("a")
	f := quietFacts(w, 100*second)
	f.Since = func(string) int64 { return 99 * second }
	if a := planOf(t, w, "a", f); a.Kind != Wait || a.At != 101*second {
		t.Errorf("got %+v, want to wait until 101 s", a)
	}
	f.Now = 101 * second
	if a := planOf(t, w, "a", f); a.Kind != Send || a.Pend.Op != index.Delete {
		t.Errorf("got %+v, want a DELETE", a)
	}
}

// TestOpenContentIsSealed: content that was fsynced, is still being written and holds others back is sealed after a while.
func TestOpenContentIsSealed(t *testing.T) {
	w := newWorld(noRule)
	w.run("create a; create b")
	w.beginWrite("a")
	i, _ := w.file("a")
	w.fsync(i.Ino)
	w.touchAt("a", 100*second, 0)
	w.unlink("b")
	f := quietFacts(w, 110*second)
	f.Since = func(string) int64 { return 1 }
	if a := planOf(t, w, "b", f); a.Kind != Wait || a.At != 130*second || !a.Order {
		t.Errorf("got %+v, want to wait until 130 s", a)
	}
	f.Now = 130 * second
	if a := planOf(t, w, "b", f); a.Kind != Seal || a.Ino != i.Ino {
		t.Errorf("got %+v, want a seal of inode %d", a, i.Ino)
	}
}

// TestLooks: rule O asks for a look before an object is overwritten, tagged or deleted, and for creations that cannot overwrite.
func TestLooks(t *testing.T) {
	for _, tt := range []struct {
		name, script, key string
		op                index.Op
		verify, ifAbsent  bool
	}{
		{"creation", "create b", "b", index.Put, false, true},
		{"rewrite", "write a", "a", index.Put, true, false},
		{"rename", "mv a b", "b", index.Copy, false, true},
		{"delete", "rm a", "a", index.Delete, true, false},
		{"attributes", "chmod a", "a", index.Tag, true, false},
		{"new marker", "mkdir d", "d/", index.Put, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(noRule)
			w.run("create a")
			for _, exclusive := range []bool{false, true} {
				if !exclusive {
					words := append(strings.Fields(tt.script), "", "")
					w.word(words[0], words[1], words[2])
				}
				f := w.facts()
				f.Exclusive = exclusive
				a := planOf(t, w, tt.key, f)
				if a.Kind != Send || a.Pend.Op != tt.op || a.Verify != (tt.verify && !exclusive) || a.Pend.IfAbsent != tt.ifAbsent {
					t.Errorf("exclusive %v: got %+v", exclusive, a)
				}
			}
		})
	}
}

// TestUnknownOutcome walks through R4: repeat before the fence, look after it, and never repeat what an answer forbids.
func TestUnknownOutcome(t *testing.T) {
	w := newWorld(noRule)
	w.create("a")
	w.work("a")
	p := w.idx.pends["a"]
	if a := planOf(t, w, "a", w.facts()); a.Kind != Wait {
		t.Errorf("under way: got %s", a.Kind)
	}
	w.lose(w.requests[0])
	if a := planOf(t, w, "a", w.facts()); a.Kind != Resend || a.Pend.Upload != p.Upload {
		t.Errorf("lost: got %+v, want the same request again", a)
	}
	f := w.facts()
	f.RetryAt = func(string) int64 { return w.now + 3 }
	if a := planOf(t, w, "a", f); a.Kind != Wait || a.At != w.now+3 {
		t.Errorf("backing off: got %+v", a)
	}
	must(t, failed(w.idx, p, w.now+w.late, true))
	if a := planOf(t, w, "a", w.facts()); a.Kind != Wait || a.At != w.now+w.late {
		t.Errorf("refused: got %+v, want to wait for the fence", a)
	}
	w.now += w.late
	if a := planOf(t, w, "a", w.facts()); a.Kind != Look {
		t.Errorf("after the fence: got %s", a.Kind)
	}
}

// TestVoid: a request without effect is sent again, with its id and parts, or gives way to what is wanted now.
func TestVoid(t *testing.T) {
	w := newWorld(noRule)
	w.create("a")
	w.work("a")
	p := w.idx.pends["a"]
	p.Multipart = []byte("upload")
	must(t, refused(w.idx, p))
	w.requests = nil
	f := w.facts()
	f.RetryAt = func(string) int64 { return w.now + 3 }
	if a := planOf(t, w, "a", f); a.Kind != Wait || a.At != w.now+3 {
		t.Errorf("backing off: got %+v", a)
	}
	if a := planOf(t, w, "a", w.facts()); a.Kind != Resend || a.Pend.Upload != p.Upload || string(a.Pend.Multipart) != "upload" {
		t.Errorf("got %+v, want the same request again", a)
	}
	must(t, rearm(w.idx, w.idx.pends["a"], w.now+w.late))
	if a := planOf(t, w, "a", w.facts()); a.Kind != Resend {
		t.Errorf("after a restart: got %s", a.Kind)
	}
	w.beginWrite("a")
	w.endWrite("a")
	if a := planOf(t, w, "a", w.facts()); a.Kind != Forget {
		t.Errorf("changed: got %s", a.Kind)
	}
	w.unlink("a")
	if a := planOf(t, w, "a", f); a.Kind != Forget {
		t.Errorf("removed: got %s", a.Kind)
	}
}

// TestRefusedAfterUnknown: an attempt without effect says nothing of one before it whose answer was lost.
func TestRefusedAfterUnknown(t *testing.T) {
	w := newWorld(noRule)
	w.create("a")
	w.work("a")
	w.lose(w.requests[0])
	w.work("a")
	w.refuse(w.requests[1])
	if p := w.idx.pends["a"]; p.Void || p.Until != w.now+w.late {
		t.Errorf("got %+v", p)
	}
}

// TestUnfinishedParts: an upload in parts that was not completed within its time goes on where it was.
func TestUnfinishedParts(t *testing.T) {
	w := newWorld(noRule)
	w.create("a")
	w.work("a")
	w.lose(w.requests[0])
	p := w.idx.pends["a"]
	p.Multipart = []byte("upload")
	must(t, w.idx.PutPend(p))
	w.now += w.late
	f, err := looked(w.idx, p, nil)
	must(t, err)
	if a := planOf(t, w, "a", w.facts()); f != foundNotDone || a.Kind != Resend || a.Pend.Upload != p.Upload || string(a.Pend.Multipart) != "upload" {
		t.Errorf("got %+v, want the same request again", a)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestRearm: after a restart an unanswered request may be executed for the whole of L again, answered ones keep their key closed.
func TestRearm(t *testing.T) {
	x := newSimIndex()
	must(t, rearm(x, index.Pend{Key: "unknown", Op: index.Put, Until: 3, Fence: 2}, 50))
	must(t, rearm(x, index.Pend{Key: "answered", Op: index.Put, Answered: true, Until: 3, Fence: 2}, 50))
	if p := x.pends["unknown"]; p.Until != 50 || p.Answered {
		t.Errorf("unknown: %+v", p)
	}
	if p := x.pends["answered"]; p.Fence != 50 || !p.Answered {
		t.Errorf("answered: %+v", p)
	}
}

func TestParkKey(t *testing.T) {
	f := Facts{Cache: "0123456789abcdef0123456789abcdef"}
	if got, want := f.ParkKey(0x1f, 0x2e), ".ossencfs/park/0123456789abcdef0123456789abcdef.1f.2e"; got != want || !isParkKey(got) {
		t.Errorf("got %q, want the parking key %q", got, want)
	}
	if other := (&Facts{Cache: "f"}); f.ParkKey(1, 2) == f.ParkKey(16, 2) || f.ParkKey(1, 2) == f.ParkKey(1, 3) || f.ParkKey(1, 2) == other.ParkKey(1, 2) {
		t.Error("two inodes, contents or caches with one parking key")
	}
}

// TestWakesWhenParked: the last version of a file in the bucket stays where it is for that, until a later one is parked; then it is looked at again.
func TestWakesWhenParked(t *testing.T) {
	for key, script := range map[string]string{
		"a": "create a; up; write a; mv a b",           // nobody wants a any more
		"b": "create b; up; write b; mv b c; create b", // somebody else does
	} {
		w := newWorld(noRule)
		for _, line := range strings.Split(script, ";") {
			words := append(strings.Fields(line), "", "")
			w.word(words[0], words[1], words[2])
		}
		i := w.idx.inodes[w.idx.objects[key].Ino]
		before := planOf(t, w, key, w.facts())
		if before.Kind != Wait || !slices.Contains(before.Keys, w.facts().ParkKey(i.Ino, i.Gen)) {
			t.Errorf("%s: got %+v, want to wait for what is parked", key, before)
		}
		p := &planner{v: w.idx, f: w.facts()}
		w.send(p.parkPut(&i))
		w.execute(w.requests[0])
		w.answer(w.requests[0])
		if after := planOf(t, w, key, w.facts()); after.Kind != Send && !after.Order {
			t.Errorf("%s: got %+v once it is parked, want its turn", key, after)
		}
	}
}

// TestNarrowing: a small file that loses rights is stored anew, which needs its content; where the service does not give that out, or lets it not be
// replaced, it gets a tag, as a large one does.
func TestNarrowing(t *testing.T) {
	for _, tt := range []struct {
		name    string
		size    int64
		cached  bool
		refused bool
		want    Kind
		op      index.Op
	}{
		{"cached", object.SmallFile, true, false, Send, index.Put},
		{"not cached", object.SmallFile, false, false, Fetch, 0},
		{"archived", object.SmallFile, false, true, Send, index.Tag},
		{"immutable", object.SmallFile, true, true, Send, index.Tag},
		{"large", object.SmallFile + 1, true, false, Send, index.Tag},
	} {
		w := newWorld(noRule)
		if failure := w.run("create a; chmod a"); failure != "" {
			t.Fatal(failure)
		}
		w.chmod("a")
		i, _ := w.find("a")
		if i.Size = tt.size; !tt.cached {
			i.CachedGen = 0
		}
		w.idx.inodes[i.Ino] = i
		f := w.facts()
		f.Refused = func(string) bool { return tt.refused }
		if a := planOf(t, w, "a", f); a.Kind != tt.want || a.Pend.Op != tt.op {
			t.Errorf("%s: got %s %s, want %s %s", tt.name, a.Kind, a.Pend.Op, tt.want, tt.op)
		}
	}
}
