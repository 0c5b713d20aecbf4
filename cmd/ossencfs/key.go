package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
)

// keyCommands are the commands of `ossencfs key`.
func keyCommands() []*command {
	return []*command{keyListCommand(), keyCheckCommand(), keyAddCommand(), keyRemoveCommand(), keyRotateCommand(), keyExportCommand(),
		keyImportCommand(), keyBindCommand(), keyRetireCommand(), keyExportHostCommand(), keyRemoveHostCommand()}
}

// Options of the key commands.
var (
	recoveryOptions = []option{
		{name: "recovery-code-file", arg: "FILE", cli: true},
		{name: "recovery-code", cli: true},
	}
	newKeyOptions = []option{
		{name: "new-rsa-key", arg: "FILE", cli: true},
		{name: "new-kms-key", arg: "ID", cli: true},
		{name: "new-key-passphrase-file", arg: "FILE", cli: true},
		{name: "new-key-passphrase-env", arg: "NAME", cli: true},
		{name: "new-key-passphrase-command", arg: "LINE", cli: true},
	}
)

// manageOptions are the options that all key commands have.
func manageOptions(more ...option) []option {
	return join(generalOptions, bucketOptions, keyOptions, []option{*findOption(trustOptions, "volume-id")}, recoveryOptions, more)
}

// manager is a key command at work.
type manager struct {
	*call
	*reader
	target  target
	conn    object.Connection
	pin     pin
	ring    *keys.Keyring // nil: no master key is given
	from    keys.Place    // of --from; none: it is not given
	volumes *object.Volumes
}

// manage opens the records of the volume that the first argument names and lets work do what the command is for. Without a key,
// where the command wants one, it is refused. Ctrl-C ends ctx.
func (c *call) manage(ctx context.Context, wantKey bool, work func(ctx context.Context, m *manager) error) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	t, err := parseTarget(c.args[0])
	if err != nil {
		return err
	}
	m := &manager{call: c, reader: c.read(), target: t}
	m.conn = m.connection(t.bucket)
	o := object.Options{Connection: m.conn, Prefix: t.key, VolumeIDs: m.volumeIDs()}
	if m.err != nil {
		return m.err
	}
	if m.pin, err = c.findPin(m.conn, matchedPrefix(t.key)); err != nil {
		return err
	}
	o.PinFile, o.Notice = m.pin.file(), c.recordNotices()
	code, err := m.recoveryCode(ctx)
	if err != nil {
		return err
	}
	if wantKey && code == "" && !m.namesKey() {
		return fail(exitKey, errors.New("no master key is given"), "give --rsa-key FILE, --kms-key ID or --recovery-code")
	}
	if err := m.loadRing(ctx); err != nil {
		return err
	}
	o.Keyring = m.ring
	if m.from, err = m.fromPlace(); err != nil {
		return err
	}
	if m.volumes, err = object.OpenVolumesFrom(ctx, o, code, m.from); err != nil {
		return fmt.Errorf("open the volume of %s: %w", t, err)
	}
	return m.pin.explain(errors.Join(work(ctx, m), m.volumes.Close()))
}

// loadRing loads the keys that are given; there may be none.
func (m *manager) loadRing(ctx context.Context) error {
	load, err := newKeyLoader(ctx, m.reader, m.conn, "", nil)
	if err != nil {
		return err
	}
	all, err := load.named()
	if err == nil && len(all) > 0 {
		m.ring = keys.NewKeyring(all[0], all[1:]...)
	}
	return err
}

// recoveryCode reads the recovery code, "" when none is given.
func (m *manager) recoveryCode(ctx context.Context) (string, error) {
	file, ask := expandHome(m.text("recovery-code-file")), m.is("recovery-code")
	var source keys.Passphrase
	switch {
	case m.err != nil:
		return "", m.err
	case file != "" && ask:
		return "", usageError(errors.New("--recovery-code-file and --recovery-code are both given"))
	case file != "":
		source = keys.PassphraseFile(ctx, file)
	case ask:
		source = keys.PassphrasePrompt(ctx, "recovery code: ")
	default:
		return "", nil
	}
	raw, err := source()
	if err != nil {
		hint := ""
		if errors.Is(err, keys.ErrNoTerminal) {
			hint = "give --recovery-code-file FILE instead of --recovery-code, or run it in a terminal; FILE may be a pipe, as <(COMMAND) of a shell"
		}
		return "", failKey(fmt.Errorf("recovery code: %w", err), hint)
	}
	defer keys.Wipe(raw)
	return string(raw), nil
}

// newKey loads the key that is to be added, nil when none is given.
func (m *manager) newKey(ctx context.Context) (keys.MasterKey, error) {
	file, id := m.text("new-rsa-key"), m.text("new-kms-key")
	if file != "" && id != "" {
		return nil, usageError(errors.New("--new-rsa-key and --new-kms-key are both given"), "add one after the other")
	}
	load, err := newKeyLoader(ctx, m.reader, m.conn, "new-", nil)
	if err != nil {
		return nil, err
	}
	switch {
	case file != "":
		k, err := load.rsa(file, nil)
		if err == nil && !k.CanUnwrap() {
			err = fail(exitKey, fmt.Errorf("%s: %w", file, keys.ErrPublicOnly),
				"who has only a public key could plant a key that he knows, so a slot is made with the private one")
		}
		return k, err
	case id != "":
		return load.kms(id, nil)
	}
	return nil, nil
}

// remember pins the volume before it is changed, so that the change counts as seen.
func (m *manager) remember() error {
	if m.pin.known || m.volumes.Problem() != nil {
		return nil
	}
	m.pin.path = filepath.Join(filepath.Dir(m.pin.path), pinName(m.conn, m.volumes.Root()))
	return m.volumes.Pin(m.pin.path)
}

// say tells something that is not the result of the command.
func (m *manager) say(format string, args ...any) {
	m.stderr.printf("ossencfs: %s\n", sprintf(format, args...))
}

// sayUnopened names the volume keys that a change leaves out.
func (m *manager) sayUnopened() {
	for _, r := range m.volumes.Describe() {
		if !r.Opens {
			m.say("left out: %s, which does not open with what is given", nameOf(r))
		}
	}
}

// nameOf names a volume key for people.
func nameOf(r object.RecordInfo) string {
	return fmt.Sprintf("volume key %s (epoch %d)", r.ID, r.Epoch)
}

// volumeKeys is a number of volume keys in words.
func volumeKeys(n int) string {
	if n == 1 {
		return "1 volume key"
	}
	return fmt.Sprintf("%d volume keys", n)
}

// slotText is a slot for people.
func slotText(s object.SlotInfo) string {
	return strings.TrimPrefix(s.Key, s.Type+":") + " (" + s.Type + ")"
}
