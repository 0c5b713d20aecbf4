package main

import (
	"context"
	"fmt"

	"github.com/ossencfs/ossencfs/localfile"
	"github.com/ossencfs/ossencfs/object"
)

func keyExportCommand() *command {
	return &command{name: "key export", usage: keyExportUsage, run: runKeyExport, bucket: bucketAt(0), options: manageOptions()}
}

func keyImportCommand() *command {
	return &command{name: "key import", usage: keyImportUsage, run: runKeyImport, bucket: bucketAt(0), options: manageOptions(bindOptions...)}
}

func runKeyExport(ctx context.Context, c *call) error {
	if err := c.wantArgs("oss://BUCKET", "FILE"); err != nil {
		return err
	}
	return c.manage(ctx, true, func(_ context.Context, m *manager) error {
		if len(m.volumes.Describe()) == 0 {
			return noVolume(m.target)
		}
		text, err := m.volumes.Export()
		if err != nil {
			return err
		}
		m.sayUnopened()
		return localfile.WriteNew(m.args[1], text, 0o600)
	})
}

func runKeyImport(ctx context.Context, c *call) error {
	if err := c.wantArgs("oss://BUCKET", "FILE"); err != nil {
		return err
	}
	return c.manage(ctx, true, func(ctx context.Context, m *manager) error {
		text, err := localfile.Read(ctx, c.args[1], localfile.Data, object.MaxExport)
		if err != nil {
			return fmt.Errorf("import: %w", err)
		}
		force := m.is("force")
		done, err := m.volumes.Import(ctx, text, force)
		for _, id := range done.Stored {
			m.say("put back the record of volume key %s below oss://%s/%s", id, m.target.bucket, done.Root)
		}
		for _, id := range done.Kept {
			m.say("the bucket has the record of volume key %s, as new or newer", id)
		}
		if err != nil {
			return fmt.Errorf("import %s: %w", m.args[1], err)
		}
		if err := m.remember(); err != nil || m.from.IsZero() {
			return err
		}
		return m.bind(ctx, force) // what the bucket had already
	})
}
