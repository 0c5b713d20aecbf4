package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/ossencfs/ossencfs/keys"
)

func keyAddCommand() *command {
	return &command{name: "key add", usage: keyAddUsage, run: runKeyAdd, bucket: bucketAt(0),
		options: manageOptions(append([]option{{name: "recovery", cli: true}}, newKeyOptions...)...)}
}

func runKeyAdd(ctx context.Context, c *call) error {
	if err := c.wantArgs("oss://BUCKET"); err != nil {
		return err
	}
	return c.manage(ctx, true, func(ctx context.Context, m *manager) error {
		recovery := m.is("recovery")
		key, err := m.newKey(ctx)
		if err != nil {
			return err
		}
		if recovery == (key != nil) {
			return usageError(errors.New("it is not said what to add"), "give one of --new-rsa-key FILE, --new-kms-key ID and --recovery")
		}
		if err := m.remember(); err != nil {
			return err
		}
		if recovery {
			return m.addRecovery(ctx)
		}
		return m.addSlot(ctx, key)
	})
}

// addSlot lets a master key open what opens now.
func (m *manager) addSlot(ctx context.Context, key keys.MasterKey) error {
	m.sayUnopened()
	n, err := m.volumes.AddSlot(ctx, key)
	if err != nil {
		return fmt.Errorf("add %s: %w", key.ID(), err)
	}
	if n == 0 {
		m.say("%s had its slot already", key.ID())
		return nil
	}
	m.say("%s was added to %s: it opens what was written so far, and the SDKs need the old key for that", key.ID(), volumeKeys(n))
	return nil
}

// addRecovery makes a recovery code. It goes to the standard output, alone.
func (m *manager) addRecovery(ctx context.Context) error {
	m.sayUnopened()
	code, err := m.volumes.AddRecovery(ctx)
	if err != nil {
		return fmt.Errorf("add a recovery code: %w", err)
	}
	return m.showCode(code)
}

// showCode shows a recovery code, this once.
func (m *manager) showCode(code string) error {
	if err := m.stdout.tryPrintf("%s\n", code); err != nil {
		return fmt.Errorf("the code was made and could not be shown, make another one: %w", err)
	}
	m.say("this code opens the volume without the master key: write it down and keep it where the key is not; it is shown only now")
	return nil
}
