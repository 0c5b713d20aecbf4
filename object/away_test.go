package object

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
)

// TestManyMeetTheBucket: a bucket that could not be reached when it was opened is asked by many at once when it is back. All of them wait for its
// records, none waits for itself, and the end of the time without it is told once. Before, each request fails, and proves that it did nothing.
func TestManyMeetTheBucket(t *testing.T) {
	s := emulated(t, emulator.Options{})
	dir := t.TempDir()
	var reached atomic.Int32
	o := Options{Connection: connection(s), Keyring: keys.NewKeyring(masterRSA(t, 0)), PinFile: filepath.Join(dir, "pin"),
		RecordFile: filepath.Join(dir, "records"), Reached: func() { reached.Add(1) }}
	before := opened(t, o)
	if err := before.KeepRecords(o.RecordFile); err != nil {
		t.Fatal(err)
	}
	put(t, before, sealedFrom(t, before, "old", []byte("text")))
	s.AddFault(emulator.Fault{Status: 503, Code: "ServiceUnavailable"})
	why := errors.New("out of reach")
	b, err := OpenAway(t.Context(), o, why)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() }) // it drops idle connections
	if err := b.Away(); !errors.Is(err, why) {
		t.Errorf("got %v, want the reason", err)
	}
	if _, err := b.Put(t.Context(), sealedFrom(t, b, "early", []byte("text"))); !NoEffect(err) || !Outage(err) {
		t.Errorf("put without the bucket: %v", err)
	}
	if _, err := b.Head(t.Context(), "old"); !Outage(err) {
		t.Errorf("head without the bucket: %v", err)
	}
	s.ClearFaults()
	var wg sync.WaitGroup
	for n := range 16 {
		r := sealedFrom(t, b, fmt.Sprint(n), []byte("text"))
		wg.Go(func() {
			_, err := b.Put(t.Context(), r)
			for Outage(err) { // the word of a look that was begun just before the end of the outage
				_, err = b.Put(t.Context(), r)
			}
			if err != nil {
				t.Errorf("put: %v", err)
			}
			if info, err := b.Head(t.Context(), "old"); err != nil || info.State != StateAuthentic {
				t.Errorf("head: %v, %v", info.State, err)
			}
			if err := b.KeepRecords(o.RecordFile); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := b.Away(); err != nil || reached.Load() != 1 {
		t.Errorf("afterwards: %v, told %d times", err, reached.Load())
	}
	wantText(t, before, "7", "text")
}

// TestNothingKept: without records of its own, or what it remembers of the volume, a machine does not go on without the bucket.
func TestNothingKept(t *testing.T) {
	s := emulated(t, emulator.Options{})
	dir := t.TempDir()
	o := Options{Connection: connection(s), Keyring: keys.NewKeyring(masterRSA(t, 0)), PinFile: filepath.Join(dir, "pin"), RecordFile: filepath.Join(dir, "records")}
	if err := opened(t, o).KeepRecords(o.RecordFile); err != nil {
		t.Fatal(err)
	}
	why := errors.New("out of reach")
	for name, change := range map[string]func(*Options){
		"no file":           func(o *Options) { o.RecordFile = "" },
		"no records":        func(o *Options) { o.RecordFile += ".missing" },
		"nothing is pinned": func(o *Options) { o.PinFile += ".missing" },
		"another key":       func(o *Options) { o.Keyring = keys.NewKeyring(masterRSA(t, 1)) },
		"another place":     func(o *Options) { o.Connection.Bucket = "another" },
	} {
		other := o
		change(&other)
		if _, err := OpenAway(t.Context(), other, why); !errors.Is(err, why) {
			t.Errorf("%s: got %v, want the reason", name, err)
		}
	}
}
