package main

import (
	"context"
	"fmt"

	"github.com/ossencfs/ossencfs/object"
)

func keyCheckCommand() *command {
	return &command{name: "key check", usage: keyCheckUsage, run: runKeyCheck, bucket: bucketAt(0), options: manageOptions()}
}

func runKeyCheck(ctx context.Context, c *call) error {
	if err := c.wantArgs("oss://BUCKET"); err != nil {
		return err
	}
	return c.manage(ctx, true, func(_ context.Context, m *manager) error {
		list := m.volumes.Describe()
		if len(list) == 0 {
			return noVolume(m.target)
		}
		if err := m.volumes.Problem(); err != nil {
			return err
		}
		lacks, forged := 0, error(nil)
		for _, r := range list {
			if r.Forged != nil && forged == nil {
				forged = r.Forged
			}
			missing := lacking(r)
			lacks += len(missing)
			m.stdout.printf("%s: %s\n", nameOf(r), map[bool]string{true: "opens", false: "does not open"}[r.Opens])
			for _, text := range missing {
				m.stdout.printf("  %s\n", text)
			}
		}
		switch {
		case forged != nil:
			return forged
		case lacks > 0:
			return quiet(exitIncomplete)
		}
		return nil
	})
}

// lacking says what a volume key lacks.
func lacking(r object.RecordInfo) []string {
	var list []string
	if !r.Opens {
		return append(list, fmt.Sprint("no: ", r.Problem))
	}
	recovery, ours := false, false
	for _, s := range r.Slots {
		recovery = recovery || s.Type == "recovery"
		ours = ours || s.Opens
	}
	if len(r.Slots) == 1 {
		list = append(list, "there is only one slot: whoever loses "+slotText(r.Slots[0])+" loses the files")
	}
	if !recovery {
		list = append(list, "there is no recovery code: `ossencfs key add --recovery` makes one")
	}
	if !r.Pinned {
		list = append(list, "this machine does not remember it: the first mount here does, and --volume-id "+r.ID+" makes sure that it is this one")
	}
	return list
}
