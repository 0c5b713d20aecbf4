package converge

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/cache/index"
)

// scenario is a story in the words of package doc: "up" lets everything come to rest, "evict" evicts all that is clean, "send K"
// plans K and sends what the plan says, "late K" executes a request for K that was lost. needs are the rules without which it
// goes wrong.
type scenario struct {
	name   string
	script string
	needs  []rule
}

var scenarios = []scenario{
	{"swap-evicted", "create a; create b; up; evict; xchg a b", []rule{ruleNeeds, ruleUnblock}},
	{"cycle3-evicted", "create a; create b; create c; up; evict; xchg a b; xchg b c", []rule{ruleNeeds, ruleUnblock}},
	{"rename-over-evicted", "create a; create b; up; evict; mv a b; send a; exec a", []rule{ruleNeeds}},
	{"rename-away-recreate", "create a; up; evict; mv a b; create a; send a; exec a", []rule{ruleNeeds}},
	{"exchange-then-put-new", "create a; up; create b; evict; xchg a b; send a; exec a", []rule{ruleNeeds}},
	{"dir-swap-evicted", "mkdir d; mkdir e; create d/a; create e/a; up; evict; xchg d e", []rule{ruleNeeds, ruleUnblock}},
	{"unlink-while-put-in-flight", "create a; send a; rm a; lose a; late a", nil},
	{"late-put-resurrects", "create a; send a; crash; rm a; send a; late a", []rule{ruleFence}},
	{"late-put-overwrites-newer",
		"create a; up; write a; send a; lose a; write a; send a; send a; exec a; answer a; late a", []rule{ruleFence, ruleSerial}},
	{"late-delete-after-recreate", "create a; up; rm a; send a; lose a; create a; send a; send a; exec a; answer a; evict; late a",
		[]rule{ruleFence, ruleSerial}},
	{"delete-recreate-put-in-flight", "create a; send a; rm a; create a; send a; exec a; answer a; exec a", nil},
	{"write-while-put-in-flight", "create a; send a; write a; exec a; answer a", []rule{ruleSent}},
	{"crash-between-copy-and-record", "create a; up; evict; mv a b; send b; exec b; crash; rm b", []rule{}},
	{"late-copy-source-changed", "create a; up; evict; mv a b; send b; crash; create a; send a; exec a; late b", nil},
	{"open-unlinked-evicted", "create a; up; open a; evict; rm a; send a; exec a", []rule{ruleNeeds}},
	{"rename-back-during-delete", "create a; up; mv a b; send b; exec b; answer b; send a; mv b a; evict; send b; exec b; exec a",
		[]rule{ruleReadable}},
	{"overwrite-home-then-evict", "create b; up; create c; xchg b c; send b; evict; exec b", []rule{ruleNeeds}},
	{"retry-then-write", "create a; up; write a; send a; lose a; send a; exec a; answer a; write a; send a; send a; exec a; answer a; late a",
		[]rule{ruleRefence}},
	{"copy-answered-404-though-executed", "create a; up; evict; mv a b; send b; exec b; rm b; send a; exec a; exec b; answer b", nil},
	{"negative-head-too-early", "create a; send a; crash; send a; late a; rm a; tick 30; send a", []rule{ruleFence}},
	// The order rule and what keeps it from waiting for ever.
	{"delete-before-replacement", "create a; up; create b; rm a; send a; exec a", []rule{ruleOrder}},
	{"rewritten-in-place-and-renamed-over",
		"create M; create n; up; create m; write n; mv m M; send n; exec n; answer n; send M; exec M", []rule{rulePark}},
	{"blocked-move-blocks-put", "create K; create y; up; create W; mv K v; mv v y; mv W K", nil},
	{"prune-before-packs", "create a; create b; up; create c; create d; rm a; rm b; send a; exec a; send b; exec b", []rule{ruleOrder}},
	{"rewritten-by-turns", "create a; create b; up; write a; write b; write a; send a; send b", []rule{rulePark}},
	{"fsynced-and-never-closed", "create a; create b; up; begin a; fsync a; rm b; send b", nil},
	// What the simulation found here.
	{"old-version-of-renamed", "create a; up; begin a; mv a b; send a; exec a; answer a; up", []rule{ruleOldStays}},
	{"exchange-rewritten", "create a; create b; up; xchg a b; write a; send b; exec b; send a; exec a", []rule{ruleOldStays}},
	{"copy-source-overwritten", "create b; up; create a; xchg b a; send a; rm a; send b; exec b; exec a", nil},
	{"recorded-after-unlink", "create e; create a; send e; send a; mv e a; create e", nil},
	{"last-child-of-markerless", "implicit d; create d/a; up; rm d/a; send d/a; exec d/a", []rule{ruleMarker}},
	{"last-children-at-once", "implicit d; create d/a; create d/b; up; rm d/a; rm d/b; send d/a; send d/b; exec d/a; exec d/b",
		[]rule{ruleMarker}},
	{"chmod-evicted", "create a; up; evict; chmod a", nil},
	{"setxattr-evicted", "create a; up; evict; setxattr a", nil},
	{"setxattr-and-rename-evicted", "create a; up; evict; setxattr a; mv a b", nil},
	{"others-between-refusal-and-repetition", "create a; up; setxattr a; send a; refuse a; outside a; send a; exec a", []rule{ruleLook}},
	{"refused-copy", "create a; up; evict; mv a b; send b; refuse b; write a; mv b c; send b; send c; exec c; answer c", nil},
	{"parked-again-before-older", "create b; mv b d; implicit e; send d; create a; exec d; answer d; send a; create b; exec a; answer a; create c; send b; send c; " +
		"mv c b; create e/a; exec c; answer c; xchg d e/a; rm d; mkdir d; create c; send e/; mv e/a a; rmdir e; write b; mv c d/a; send a; begin d/a; mv d/a e; " +
		"send a; send e; create d/b; send d/b; xchg e d/b", nil},
	{"power-cut-after-send", "create a; up; mv a b; send b; power; late b", nil},
}

