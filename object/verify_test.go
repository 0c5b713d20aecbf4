package object

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/emulator"
)

// remembering is a Memory in memory.
type remembering struct {
	mu         sync.Mutex // guards the fields below
	known      map[string]Known
	superseded map[ID]bool
	whole      map[string]bool // keys that the cache holds
	again      map[string]*Entry
}

func (m *remembering) Known(key string) (Known, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.known[key]
	return k, ok, nil
}

func (m *remembering) KnownAfter(after string, limit int) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []string
	for key := range m.known {
		if key > after {
			list = append(list, key)
		}
	}
	slices.Sort(list)
	return list[:min(len(list), limit, 3)], nil // short pages are allowed
}

func (m *remembering) Superseded(upload ID) (bool, error) { return m.superseded[upload], nil }

func (m *remembering) Needed(ID) (bool, error) { return false, nil }

func (m *remembering) UploadAgain(_ context.Context, key string, found *Entry) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.whole[key] {
		m.again[key] = found
	}
	return m.whole[key], nil
}

// note remembers an object as a mount does.
func (m *remembering) note(info Info) {
	m.known[info.Key] = Known{ETag: info.ETag, Upload: info.Upload, Generation: info.Generation, Boxed: true}
}

func newRemembering() *remembering {
	return &remembering{known: map[string]Known{}, superseded: map[ID]bool{}, whole: map[string]bool{}, again: map[string]*Entry{}}
}

// findings are those of a report as "kind key".
func findings(r VerifyReport) []string {
	var list []string
	for _, f := range r.Findings {
		list = append(list, fmt.Sprintf("%s %s", f.Kind, f.Key))
	}
	slices.Sort(list)
	return list
}

// TestVerifyWithMemory: what a mount knows of the bucket shows old versions, lost objects and lost boxes.
func TestVerifyWithMemory(t *testing.T) {
	s := emulated(t, emulator.Options{})
	b := opened(t, Options{Connection: connection(s)})
	m := newRemembering()
	for i := range 20 {
		m.note(put(t, b, request(t, fmt.Sprintf("dir/f%02d", i), []byte("content"))))
	}
	first := put(t, b, request(t, "dir/old", []byte("first")))
	body, h, err := s.ReadObject(testBucket, "dir/old")
	if err != nil {
		t.Fatal(err)
	}
	m.superseded[first.Upload] = true
	m.note(put(t, b, request(t, "dir/old", []byte("second"))))
	if err := s.WriteObject(testBucket, "dir/old", h, body); err != nil {
		t.Fatal(err)
	}
	m.note(put(t, b, request(t, "dir/elsewhere", []byte("first"))))
	put(t, b, request(t, "dir/elsewhere", []byte("of another host")))
	for _, key := range []string{"dir/f03", "dir/f19", "dir/f00"} {
		if err := s.RemoveObject(testBucket, key); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.WriteObject(testBucket, "dir/f07", nil, []byte("plain")); err != nil {
		t.Fatal(err)
	}
	m.known["dir/busy"] = Known{Busy: true}
	m.known["dir-/gone"], m.known["dirt"] = Known{ETag: "X"}, Known{ETag: "X"}
	m.whole["dir/f03"], m.whole["dir/old"] = true, true
	want := []string{"outside dir/elsewhere", "rolled-back dir/old", "stripped dir/f07", "vanished dir/f00", "vanished dir/f03", "vanished dir/f19"}
	r, err := b.Verify(t.Context(), VerifyOptions{Path: "dir", Memory: m, Workers: 3, Repair: true})
	if got := findings(r); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if _, ok := m.again["dir/f03"]; !ok || m.again["dir/old"] == nil || len(m.again) != 2 || r.Repaired != 2 || r.Damaged() != 3 {
		t.Errorf("uploaded again: %v; %d repaired, %d damaged", m.again, r.Repaired, r.Damaged())
	}
	r, err = b.Verify(t.Context(), VerifyOptions{Memory: m})
	want = append(want, "vanished dir-/gone", "vanished dirt")
	slices.Sort(want)
	if got := findings(r); err != nil || !slices.Equal(got, want) {
		t.Errorf("everything: got %q, %v, want %q", got, err, want)
	}
}

// TestVerifyGoesOn: a run that is cut short has told up to where everything is done, and the next one begins there.
func TestVerifyGoesOn(t *testing.T) {
	s := emulated(t, emulator.Options{})
	b := opened(t, Options{Connection: connection(s)})
	const files = 1000
	for i := range files {
		key := fmt.Sprintf("f%04d", i)
		if err := s.WriteObject(testBucket, key, nil, []byte{1}); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]int{}
	after := ""
	for runs := 0; ; runs++ {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		_, err := b.Verify(ctx, VerifyOptions{After: after, Workers: 4, Checkpoint: func(key string) { after = key }, Found: func(f Finding) {
			seen[f.Key]++
			if n++; n == 300 {
				cancel()
			}
		}})
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) || runs > 10 {
			t.Fatalf("run %d: %v", runs, err)
		}
	}
	twice := 0
	for _, n := range seen {
		twice += n - 1
	}
	if len(seen) != files || twice > 3*(checkpointEvery+10) {
		t.Errorf("%d of %d objects were seen, %d again", len(seen), files, twice)
	}
	if after != fmt.Sprintf("f%04d", files-1) {
		t.Errorf("done up to %q", after)
	}
}

