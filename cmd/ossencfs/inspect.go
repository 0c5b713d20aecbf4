package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/ossencfs/ossencfs/object"
)

func inspectCommand() *command {
	return &command{name: "inspect", usage: inspectUsage, run: runInspect, bucket: bucketAt(0),
		options: join(generalOptions, bucketOptions, keyOptions, trustOptions, []option{{name: "no-key", cli: true}, {name: "json", cli: true}})}
}

func runInspect(ctx context.Context, c *call) error {
	if err := c.wantArgs("oss://BUCKET/KEY"); err != nil {
		return err
	}
	t, err := parseTarget(c.args[0])
	if err != nil {
		return err
	}
	if t.key == "" {
		return usageError(fmt.Errorf("%s names no object", c.args[0]), "an object is written oss://BUCKET/KEY")
	}
	r := c.read()
	o, asJSON, blind := r.objectOptions(t), r.is("json"), r.is("no-key")
	o.VolumeFrom, o.Trust, o.VolumeIDs = folderOf(t.key), r.trust(""), r.volumeIDs()
	if r.err != nil {
		return r.err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	var pinned pin
	if !blind && r.namesKey() {
		if pinned, err = c.findPin(o.Connection, o.VolumeFrom); err == nil {
			o.PinFile = pinned.file()
			o.Keyring, err = c.keyring(ctx, r, o.Connection, nil)
		}
		if err != nil {
			return err
		}
	}
	rep, err := object.Inspect(ctx, o, t.key)
	if err != nil {
		return pinned.explain(fmt.Errorf("inspect %s: %w", t, err))
	}
	if asJSON {
		return c.stdout.json(rep, true)
	}
	return writeReport(c.stdout, t, &rep)
}

// maxHeaderShown is where a header is cut for people; --json has it whole.
const maxHeaderShown = 100

// writeReport shows a report to people.
func writeReport(w *printer, of target, rep *object.Report) error {
	t := w.table()
	line := func(name, format string, args ...any) { t.row("%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	line("object", "%s", of)
	line("size", "%d bytes (%s)", rep.Size, formatSize(rep.Size))
	line("etag", "%s", rep.ETag)
	line("modified", "%s", rep.Modified.UTC().Format("2006-01-02 15:04:05 UTC"))
	line("type", "%s", rep.Type)
	if rep.VersionID != "" {
		line("version", "%s", rep.VersionID)
	}
	describeTrust(line, rep)
	describeEnvelope(line, rep)
	if rep.HasAttr {
		line("attributes", "mode %o, uid %d, gid %d, mtime %s%s", rep.Mode, rep.UID, rep.GID, rep.Mtime,
			map[bool]string{true: ", newer in the tag"}[rep.AttrFromTag])
	}
	if rep.SealedXattr > 0 {
		line("xattrs", "sealed, %d bytes", rep.SealedXattr)
	}
	for _, name := range sortedKeys(rep.Tags) {
		line("tag", "%s = %s", name, rep.Tags[name])
	}
	for _, h := range rep.Headers {
		if len(h) > maxHeaderShown {
			h = strings.ToValidUTF8(h[:maxHeaderShown], "") + "…" // the cut may go through a character
		}
		line("header", "%s", h)
	}
	return t.flush()
}

// describeTrust says who wrote the object, as far as that is known.
func describeTrust(line func(name, format string, args ...any), rep *object.Report) {
	switch {
	case rep.Refusal != "":
		line("state", "%s: %s", rep.State, rep.Refusal)
	case rep.State == object.StateUnknown.String():
		line("state", "not verified: no master key is given")
	case rep.State != "":
		line("state", "%s", rep.State)
	}
	if b := rep.Box; b != nil {
		line("box", "of volume %s, epoch %d, %d bytes%s%s", b.Volume, b.Epoch, b.Bytes, map[bool]string{true: ", made by host " + b.Host}[b.Host != ""],
			map[bool]string{true: "; sealed under another name"}[b.Renamed])
	}
	if rep.MasterKey != "" {
		line("master key", "%s", rep.MasterKey)
	}
}

// describeEnvelope says how the object is encrypted.
func describeEnvelope(line func(name, format string, args ...any), rep *object.Report) {
	e := rep.Envelope
	switch {
	case rep.Problem != "":
		line("encrypted", "not understood: %s", rep.Problem)
		return
	case e == nil:
		line("encrypted", "no")
		return
	}
	line("encrypted", "on the client, %d bytes of headers", e.HeaderBytes)
	for _, set := range e.Sets {
		name := fmt.Sprintf("  %v headers", set.Dialect)
		line(name, "content %s, key %s (%s), %d bytes wrapped", set.CEKAlg, set.WrapAlg, strings.Join(set.Schemes, " or "), set.KeyBytes)
		for _, d := range sortedKeys(set.MatDesc) {
			line("", "matdesc %s = %s", d, set.MatDesc[d])
		}
		if set.Problem != "" {
			line("", "problem: %s", set.Problem)
		}
	}
	if e.PartSize > 0 {
		line("  parts", "%d bytes each, %d in all", e.PartSize, e.DataSize)
	}
	if e.UnencryptedMD5 {
		line("  leak", "the headers hold the MD5 of the plaintext")
	}
	if !rep.Foreign {
		line("written by", "ossencfs, generation %s, upload %s", rep.Generation, rep.Upload)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
