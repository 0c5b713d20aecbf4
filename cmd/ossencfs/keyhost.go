package main

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
)

func keyExportHostCommand() *command {
	return &command{name: "key export-host", usage: keyExportHostUsage, run: runKeyExportHost, bucket: bucketAt(0), options: manageOptions(
		option{name: "name", arg: "NAME", cli: true}, option{name: "prefix", arg: "PREFIX", many: true, cli: true}, option{name: "rsa-public", arg: "FILE", cli: true})}
}

func keyRemoveHostCommand() *command {
	return &command{name: "key remove-host", usage: keyRemoveHostUsage, run: runKeyRemoveHost, bucket: bucketAt(0), options: manageOptions(option{name: "stolen", cli: true})}
}

func runKeyExportHost(ctx context.Context, c *call) error {
	if err := c.wantArgs("oss://BUCKET", "FILE"); err != nil {
		return err
	}
	file := c.args[1]
	if _, err := os.Lstat(file); !errors.Is(err, iofs.ErrNotExist) {
		return fail(exitFailure, fmt.Errorf("%s exists already", file), "it may be another host's; choose another name")
	}
	return c.manage(ctx, true, func(ctx context.Context, m *manager) error {
		prefixes, err := m.hostPrefixes()
		if err != nil {
			return err
		}
		if m.text("name") == "" {
			return usageError(errors.New("the host has no name"), "give --name NAME, which `ossencfs key list` shows")
		}
		master, err := m.hostMaster(ctx)
		if err != nil {
			return err
		}
		host, err := keys.NewHostKey(m.text("name"), prefixes)
		if err != nil {
			return err
		}
		if err := m.remember(); err != nil {
			return err
		}
		bundle, err := m.volumes.AddHost(ctx, host, master)
		if err != nil {
			return fmt.Errorf("add host: %w", err)
		}
		id := host.Host().ID
		if err := bundle.Write(file); err != nil {
			_, undo := m.volumes.ForgetHost(ctx, id)
			return errors.Join(err, undo)
		}
		m.say("host %s may write below %s, and read nothing; bring %s there, it is that host's secret", id, prefixText(prefixes), file)
		return nil
	})
}

// hostPrefixes are where a host may write: below what the command names, in the bucket's names.
func (m *manager) hostPrefixes() ([]string, error) {
	base, err := object.CleanPrefix(m.target.key)
	if err != nil {
		return nil, err
	}
	list := m.list("prefix")
	if len(list) == 0 {
		return []string{base}, nil
	}
	prefixes := make([]string, 0, len(list))
	for _, p := range list {
		clean, err := object.CleanPrefix(base + p)
		if err != nil {
			return nil, err
		}
		prefixes = append(prefixes, clean)
	}
	return prefixes, nil
}

// hostMaster is the RSA key under which the host wraps content keys for the SDKs.
func (m *manager) hostMaster(ctx context.Context) (*keys.RSA, error) {
	file := m.text("rsa-public")
	if file == "" {
		file = m.text("rsa-key")
	}
	if file == "" {
		return nil, fail(exitKey, errors.New("a host wraps the keys of its files under an RSA key, and none is given"),
			"give --rsa-public FILE with the public key of a pair that you keep; `ossencfs keygen` makes one")
	}
	load, err := newKeyLoader(ctx, m.reader, m.conn, "", nil)
	if err != nil {
		return nil, err
	}
	k, err := load.rsa(file, matdescFor(file, m.text("rsa-key"), m.matdesc()))
	if err != nil {
		return nil, err
	}
	rsa, ok := k.(*keys.RSA)
	if !ok {
		return nil, fail(exitKey, fmt.Errorf("%s is no RSA key", file))
	}
	return rsa, nil
}

func runKeyRemoveHost(ctx context.Context, c *call) error {
	if err := c.wantArgs("oss://BUCKET", "HOST"); err != nil {
		return err
	}
	return c.manage(ctx, true, func(ctx context.Context, m *manager) error {
		stolen := m.is("stolen")
		if m.err != nil {
			return m.err
		}
		id, err := m.hostNamed(m.args[1])
		if err != nil {
			return err
		}
		if err := m.remember(); err != nil {
			return err
		}
		if stolen {
			if _, err := m.volumes.ForgetHost(ctx, id); err != nil {
				return fmt.Errorf("remove host: %w", err)
			}
			m.say("host %s is forgotten, and what it wrote is not authentic any more: only with --accept-foreign is it read", id)
			return nil
		}
		if _, err := m.volumes.RetireHost(ctx, id); err != nil {
			return fmt.Errorf("remove host: %w", err)
		}
		m.say("host %s is retired: its next mount is refused, and what it wrote is read on; when its bundle may be in other hands, --stolen forgets it", id)
		return nil
	})
}

// hostNamed finds a host by its id or its name.
func (m *manager) hostNamed(name string) (keys.HostID, error) {
	ids := map[string]bool{}
	for _, r := range m.volumes.Describe() {
		if !r.Opens {
			continue // somebody may have put it there
		}
		for _, h := range r.Hosts {
			if h.ID == name || h.Name == name {
				ids[h.ID] = true
			}
		}
	}
	for id := range ids {
		if len(ids) == 1 {
			return keys.ParseHostID(id)
		}
	}
	return keys.HostID{}, fail(exitFailure, fmt.Errorf("no host, or more than one, is %q", name), "`ossencfs key list` shows the hosts")
}