// TestVerifyFailures: what fails for one object is told of it, and what fails for all ends the run.
func TestVerifyFailures(t *testing.T) {
	s := emulated(t, emulator.Options{})
	b := opened(t, Options{Connection: connection(s)})
	for _, key := range []string{"a", "b", "c"} {
		put(t, b, request(t, key, make([]byte, 300_000)))
	}
	for name, tt := range map[string]struct {
		fault emulator.Fault
		want  []string
		fails bool
	}{
		"denied":      {emulator.Fault{Operation: "GetObject", Key: "b", Status: 403, Code: "AccessDenied"}, []string{"unreadable b"}, false},
		"one is bad":  {emulator.Fault{Operation: "GetObject", Key: "b", Status: 500, Code: "InternalError"}, []string{"unreadable b"}, false},
		"all are bad": {emulator.Fault{Status: 503, Code: "ServiceUnavailable"}, nil, true},
		"broken off":  {emulator.Fault{Operation: "GetObject", Key: "b", ResetAfterBytes: 100_000, Count: 1}, nil, false},
		"damaged":     {emulator.Fault{Operation: "GetObject", Key: "b", CorruptBody: true, Count: 1}, nil, false},
		"gone since":  {emulator.Fault{Operation: "GetObject", Key: "b", Status: 404, Code: "NoSuchKey"}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			s.AddFault(tt.fault)
			defer s.ClearFaults()
			r, err := b.Verify(t.Context(), VerifyOptions{Deep: true})
			if got := findings(r); (err != nil) != tt.fails || !slices.Equal(got, tt.want) {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

// TestVerifyRate: the bytes of content are read no faster than they may be.
func TestVerifyRate(t *testing.T) {
	s := emulated(t, emulator.Options{})
	b := opened(t, Options{Connection: connection(s)})
	put(t, b, request(t, "f", make([]byte, 1<<20)))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := b.Verify(ctx, VerifyOptions{Deep: true, BytesPerSecond: 70_000}); err == nil {
		t.Error("1 MiB was read within a moment at 70 kB/s")
	}
}

func TestSplitHidden(t *testing.T) {
	for full, want := range map[string][2]string{
		".ossencfs/leaf/x": {"", "leaf/x"}, "a/b/.ossencfs/canary": {"a/b/", "canary"}, "a.ossencfs/x": {"", ""}, "a/.ossencfs": {"", ""},
		"a/.ossencfs/b/.ossencfs/c": {"a/", "b/.ossencfs/c"}, "f": {"", ""},
	} {
		if root, rest := splitHidden(full); root != want[0] || rest != want[1] {
			t.Errorf("%s: got %q, %q, want %q", full, root, rest, want)
		}
	}
}

// TestReportIsBounded: a report keeps some findings of each kind and counts all.
func TestReportIsBounded(t *testing.T) {
	var r VerifyReport
	for i := range 3 * MaxFindings {
		r.Add(Finding{Kind: FoundPlain, Key: strings.Repeat("k", i%7)})
	}
	r.Add(Finding{Kind: FoundTampered, Key: "a"})
	r.Add(Finding{Kind: FoundVanished, Key: "b", Repaired: "again"})
	r.Add(Finding{Kind: FoundStrayLeaf, Key: "c", Repaired: "removed"})
	if len(r.Findings) != MaxFindings+3 || r.Counts[FoundPlain] != 3*MaxFindings || r.Damaged() != 1 || r.Repaired != 1 {
		t.Errorf("%d findings, %v, %d damaged, %d repaired", len(r.Findings), r.Counts, r.Damaged(), r.Repaired)
	}
}
