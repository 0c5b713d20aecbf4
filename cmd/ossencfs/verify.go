package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/ossencfs/ossencfs/object"
)

func verifyCommand() *command {
	return &command{name: "verify", usage: verifyUsage, run: runVerify, bucket: bucketAt(0),
		options: join(generalOptions, bucketOptions, keyOptions, trustOptions, []option{
			{name: "deep", cli: true}, {name: "repair", cli: true}, {name: "resume", cli: true}, {name: "json", cli: true}, {name: "quiet", cli: true},
			{name: "workers", arg: "N", cli: true}, {name: "limit-rate", arg: "SIZE", cli: true}})}
}

// verifyOrder is what is to be verified, and how; it also is the body of the request to a mount.
type verifyOrder struct {
	Path    string `json:"path,omitempty"`
	Deep    bool   `json:"deep,omitempty"`
	Repair  bool   `json:"repair,omitempty"`
	Workers int    `json:"workers,omitempty"`
	Rate    int64  `json:"rate,omitempty"` // bytes per second
	After   string `json:"after,omitempty"`
}

// options are those of package object, which tells l.
func (o *verifyOrder) options(l verifyListener) object.VerifyOptions {
	return object.VerifyOptions{Path: o.Path, Deep: o.Deep, Repair: o.Repair, Workers: o.Workers, BytesPerSecond: o.Rate, After: o.After,
		Found: l.found, Progress: l.progress, Checkpoint: l.checkpoint}
}

// verifyListener hears how a verification goes on.
type verifyListener struct {
	found      func(object.Finding)
	progress   func(objects, bytes int64)
	checkpoint func(key string)
}

// verifier does a verification.
type verifier func(ctx context.Context, o verifyOrder, l verifyListener) (object.VerifyReport, error)

func runVerify(ctx context.Context, c *call) error {
	if err := c.wantArgs("PATH or oss://BUCKET[/PREFIX]"); err != nil {
		return err
	}
	r := c.read()
	o := verifyOrder{Deep: r.is("deep"), Repair: r.is("repair"), Rate: r.size("limit-rate"), Workers: int(r.number("workers", 10, 0, 1, 256))}
	out := &verifyOutput{call: c, json: r.is("json"), quiet: r.is("quiet")}
	resume := r.is("resume")
	if r.err != nil {
		return r.err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	what, verify, end, err := c.verifyTarget(ctx, &o)
	if err != nil {
		return err
	}
	err = out.run(ctx, what, o, resume, verify)
	return errors.Join(err, end())
}

// verifyTarget finds who verifies what the command names: this process, or that of a mount. end releases it.
func (c *call) verifyTarget(ctx context.Context, o *verifyOrder) (what string, verify verifier, end func() error, err error) {
	if strings.HasPrefix(c.args[0], "oss://") {
		return c.verifyBucket(ctx, o)
	}
	rec, rel, err := c.sessionAbove(c.args[0])
	if err != nil {
		return "", nil, nil, err
	}
	o.Path = rel
	what = strings.TrimSuffix(rec.Mountpoint+"/"+rel, "/")
	return what, rec.verifier(), func() error { return nil }, nil
}

// verifyBucket opens a bucket for a verification in this process. The named part of it is a directory or one object.
func (c *call) verifyBucket(ctx context.Context, o *verifyOrder) (what string, verify verifier, end func() error, err error) {
	t, err := parseTarget(c.args[0])
	if err != nil {
		return "", nil, nil, err
	}
	t.key = strings.Trim(t.key, "/")
	o.Path = t.key
	from := target{bucket: t.bucket, key: t.key}
	if from.key != "" {
		from.key += "/" // the volume may begin just there
	}
	b, err := c.openBucket(ctx, from, true)
	if err == nil && o.Repair {
		b, err = c.openToRepair(ctx, from, b)
	}
	if err != nil {
		return "", nil, nil, err
	}
	return t.String(), func(ctx context.Context, o verifyOrder, l verifyListener) (object.VerifyReport, error) {
		return b.Verify(ctx, o.options(l))
	}, b.Close, nil
}

// openToRepair opens for writing what is open for reading, if it has a volume: a repair does not make one.
func (c *call) openToRepair(ctx context.Context, t target, b *object.Bucket) (*object.Bucket, error) {
	writer := b.Volume().Writer
	if err := b.Close(); err != nil {
		return nil, err
	}
	if writer == "" {
		return nil, fail(exitTrust, fmt.Errorf("%s has no volume record, so that nothing can be repaired", t), "`ossencfs key import` puts an exported record back")
	}
	return c.openBucket(ctx, t, false)
}

// run verifies, shows what is found, and remembers how far it came when it is cut short.
func (v *verifyOutput) run(ctx context.Context, what string, o verifyOrder, resume bool, verify verifier) error {
	state, err := v.openVerifyState(what, o.Deep)
	if err != nil {
		return err
	}
	if resume {
		if err := state.load(ctx); err != nil {
			return err
		}
		o.After = state.After
	}
	v.begin(what, o, state)
	report, err := verify(ctx, o, verifyListener{found: v.found, progress: v.progress, checkpoint: v.checkpoint})
	v.bar.finish()
	if err != nil {
		return v.cutShort(ctx, &report, err)
	}
	if err := state.remove(); err != nil {
		return err
	}
	state.addTo(&report)
	if err := v.report(what, &report); err != nil {
		return err
	}
	if n := report.Damaged(); n > 0 {
		return fail(exitTrust, fmt.Errorf("%s: %s", what, counted(n, "finding is damage", "findings are damage")),
			"`ossencfs help verify` explains the kinds; --repair mends what it can; in a versioned bucket an older version may still be right")
	}
	return nil
}

// cutShort saves how far a verification came.
func (v *verifyOutput) cutShort(ctx context.Context, report *object.VerifyReport, err error) error {
	hint := ""
	if saveErr := v.save(); saveErr != nil {
		err = errors.Join(err, saveErr)
	} else if after := v.after(); after != "" {
		hint = "the same command with --resume goes on behind " + after
	}
	if n := report.Damaged(); n > 0 {
		err = fmt.Errorf("%s so far: %w", counted(n, "finding is damage", "findings are damage"), err)
	}
	if ctx.Err() != nil {
		return fail(exitInterrupted, fmt.Errorf("interrupted: %w", err), hint)
	}
	return withHints(explain(err), hint)
}

// counted is a number with its words.
func counted(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
