package mutants

import (
	"context"
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// bound is the longest time that a mutant may live, building included.
const bound = 10 * time.Minute

// root is the folder of the repository.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// apply returns the changed file. The replacement must fit exactly once.
func (m *mutant) apply(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), m.file))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), m.from); n != 1 {
		t.Fatalf("%s has %d times, want once:\n%s", m.file, n, m.from)
	}
	return strings.Replace(string(text), m.from, m.to, 1)
}

// TestMutantsFit notices when the code has moved on under the list: each replacement fits, and what it leaves is Go.
func TestMutantsFit(t *testing.T) {
	names := map[string]bool{}
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			if names[m.name] {
				t.Error("there are two of this name")
			}
			names[m.name] = true
			if _, err := parser.ParseFile(token.NewFileSet(), m.file, m.apply(t), parser.SkipObjectResolution); err != nil {
				t.Error(err)
			}
		})
	}
	if len(mutants) < 20 {
		t.Errorf("got %d mutants, want 20 or more", len(mutants))
	}
}

// quick are mutants of small packages, which are hunted always: they show that a hunt works.
var quick = []string{"the counter of CTR is off by a block", "the ETag is ignored by the look", "the CRC of a download is not compared"}

// TestQuickMutants hunts a few. A hunt of something that is no fault comes back without a catch.
func TestQuickMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds packages")
	}
	for _, m := range mutants {
		if slices.Contains(quick, m.name) {
			t.Run(m.name, func(t *testing.T) { m.hunt(t) })
		}
	}
	harmless := mutant{"nothing", "cipher/stream.go", "package cipher\n", "package cipher \n", "cipher", "TestStreamAtAnyOffset"}
	if out, err := harmless.run(t); err != nil {
		t.Errorf("what changes nothing was caught: %v\n%s", err, tail(out))
	}
}

// TestMutantsAreCaught runs the named test against each mutant; it takes long and runs by make mutants.
func TestMutantsAreCaught(t *testing.T) {
	if os.Getenv("OSSENCFS_MUTANTS") == "" {
		t.Skip("set OSSENCFS_MUTANTS=1, or run make mutants")
	}
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) { m.hunt(t) })
	}
}

// hunt fails unless the test fails under the mutant, and because of it: a mutant that does not build proves nothing.
func (m *mutant) hunt(t *testing.T) {
	t.Helper()
	begun := time.Now()
	out, err := m.run(t)
	var exit *exec.ExitError
	switch {
	case err == nil:
		t.Fatalf("survived %s of %s", m.test, m.pkg)
	case !errors.As(err, &exit) || !strings.Contains(out, "--- FAIL") && !strings.Contains(out, "panic: "):
		t.Fatalf("%v:\n%s", err, tail(out))
	default:
		t.Logf("caught by %s of %s in %v:\n%s", m.test, m.pkg, time.Since(begun).Round(time.Second), firstFailure(out))
	}
}

// run runs the test under the mutant.
func (m *mutant) run(t *testing.T) (output string, err error) {
	t.Helper()
	dir := t.TempDir()
	changed := filepath.Join(dir, "mutant.go")
	if err := os.WriteFile(changed, []byte(m.apply(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	plan, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root(t), m.file): changed}})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, plan, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-failfast", "-timeout", "5m", "-run", m.test, "./"+m.pkg)
	cmd.Dir = root(t)
	// By the environment, so that tests that build the program build the mutant.
	cmd.Env = append(os.Environ(), "GOFLAGS="+os.Getenv("GOFLAGS")+" -overlay="+overlay, "OSSENCFS_MODEL_SHRINK=0", "OSSENCFS_TEST_PATIENCE=1m")
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// firstFailure is what the test said first.
func firstFailure(text string) string {
	_, after, found := strings.Cut(text, "--- FAIL")
	if !found {
		_, after, _ = strings.Cut(text, "panic: ")
	}
	lines := strings.SplitN(after, "\n", 5)
	return strings.Join(lines[:min(len(lines), 4)], "\n")
}

func tail(text string) string { return text[max(len(text)-2000, 0):] }
