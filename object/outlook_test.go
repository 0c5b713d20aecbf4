package object

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/oss"
)

// ofCommands are the sentinels that no request of an upload meets.
var ofCommands = []string{"ErrExport", "ErrLockout", "ErrEpoch", "ErrStillWritten"}

// TestOutlooksAreComplete: every sentinel of this package, and of the one that speaks to the bucket, has a row in the table of what failures mean.
func TestOutlooksAreComplete(t *testing.T) {
	rows := map[string]bool{}
	for _, name := range sentinelsIn(t, "outlook.go", func(n ast.Node) string {
		if s, ok := n.(*ast.SelectorExpr); ok {
			return s.Sel.Name
		}
		if id, ok := n.(*ast.Ident); ok {
			return id.Name
		}
		return ""
	}) {
		rows[name] = true
	}
	for _, dir := range []string{".", "../oss"} {
		for _, name := range declared(t, dir) {
			if !rows[name] && !slices.Contains(ofCommands, name) {
				t.Errorf("%s of package %s has no row", name, dir)
			}
		}
	}
}

// sentinelsIn collects the names of errors that pick finds in a file.
func sentinelsIn(t *testing.T, file string, pick func(ast.Node) string) (names []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if name := pick(n); strings.HasPrefix(name, "Err") {
			names = append(names, name)
		}
		return true
	})
	return names
}

// declared are the sentinels that the files of a package declare.
func declared(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		var in *ast.ValueSpec
		names = append(names, sentinelsIn(t, dir+"/"+e.Name(), func(n ast.Node) string {
			if v, ok := n.(*ast.ValueSpec); ok {
				in = v
			}
			if id, ok := n.(*ast.Ident); ok && in != nil && slices.Contains(in.Names, id) {
				return id.Name
			}
			return ""
		})...)
	}
	if len(names) == 0 {
		t.Fatalf("no sentinels in %s", dir)
	}
	return names
}

// TestOutlookOf: what wraps several kinds is what the first of them in the table is.
func TestOutlookOf(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want Outlook
	}{
		{nil, Passing},
		{errors.New("of another package"), Passing},
		{fmt.Errorf("put: %w", oss.ErrThrottled), Passing},
		{fmt.Errorf("put: %w", oss.ErrQuota), RefusedAll},
		{fmt.Errorf("put: %w", oss.ErrImmutable), RefusedHere},
		{fmt.Errorf("%w: %w", ErrUnauthentic, keys.ErrKMSUnreachable), Passing},
		{fmt.Errorf("%w: %w", ErrUnauthentic, oss.ErrNotFound), RefusedHere},
		{errors.Join(ErrStageLost, oss.ErrNoSuchUpload), RefusedHere},
	} {
		if got := OutlookOf(tt.err); got != tt.want {
			t.Errorf("%v: got %s, want %s", tt.err, got, tt.want)
		}
	}
}

// TestOutlooksAreDocumented: docs/FAULTS.md tells of each row.
func TestOutlooksAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/FAULTS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range outlooks {
		if row := fmt.Sprintf("| %s | %s |", o.err, o.is); !strings.Contains(string(text), row) {
			t.Errorf("docs/FAULTS.md does not have\n%s", row)
		}
	}
}
