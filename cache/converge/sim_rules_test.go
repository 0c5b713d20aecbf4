package converge

import (
	"os"
	"testing"
	"time"
)

// maxHunt is how many runs may be needed to find a failure.
const maxHunt = 20_000

// rare rules take more runs than a test can have; a scenario shows what each is for.
var rare = map[rule]bool{rulePin: true, ruleReadable: true, ruleRefence: true}

// ruleNames are the rules a simulation can leave out.
var ruleNames = map[rule]string{
	ruleSerial: "serial", ruleFence: "fence", ruleRefence: "refence", ruleNeeds: "needs", ruleReadable: "readable", rulePin: "pin",
	ruleUnblock: "unblock", ruleOrder: "order", rulePark: "park", ruleOldStays: "old-stays", ruleMarker: "marker", ruleLook: "look",
	ruleSent: "sent",
}

// TestEachRuleIsNeeded leaves out one rule at a time and expects the simulation to find what it is for.
func TestEachRuleIsNeeded(t *testing.T) {
	for r, name := range ruleNames {
		if rare[r] && *simTime < time.Minute {
			continue
		}
		t.Run(name, func(t *testing.T) {
			runs := uint64(maxHunt)
			if rare[r] {
				runs *= 50
			}
			for seed := range runs {
				events, m := randomEvents(seed), mode{outside: r == ruleLook}
				if play(events, r, m) == "" {
					continue
				}
				if os.Getenv("SIM_SHOW") != "" {
					t.Logf("seed %d: %s", seed, story(shrink(events, r, m), r, m))
				}
				return
			}
			t.Error("nothing found")
		})
	}
}
