package cache_test

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
)

// scenarios are stories of which each loses data, or leaves an object that nobody owns, where one rule of package converge is missing.
// Its simulation plays them on an abstract bucket; here the cache in a process of its own plays them against the emulator. Words:
// put, mv, xchg, rm, mkdir, chmod, open and reread are calls; "up" lets everything come to rest; "evict" removes all content that the bucket
// has; "send OP K" waits for a request, which is held before its execution, "exec K" has it executed, "answer K" has it answered;
// "lose OP K" waits for one whose client is sent away, "late K" executes that; "turn" proves that the uploads had time for more, by
// those of another file; "crash" is a SIGKILL.
var scenarios = []struct{ name, script string }{
	{"swap-evicted", "put a; put b; up; evict; xchg a b"},
	{"cycle3-evicted", "put a; put b; put c; up; evict; xchg a b; xchg b c"},
	{"rename-over-evicted", "put a; put b; up; evict; mv a b"},
	{"rename-away-recreate", "put a; up; evict; mv a b; send copy b; put a; turn; exec b; answer b"},
	{"exchange-then-put-new", "put a; up; put b; send put b; evict; xchg a b; turn; answer b"},
	{"dir-swap-evicted", "mkdir d; mkdir e; put d/a; put e/a; up; evict; xchg d e"},
	{"unlink-while-put-in-flight", "put a; lose put a; rm a; turn; late a"},
	{"late-put-resurrects", "put a; lose put a; crash; rm a; turn; late a"},
	{"late-put-overwrites-newer", "put a; up; put a; lose put a; put a; turn; late a"},
	{"late-delete-after-recreate", "put a; up; rm a; lose delete a; put a; turn; evict; late a"},
	{"delete-recreate-put-in-flight", "put a; send put a; rm a; put a; turn; exec a; answer a"},
	{"write-while-put-in-flight", "put a; send put a; put a; exec a; answer a"},
	{"crash-between-copy-and-record", "put a; up; evict; mv a b; send copy b; exec b; crash; rm b"},
	{"late-copy-source-changed", "put a; up; evict; mv a b; lose copy b; crash; put a; turn; late b"},
	{"open-unlinked-evicted", "put a; up; open a; evict; rm a; turn; reread a"},
	{"rename-back-during-delete", "put a; up; mv a b; send copy b; answer b; send delete a; mv b a; evict; turn; exec a; answer a"},
	{"overwrite-home-then-evict", "put b; up; put c; send put c; xchg b c; evict; turn; answer c"},
	{"retry-then-write", "put a; up; put a; lose put a; send put a; exec a; answer a; put a; turn; late a"},
	{"copy-answered-404-though-executed", "put a; up; evict; mv a b; lose copy b; send copy b; late b; exec b; answer b; rm b; turn"},
	{"negative-head-too-early", "put a; lose put a; crash; turn; late a; rm a"},
	// "More" of the same table, and what the simulation found.
	{"lost-chmod", "put a; up; evict; widen a; lose tag a; turn; late a"},
	{"lost-chmod-evicted", "put a; up; evict; chmod a; lose put a; turn; late a"},
	{"lost-chmod-cached", "put a; up; chmod a; lose put a; turn; late a"},
	{"chmod-cached-and-rename", "put a; up; chmod a; mv a b; lose put b; turn; late b"},
	{"hidden-retry", "put a; up; evict; mv a b; lose copy b; mv b c; turn; late b"},
	{"read-during-swap", "put a; put b; up; evict; xchg a b; read; turn; read"},
	{"delete-before-replacement", "put a; up; put b; send put b; rm a; turn; answer b"},
	{"prune-before-packs", "put a; put b; up; put c; send put c; put d; rm a; rm b; turn; answer c"},
	{"exchange-rewritten", "put a; put b; up; xchg a b; put a"},
	{"copy-source-overwritten", "put b; up; put a; xchg b a; rm a"},
	{"chmod-and-rename-evicted", "put a; up; evict; chmod a; mv a b"},
}

// injection is where a run is killed besides what its script says; the zero value is nowhere.
type injection struct {
	step    int             // after this step of the script, from 1 on
	request int             // or at this request that changes the bucket, from 1 on
	moment  emulator.Moment // before or after its execution
}

func (i injection) String() string {
	switch {
	case i.step > 0:
		return fmt.Sprintf("crash-after-step-%d", i.step)
	case i.request > 0:
		return fmt.Sprintf("crash-%s-request-%d", []string{"before", "after"}[i.moment], i.request)
	}
	return "delayed"
}

// TestScenario plays each story with delays, and again with a crash after each of its steps and before and after the execution of each
// request. In the end the bucket holds what the calls made, with the right content, and no other key. The short form takes a few of the
// crashes by chance; OSSENCFS_SCENARIOS=all takes all, and a number takes those of that seed.
func TestScenario(t *testing.T) {
	if testing.Short() {
		t.Skip("starts hundreds of processes")
	}
	seed := rand.Uint64N(1 << 32)
	setting := os.Getenv("OSSENCFS_SCENARIOS")
	if n, err := strconv.ParseUint(setting, 10, 64); err == nil {
		seed = n
	}
	t.Logf("seed: OSSENCFS_SCENARIOS=%d", seed)
	key := newScenarioKey(t)
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			requests, steps := playScenario(t, key, s.script, injection{})
			if t.Failed() {
				return
			}
			var crashes []injection
			for n := range steps {
				crashes = append(crashes, injection{step: n + 1})
			}
			for n := range requests {
				crashes = append(crashes, injection{request: n + 1}, injection{request: n + 1, moment: emulator.After})
			}
			if setting != "all" {
				h := fnv.New64()
				_, _ = h.Write([]byte(s.name))
				rand.New(rand.NewPCG(seed, h.Sum64())).Shuffle(len(crashes), func(a, b int) { crashes[a], crashes[b] = crashes[b], crashes[a] })
				crashes = crashes[:2]
			}
			for _, i := range crashes {
				t.Run(i.String(), func(t *testing.T) { playScenario(t, key, s.script, i) })
			}
		})
	}
}
