package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
)

// bindOptions are the options of commands that bind records to a place.
var bindOptions = []option{{name: "from", arg: "oss://BUCKET[/PREFIX]", cli: true}, {name: "force", cli: true}}

func keyBindCommand() *command {
	return &command{name: "key bind", usage: keyBindUsage, run: runKeyBind, bucket: bucketAt(0), options: manageOptions(bindOptions...)}
}

func runKeyBind(ctx context.Context, c *call) error {
	if err := c.wantArgs("oss://BUCKET"); err != nil {
		return err
	}
	return c.manage(ctx, true, func(ctx context.Context, m *manager) error {
		if err := m.remember(); err != nil {
			return err
		}
		return m.bind(ctx, m.is("force"))
	})
}

// fromPlace reads --from, where the command has it.
func (m *manager) fromPlace() (keys.Place, error) {
	if findOption(m.reader.options, "from") == nil || m.text("from") == "" {
		return keys.Place{}, m.err
	}
	t, err := parseTarget(m.text("from"))
	if err != nil {
		return keys.Place{}, err
	}
	root, err := object.CleanPrefix(t.key)
	if err != nil {
		return keys.Place{}, usageError(fmt.Errorf("--from: %w", err))
	}
	return keys.Place{Bucket: t.bucket, Root: root}, nil
}

// bind binds the records to the place where they are, and tells what was done.
func (m *manager) bind(ctx context.Context, force bool) error {
	done, err := m.volumes.Bind(ctx, force)
	here := target{m.target.bucket, strings.TrimSuffix(m.volumes.Root(), "/")}
	for _, id := range done.Keys {
		m.say("volume key %s is bound to %s", id, here)
	}
	for _, s := range done.Kept {
		m.say("%s opens it on machines that know the volume; `ossencfs key bind` with that key lets it open on new ones, too", slotText(s))
	}
	if err != nil {
		return fmt.Errorf("bind the volume: %w", err)
	}
	if len(done.Keys) == 0 {
		m.say("the volume is bound to %s already", here)
	}
	return nil
}
