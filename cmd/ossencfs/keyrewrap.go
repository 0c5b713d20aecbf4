package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
)

// rewrapOptions are the options of `key rotate --rewrap`.
var rewrapOptions = []option{
	{name: "rewrap", cli: true}, {name: "dry-run", cli: true}, {name: "skip-foreign", cli: true}, {name: "limit-rate", arg: "SIZE", cli: true},
	{name: "workers", arg: "N", def: "8", cli: true}, {name: "quiet", cli: true},
}

// rewrap renews the envelopes of all objects, so that one master key opens them for the SDKs too: the new one, or the primary one
// when none is added.
func (m *manager) rewrap(ctx context.Context, key keys.MasterKey) error {
	o := m.objectOptions(m.target)
	o.Prefix, o.Trust, o.VolumeIDs, o.PinFile = m.target.key, m.trust(matchedPrefix(m.target.key)), m.volumeIDs(), m.pin.path
	req := object.RewrapOptions{Rate: m.size("limit-rate"), DryRun: m.is("dry-run")}
	if m.is("skip-foreign") {
		req.Foreign = object.ForeignSkip
	}
	o.Keyring = m.rewrapRing(key)
	report, begun, err := m.rewrapObjects(ctx, o, req, "rewrapping",
		fail(exitKey, errors.New("it is not said under which key the files are to be"), "give it as --rsa-key or --kms-key, or as --new-rsa-key or --new-kms-key"))
	if !begun {
		return err
	}
	m.tellRewrap(o.Keyring.Primary().ID(), req.DryRun, &report)
	switch {
	case ctx.Err() != nil:
		return fail(exitInterrupted, fmt.Errorf("rewrapping was interrupted: %w", ctx.Err()), "the same command goes on: what is done is looked at and left")
	case err != nil:
		return err
	}
	return rewrapEnd(&report)
}

// rewrapObjects opens the bucket and goes through its objects, under the options of workers and quiet; doing is what it says of that. Without a key it fails
// with noKey. begun says that the bucket was opened.
func (m *manager) rewrapObjects(ctx context.Context, o object.Options, req object.RewrapOptions, doing string, noKey error) (report object.RewrapReport, begun bool, err error) {
	req.Workers = int(m.number("workers", 10, 0, 1, 64))
	quiet := m.is("quiet")
	switch {
	case m.err != nil:
		return report, false, m.err
	case o.Keyring == nil:
		return report, false, noKey
	}
	b, err := object.Open(ctx, o)
	if err != nil {
		return report, false, fmt.Errorf("open bucket %s: %w", m.target.bucket, err)
	}
	bar := m.newProgress(1, doing, quiet)
	req.Progress = func(p object.RewrapProgress) {
		done, total := p.Bytes, p.TotalBytes
		if req.DryRun {
			done, total = p.Objects, p.TotalObjects
		}
		bar.set(done, max(total, done), fmt.Sprintf("%s, %d objects", doing, p.Objects))
	}
	if err = b.OpenVolume(ctx); err == nil {
		report, err = b.Rewrap(ctx, req)
	}
	bar.finish()
	return report, true, errors.Join(err, b.Close())
}

// rewrapRing is a keyring whose primary key is the one to rewrap under; nil when there is none.
func (m *manager) rewrapRing(key keys.MasterKey) *keys.Keyring {
	switch {
	case m.ring == nil && key == nil:
		return nil
	case m.ring == nil:
		return keys.NewKeyring(key)
	case key == nil:
		return m.ring
	}
	return keys.NewKeyring(key, m.ring.All()...)
}

// tellRewrap says what was done, and what was left alone and why.
func (m *manager) tellRewrap(key string, dry bool, r *object.RewrapReport) {
	for _, p := range r.Problems {
		m.say("left alone: %s: %v", p.Key, p.Err)
	}
	verb := map[bool]string{false: "rewrapped", true: "to rewrap"}[dry]
	m.say("%d objects under %s: %d %s (%s), %d already, %d not encrypted, %d of others skipped",
		r.Objects, key, r.Rewrapped, verb, formatSize(r.Bytes), r.Done, r.Plain, r.Skipped)
	if left := r.Refused + r.Changed + r.Failed; left > 0 {
		m.say("left alone: %d refused, %d being changed, %d failed", r.Refused, r.Changed, r.Failed)
	}
}

// rewrapEnd is the error of a run that came to its end and left something.
func rewrapEnd(r *object.RewrapReport) error {
	switch {
	case r.Refused > 0:
		return fail(exitTrust, fmt.Errorf("%d objects are not believed or not readable, and were left alone", r.Refused),
			"`ossencfs inspect` shows what they are; --accept-foreign rewraps encrypted objects of others too")
	case !r.Complete():
		return fail(exitIncomplete, fmt.Errorf("%d objects were left for another run", r.Changed+r.Failed), "the same command goes on with them")
	}
	return nil
}
