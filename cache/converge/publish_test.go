package converge

import (
	"strings"
	"testing"
)

// TestInTurn holds requests back that must not be seen before others. Each is planned after the calls of before, and again after those of
// then.
func TestInTurn(t *testing.T) {
	const sent = "; exec %; answer %"
	for _, tt := range []struct {
		name, before, key, then string
		free                    bool // it does not wait at all
		rule                    rule // holds it back
	}{
		{name: "a new name after older content elsewhere", before: "mkdir d; create d/x; create t; mv t e", key: "e", then: "send d/x" + sent, rule: rulePublish},
		{name: "plain content in any order", before: "mkdir d; create d/x; create e", key: "e", free: true},
		{name: "renamed in one directory", before: "create x; create t; mv t e", key: "e", free: true},
		{name: "a new name after one that is parked", before: "mkdir d; create t; mv t d/x; park d/x; create u; mv u e", key: "e",
			then: "send d/x" + sent, rule: rulePublish},
		{name: "deletes after earlier ones", before: "create a; create b; up; rm b; rm a", key: "a", then: "send b" + sent, rule: ruleInTurn},
		{name: "a delete after a rename", before: "create a; create b; up; mv b c; rm a", key: "a", then: "send c" + sent + "; send b" + sent, rule: ruleInTurn},
		{name: "a delete after a request under way", before: "create b; up; create a; send a; rm a; rm b", key: "b",
			then: "exec a; answer a; send a" + sent, rule: ruleInTurn},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(noRule)
			play := func(script string) {
				last := ""
				for _, line := range strings.Split(script, ";") {
					words := append(strings.Fields(line), "", "")
					switch {
					case words[0] == "park":
						i, _ := w.file(words[1])
						p := &planner{v: w.idx, f: w.facts()}
						w.send(p.parkPut(&i))
						w.onRequest(w.facts().ParkKey(i.Ino, i.Gen), false, w.execute)
						w.onRequest(w.facts().ParkKey(i.Ino, i.Gen), false, w.answer)
					case words[1] == "%":
						w.word(words[0], last, "")
					default:
						last = words[1]
						w.word(words[0], words[1], words[2])
					}
				}
			}
			play(tt.before)
			if a := planOf(t, w, tt.key, w.facts()); (a.Kind == Send) != tt.free {
				t.Fatalf("got %+v, want to wait: %v", a, !tt.free)
			}
			if tt.free {
				return
			}
			f := w.facts()
			f.without = tt.rule
			if a := planOf(t, w, tt.key, f); a.Kind != Send {
				t.Errorf("without its rule: %+v", a)
			}
			play(tt.then)
			if a := planOf(t, w, tt.key, w.facts()); a.Kind != Send {
				t.Errorf("afterwards: %+v", a)
			}
		})
	}
}
