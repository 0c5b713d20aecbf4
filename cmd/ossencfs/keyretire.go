package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
)

func keyRetireCommand() *command {
	return &command{name: "key retire-epoch", usage: keyRetireUsage, run: runKeyRetire, bucket: bucketAt(0),
		options: manageOptions(option{name: "now", cli: true}, option{name: "force", cli: true}, option{name: "undo", cli: true}, option{name: "quiet", cli: true},
			option{name: "workers", arg: "N", def: "8", cli: true})}
}

func runKeyRetire(ctx context.Context, c *call) error {
	if err := c.wantArgs("oss://BUCKET", "EPOCH"); err != nil {
		return err
	}
	n, err := strconv.ParseUint(c.args[1], 10, 32)
	if err != nil || n == 0 {
		return usageError(fmt.Errorf("%q is no epoch", c.args[1]), "`ossencfs key list` shows the epochs")
	}
	epoch := uint32(n)
	return c.manage(ctx, true, func(ctx context.Context, m *manager) error {
		if err := m.remember(); err != nil {
			return err
		}
		if m.is("undo") {
			return m.restore(ctx, epoch)
		}
		list, err := m.volumes.Retiring(epoch, !m.is("now"))
		if err != nil {
			return fmt.Errorf("retire epoch %d: %w", epoch, err)
		}
		if err := m.wantNothingUnder(ctx, list, m.is("force")); err != nil {
			return err
		}
		if err := m.volumes.Retire(ctx, list); err != nil {
			return fmt.Errorf("retire epoch %d: %w", epoch, err)
		}
		for _, id := range list {
			m.say("volume key %s is retired: what is sealed under it from now on is refused", id)
		}
		return nil
	})
}

// restore takes back that an epoch was retired, and says what is retired still.
func (m *manager) restore(ctx context.Context, epoch uint32) error {
	again, still, err := m.volumes.Restore(ctx, epoch)
	if err != nil {
		return fmt.Errorf("restore epoch %d: %w", epoch, err)
	}
	for _, id := range again {
		m.say("what is sealed under volume key %s counts again", id)
	}
	var failed error
	var hints []string
	for _, r := range still {
		by := make([]string, 0, len(r.By))
		for _, id := range r.By {
			by = append(by, id.String())
		}
		what := fmt.Sprintf("volume key %s, epoch %d, stays retired, by %s", r.ID, r.Epoch, strings.Join(by, ", "))
		if r.Epoch != epoch {
			m.say("%s", what)
			continue
		}
		failed = errors.Join(failed, errors.New(what))
		for _, id := range by {
			hints = append(hints, fmt.Sprintf("the record of %s could not be changed, which a former holder of it can see to: it is retired itself, so the objects below %s.ossencfs/volume/%s/ can be removed", id, m.volumes.Root(), id))
		}
	}
	if failed != nil {
		return fail(exitIncomplete, failed, hints...)
	}
	return nil
}

// wantNothingUnder looks at every object of the volume: none may need these keys, unless force gives those up that do.
func (m *manager) wantNothingUnder(ctx context.Context, list []keys.VolumeID, force bool) error {
	o := m.objectOptions(m.target)
	o.Prefix, o.VolumeIDs, o.PinFile, o.Keyring = m.volumes.Root(), m.volumeIDs(), m.pin.path, m.ring
	o.Trust.AcceptForeign = []string{""} // attributes of objects of others count in mounts that accept them
	report, _, err := m.rewrapObjects(ctx, o, object.RewrapOptions{DryRun: true, Foreign: object.ForeignSkip}, "looking",
		fail(exitKey, errors.New("the recovery code alone cannot look at objects"), "give the master key: --rsa-key FILE or --kms-key ID"))
	if err != nil {
		return err
	}
	under, examples := int64(0), []string(nil)
	for _, id := range list {
		under += report.Under[id.String()]
		examples = append(examples, report.Examples[id.String()]...)
	}
	slices.Sort(examples)
	names := "under it are " + strings.Join(examples, ", ")
	switch {
	case force && under > 0:
		m.say("%s, and are refused now", names)
	case force:
	case under > 0:
		return fail(exitIncomplete, fmt.Errorf("%d objects are sealed or signed under it, and could not be read any more, or lose attributes", under),
			"`ossencfs key rotate --rewrap` writes them again under the volume key in use: look first at those that came after the last rewrap, which are yours only if nobody else wrote them; of objects of others it renews the attributes with --accept-foreign",
			names, "--force gives them up: they are refused")
	case report.Failed+report.Changed > 0:
		return fail(exitIncomplete, fmt.Errorf("%d objects could not be looked at", report.Failed+report.Changed), "the same command looks again")
	}
	return nil
}