// run plays a script and returns what went wrong.
func (w *world) run(script string) string {
	for _, line := range strings.Split(script, ";") {
		words := append(strings.Fields(line), "", "")
		w.word(words[0], words[1], words[2])
		if w.check(); w.failure != "" {
			return "after " + strings.TrimSpace(line) + ": " + w.failure
		}
	}
	w.drain()
	return w.failure
}

func (w *world) word(verb, a, b string) {
	calls := map[string]func(){
		"create": func() { w.create(a) }, "write": func() { w.beginWrite(a); w.endWrite(a) }, "begin": func() { w.beginWrite(a) },
		"rm": func() { w.unlink(a) }, "mv": func() { w.rename(a, b) }, "xchg": func() { w.exchange(a, b) }, "mkdir": func() { w.mkdir(a) }, "rmdir": func() { w.rmdir(a) },
		"chmod": func() { w.chmod(a) }, "setxattr": func() { w.setXattr(a) }, "open": func() { w.openFile(a) },
		"implicit": func() { w.implicit(a) }, "up": w.drain, "evict": w.evictAll, "crash": func() { w.crash(false) },
		"power": func() { w.powerCuts = true; w.crash(true) }, "tick": func() { w.now += 30 }, "send": func() { w.work(a) },
		"exec": func() { w.onRequest(a, false, w.execute) }, "answer": func() { w.onRequest(a, false, w.answer) },
		"refuse":  func() { w.onRequest(a, false, w.refuse) },
		"outside": func() { w.outsiders = true; w.outside(a, false) },
		"lose":    func() { w.onRequest(a, false, w.lose) }, "late": func() { w.onRequest(a, true, w.execute) },
		"fsync": func() {
			if i, ok := w.file(a); ok {
				w.fsync(i.Ino)
			}
		},
	}
	calls[verb]()
}

// onRequest does something with the newest request for a key that is, or is not, lost.
func (w *world) onRequest(key string, lost bool, do func(*simRequest)) {
	for _, r := range slices.Backward(w.requests) {
		if r.pend.Key == key && r.lost == lost {
			do(r)
			return
		}
	}
}

func (w *world) evictAll() {
	for _, ino := range slices.Sorted(maps.Keys(w.idx.inodes)) {
		if key, ok := w.idx.Path(ino); ok && ino != index.Root {
			w.evict(key)
		}
	}
}

func TestScenarios(t *testing.T) {
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			if failure := newWorld(noRule).run(s.script); failure != "" {
				t.Errorf("%s", failure)
			}
			for _, r := range s.needs {
				if newWorld(r).run(s.script) == "" {
					t.Errorf("nothing goes wrong without the rule %q", ruleNames[r])
				}
			}
		})
	}
}

// TestCost counts requests of common cases (CONVERGENCE (c)), without faults.
func TestCost(t *testing.T) {
	for _, tt := range []struct {
		name, before, calls         string
		puts, copies, deletes, tags int
	}{
		{"create and rename before upload", "", "create a; mv a b", 1, 0, 0, 0},
		{"create and unlink before upload", "", "create a; rm a", 0, 0, 0, 0},
		{"editor saves", "create a", "create b; mv b a", 1, 0, 0, 0},
		{"rename", "create a", "mv a b", 0, 1, 1, 0},
		{"rename over", "create a; create b", "mv a b", 0, 1, 1, 0},
		{"rename evicted", "create a; up; evict", "mv a b", 0, 1, 1, 0},
		{"chmod", "create a", "chmod a", 0, 0, 0, 1},
		{"chmod that takes rights away", "create a; chmod a", "chmod a", 1, 0, 0, 0},
		{"chmod that takes rights away, evicted", "create a; chmod a; up; evict", "chmod a", 1, 0, 0, 0},
		{"chmod that takes rights away, and rename", "create a; chmod a", "chmod a; mv a b", 1, 0, 1, 0},
		{"chmod before upload", "", "create a; chmod a", 1, 0, 0, 0},
		{"swap", "create a; create b", "xchg a b", 0, 3, 1, 0},
		{"cycle of three", "create a; create b; create c", "xchg a b; xchg b c", 0, 4, 1, 0},
		{"rename a directory of two", "mkdir d; create d/a; create d/b", "mv d e", 1, 2, 3, 0},
		{"remove a directory of two", "mkdir d; create d/a; create d/b", "rm d/a; rm d/b; rmdir d", 0, 0, 3, 0},
		{"rewrite", "create a", "write a", 1, 0, 0, 0},
		{"entries of a directory change", "mkdir d; create d/a", "create d/b; create d/c; rm d/a", 3, 0, 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(noRule)
			if failure := w.run(orNothing(tt.before)); failure != "" {
				t.Fatal(failure)
			}
			w.sent = map[index.Op]int{}
			if failure := w.run(tt.calls); failure != "" {
				t.Fatal(failure)
			}
			if w.sent[index.Put] != tt.puts || w.sent[index.Copy] != tt.copies || w.sent[index.Delete] != tt.deletes || w.sent[index.Tag] != tt.tags {
				t.Errorf("sent %v, want %d put, %d copy, %d delete, %d tag", w.sent, tt.puts, tt.copies, tt.deletes, tt.tags)
			}
		})
	}
}

func orNothing(script string) string {
	if script == "" {
		return "tick"
	}
	return script
}
