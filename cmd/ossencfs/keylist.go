package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/ossencfs/ossencfs/object"
)

func keyListCommand() *command {
	return &command{name: "key list", usage: keyListUsage, run: runKeyList, bucket: bucketAt(0), options: manageOptions(option{name: "json", cli: true})}
}

func runKeyList(ctx context.Context, c *call) error {
	if err := c.wantArgs("oss://BUCKET"); err != nil {
		return err
	}
	return c.manage(ctx, false, func(_ context.Context, m *manager) error {
		list := m.volumes.Describe()
		if len(list) == 0 {
			return noVolume(m.target)
		}
		asJSON := m.is("json")
		if m.err != nil {
			return m.err
		}
		if asJSON {
			return m.writeKeysJSON(list)
		}
		if err := m.writeKeys(list); err != nil {
			return err
		}
		return m.volumes.Problem()
	})
}

// noVolume says that there is no record.
func noVolume(t target) error {
	return fail(exitBucket, fmt.Errorf("%s has no volume record", t), "look at the prefix; the first mount makes the volume")
}

// writeKeys shows the volume keys to people.
func (m *manager) writeKeys(list []object.RecordInfo) error {
	m.stdout.printf("volume at oss://%s/%s\n", m.target.bucket, m.volumes.Root())
	t := m.stdout.table()
	for _, r := range list {
		t.row("\nvolume key %s: %s\n", r.ID, strings.Join(traits(r), ", "))
		for _, s := range r.Slots {
			t.row("  slot\t%s%s\n", slotText(s), map[bool]string{true: "\topens with what is given"}[s.Opens])
		}
		for _, h := range r.Hosts {
			right := "writes below " + prefixText(h.Prefixes)
			if h.Retired != "" {
				right = "retired " + h.Retired
			}
			t.row("  host\t%s %q\t%s\n", h.ID, h.Name, right)
		}
		for _, problem := range []error{r.Problem, r.Forged} {
			if problem != nil {
				t.row("  problem\t%v\n", problem)
			}
		}
	}
	return t.flush()
}

// traits are what there is to say of a volume key.
func traits(r object.RecordInfo) []string {
	list := []string{fmt.Sprintf("epoch %d", r.Epoch), fmt.Sprintf("revision %d", r.Revision)}
	for _, t := range []struct {
		on   bool
		text string
	}{{r.Place != "", "bound to " + r.Place}, {r.Authentic, "authentic"}, {r.Retired, "retired"}, {r.Writes, "new objects go under it"}, {r.Pinned, "remembered here"}, {!r.Opens, "does not open: nothing of this is certain"}} {
		if t.on {
			list = append(list, t.text)
		}
	}
	return list
}

// prefixText shows the prefixes of a host.
func prefixText(prefixes []string) string {
	shown := make([]string, 0, len(prefixes))
	for _, p := range prefixes {
		if p == "" {
			p = "the whole bucket"
		}
		shown = append(shown, p)
	}
	return strings.Join(shown, ", ")
}

// writeKeysJSON shows the volume keys to programs.
func (m *manager) writeKeysJSON(list []object.RecordInfo) error {
	type record struct {
		object.RecordInfo
		Problem string `json:"problem,omitempty"`
		Forged  string `json:"forged,omitempty"`
	}
	out := struct {
		Root    string   `json:"root"`
		Problem string   `json:"problem,omitempty"`
		Keys    []record `json:"keys"`
	}{Root: m.volumes.Root(), Problem: textOf(m.volumes.Problem())}
	for _, r := range list {
		out.Keys = append(out.Keys, record{r, textOf(r.Problem), textOf(r.Forged)})
	}
	return m.stdout.json(out, true)
}

// textOf is the text of an error, if there is one.
func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
