package main

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ossencfs/ossencfs/object"
)

// verifyOutput shows a verification to people, or as lines of JSON.
type verifyOutput struct {
	*call
	json, quiet bool
	bar         progress

	mu       sync.Mutex // guards the fields below
	state    *verifyState
	last     string // key up to which everything is done
	fresh    []object.Finding
	kept     map[object.FindingKind]int // in fresh
	saved    time.Time
	saveErr  error
	objects  int64
	findings int64
}

const (
	saveEvery        = 5 * time.Second // between savings of how far it is
	maxFindingsShown = 1000            // to people; --json has all
)

// verifyLine is a line of --json: a finding, or at the end the report.
type verifyLine struct {
	Finding *object.Finding `json:"finding,omitempty"`
	Report  *verifySummary  `json:"report,omitempty"`
}

// verifySummary is a report without its findings, which were told before.
type verifySummary struct {
	What     string                       `json:"what"`
	Objects  int64                        `json:"objects"`
	Bytes    int64                        `json:"bytes"`
	Damaged  int64                        `json:"damaged"` // findings that are damage and were not repaired
	Repaired int64                        `json:"repaired"`
	Counts   map[object.FindingKind]int64 `json:"counts"`
}

// begin sets up the display.
func (v *verifyOutput) begin(what string, o verifyOrder, s *verifyState) {
	v.state, v.last, v.saved, v.kept = s, o.After, time.Now(), make(map[object.FindingKind]int)
	v.bar = v.newProgress(-1, "verifying "+what, v.quiet)
}

// found takes a finding.
func (v *verifyOutput) found(f object.Finding) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.findings++
	if v.kept[f.Kind]++; v.kept[f.Kind] <= object.MaxFindings {
		v.fresh = append(v.fresh, f)
	}
	if v.json {
		v.saveErr = firstError(v.saveErr, v.stdout.json(verifyLine{Finding: &f}, false))
	}
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// progress moves the bar.
func (v *verifyOutput) progress(objects, bytes int64) {
	v.mu.Lock()
	v.objects += objects
	label := fmt.Sprintf("%s, %s", counted(v.objects, "object", "objects"), counted(v.findings, "finding", "findings"))
	v.mu.Unlock()
	if objects > 0 {
		v.bar.describe(label)
	}
	v.bar.add(bytes)
}

// checkpoint notes how far it is, and saves that now and then.
func (v *verifyOutput) checkpoint(key string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last = key
	if time.Since(v.saved) >= saveEvery {
		v.saveErr = firstError(v.saveErr, v.saveLocked())
	}
}

// after is the key up to which everything is done.
func (v *verifyOutput) after() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.last
}

// save writes how far it is.
func (v *verifyOutput) save() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return firstError(v.saveErr, v.saveLocked())
}

// saveLocked writes the findings up to the checkpoint with it; those behind are found again.
func (v *verifyOutput) saveLocked() error {
	v.saved = time.Now()
	if v.last == "" {
		return nil
	}
	s := *v.state
	s.After = v.last
	s.Findings = slices.Clone(s.Findings)
	for _, f := range v.fresh {
		if f.Key <= v.last {
			s.Findings = append(s.Findings, f)
		}
	}
	return s.save()
}

// report shows the result.
func (v *verifyOutput) report(what string, r *object.VerifyReport) error {
	if v.json {
		return firstError(v.saveErr, v.stdout.json(verifyLine{Report: &verifySummary{What: what, Objects: r.Objects, Bytes: r.Bytes,
			Damaged: r.Damaged(), Repaired: r.Repaired, Counts: r.Counts}}, false))
	}
	v.stdout.printf("%s: %s verified", what, counted(r.Objects, "object", "objects"))
	if r.Bytes > 0 {
		v.stdout.printf(", %s read", formatSize(r.Bytes))
	}
	v.stdout.printf("\n")
	writeCounts(v.stdout, "damage", r, true)
	writeCounts(v.stdout, "information", r, false)
	writeFindings(v.stdout, r)
	return v.saveErr
}

// writeCounts shows how many findings of each kind there are, of those that are damage or of the others.
func writeCounts(w *printer, title string, r *object.VerifyReport, damage bool) {
	var list []string
	for _, kind := range slices.Sorted(maps.Keys(r.Counts)) {
		if kind.Damage() == damage {
			list = append(list, fmt.Sprintf("%d %s", r.Counts[kind], kind))
		}
	}
	if len(list) == 0 && damage {
		list = []string{"none"}
	}
	for i, text := range list {
		if i > 0 {
			title = ""
		}
		w.printf("  %-13s %s\n", title, text)
	}
	if damage && r.Repaired > 0 {
		w.printf("  %-13s %d repaired\n", "", r.Repaired)
	}
}

// writeFindings shows the findings, damage first.
func writeFindings(w *printer, r *object.VerifyReport) {
	shown, total := 0, int64(0)
	for _, n := range r.Counts {
		total += n
	}
	for _, damage := range []bool{true, false} {
		for _, f := range r.Findings {
			if f.Kind.Damage() != damage || shown == maxFindingsShown {
				continue
			}
			shown++
			w.printf("%s: %s", f.Kind, f.Key)
			for _, more := range []string{f.Detail, f.Repaired} {
				if more != "" {
					w.printf(": %s", more)
				}
			}
			w.printf("\n")
		}
	}
	if rest := total - int64(shown); rest > 0 {
		w.printf("and %d more; --json has them all\n", rest)
	}
}
