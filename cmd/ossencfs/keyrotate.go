package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
)

func keyRotateCommand() *command {
	trusted := []option{*findOption(trustOptions, "accept-foreign"), *findOption(trustOptions, "require-authentic"), *findOption(trustOptions, "strict")}
	own := []option{{name: "new-epoch", cli: true}, {name: "recovery", cli: true}, {name: "force", cli: true}}
	return &command{name: "key rotate", usage: keyRotateUsage, run: runKeyRotate, bucket: bucketAt(0),
		options: manageOptions(join(own, newKeyOptions, rewrapOptions, trusted)...)}
}

func runKeyRotate(ctx context.Context, c *call) error {
	if err := c.wantArgs("oss://BUCKET"); err != nil {
		return err
	}
	return c.manage(ctx, true, func(ctx context.Context, m *manager) error {
		epoch, recovery, rewrap, dry := m.is("new-epoch"), m.is("recovery"), m.is("rewrap"), m.is("dry-run")
		key, err := m.newKey(ctx)
		switch {
		case err != nil:
			return err
		case key == nil && !epoch && !rewrap:
			return usageError(errors.New("it is not said what to rotate"), "give --new-rsa-key FILE or --new-kms-key ID, --new-epoch, --rewrap, or several of them")
		case recovery && !epoch:
			return usageError(errors.New("--recovery goes with --new-epoch"), "`ossencfs key add --recovery` makes a code for the volume as it is")
		case dry && (!rewrap || epoch || key != nil):
			return usageError(errors.New("--dry-run goes with --rewrap alone"), "it counts what would be written again under the key given")
		}
		if err := m.remember(); err != nil {
			return err
		}
		if err := m.renewKeys(ctx, key, epoch, recovery); err != nil || !rewrap {
			return err
		}
		return m.rewrap(ctx, key)
	})
}

// renewKeys makes the new epoch, first, since it may be refused, and adds the slots of the new key.
func (m *manager) renewKeys(ctx context.Context, key keys.MasterKey, epoch, recovery bool) (err error) {
	code := ""
	if epoch {
		if code, err = m.newEpoch(ctx, key, recovery, m.is("force")); err != nil {
			return err
		}
	}
	if key != nil {
		err = m.addSlot(ctx, key)
	}
	if code != "" {
		err = errors.Join(err, m.showCode(code))
	}
	return err
}

// newEpoch makes a new volume key, tells who opens it, and returns its recovery code, if there is a new one.
func (m *manager) newEpoch(ctx context.Context, key keys.MasterKey, recovery, force bool) (code string, err error) {
	req := object.EpochRequest{Recovery: recovery, Force: force}
	if key != nil {
		req.Add = []keys.MasterKey{key}
	}
	epoch, err := m.volumes.NewEpoch(ctx, req)
	missing := make([]string, 0, len(epoch.Missing)+1)
	for _, s := range epoch.Missing {
		missing = append(missing, slotText(s)+" would not open it: "+map[bool]string{
			true:  "give the code with --recovery-code, or make a new one with --recovery",
			false: "give the key with --read-rsa-key or --read-kms-key",
		}[s.Type == "recovery"])
	}
	if errors.Is(err, object.ErrLockout) {
		return "", fail(exitFailure, fmt.Errorf("make a new epoch: %w", err), append(missing, "--force leaves them out; their owners read new files after a `key add`")...)
	}
	if err != nil {
		return "", fmt.Errorf("make a new epoch: %w", err)
	}
	for _, s := range epoch.Missing {
		m.say("%s does not open the new epoch until its owner is added by `key add`", slotText(s))
	}
	m.say("new files are sealed under volume key %s, epoch %d; mounts take it up within 5 minutes, and old files stay as they are", epoch.ID, epoch.Number)
	return epoch.Code, nil
}
