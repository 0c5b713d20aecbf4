package main

import (
	"context"
	"fmt"
	"strings"
)

func keyRemoveCommand() *command {
	return &command{name: "key remove", usage: keyRemoveUsage, run: runKeyRemove, bucket: bucketAt(0),
		options: manageOptions(option{name: "force", cli: true})}
}

func runKeyRemove(ctx context.Context, c *call) error {
	if err := c.wantArgs("oss://BUCKET", "KEYID"); err != nil {
		return err
	}
	return c.manage(ctx, true, func(ctx context.Context, m *manager) error {
		force := m.is("force")
		if m.err != nil {
			return m.err
		}
		id, err := m.slotNamed(m.args[1])
		if err != nil {
			return err
		}
		if err := m.remember(); err != nil {
			return err
		}
		n, err := m.volumes.RemoveSlot(ctx, id, force)
		if err != nil {
			return fmt.Errorf("remove %s: %w", id, err)
		}
		m.say("%s opens no volume key any more (%s changed)", id, volumeKeys(n))
		m.say("who had it may have kept the volume keys, and reads with them what is sealed under them; `key rotate --new-epoch` keeps new files from him")
		m.say("keep the key itself until `key rotate --rewrap` is done: the SDKs need it for files written under it")
		return nil
	})
}

// slotNamed finds the id of a slot by its id or a part at its end, as people copy it.
func (m *manager) slotNamed(name string) (string, error) {
	found := map[string]bool{}
	for _, r := range m.volumes.Describe() {
		for _, s := range r.Slots {
			if s.Key == name {
				return name, nil
			}
			if strings.HasSuffix(s.Key, ":"+name) {
				found[s.Key] = true
			}
		}
	}
	for id := range found {
		if len(found) == 1 {
			return id, nil
		}
	}
	return "", fail(exitKey, fmt.Errorf("no slot, or more than one, is for %q", name), "`ossencfs key list` shows the slots")
}
