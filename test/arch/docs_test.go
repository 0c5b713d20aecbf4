package arch

import (
	"go/ast"
	iofs "io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPromisesHaveTheirTests: every test that a document names exists.
func TestPromisesHaveTheirTests(t *testing.T) {
	exists := map[string]bool{}
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				exists[f.Name.Name] = true
			}
		}
	}
	name := regexp.MustCompile("`(Test[A-Z][A-Za-z0-9]*)`")
	named := 0
	for _, path := range documents(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range name.FindAllStringSubmatch(string(text), -1) {
			named++
			if !exists[m[1]] {
				t.Errorf("%s names %s, which does not exist", filepath.Base(path), m[1])
			}
		}
	}
	if named == 0 {
		t.Error("no document names a test")
	}
}

// TestEveryPromiseNamesItsTest: in docs/SEMANTICS.md each run of paragraphs ends with the tests that prove it, and each row of a table that
// has a column for tests names one.
func TestEveryPromiseNamesItsTest(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), "docs", "SEMANTICS.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, gap := range unproved(string(text)) {
		t.Errorf("no test is named for: %s", gap)
	}
}

// TestUnproved makes sure that gaps are found.
func TestUnproved(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       int
	}{
		{"proved", "# Title\n\n## A\n\nWords.\n\nMore.\n*Proved by* `TestX`.\n", 0},
		{"not proved at a heading", "# Title\n\n## A\n\nWords.\n\n## B\n\nWords. *Proved by* `TestX`.\n", 1},
		{"not proved at the end", "# Title\n\n## A\n\nWords. *Proved by* `TestX`.\n\nWords.\n", 1},
		{"proved by nothing", "# Title\n\n## A\n\nWords. *Proved by* hope.\n", 1},
		{"a row", "# Title\n\n## A\n\n| call | test |\n|---|---|\n| open | `TestX` |\n| read | |\n", 1},
		{"a table without tests", "# Title\n\n## A\n\n| call | what |\n|---|---|\n| open | opens |\n\n*Proved by* `TestX`.\n", 0},
	} {
		if got := unproved(tt.text); len(got) != tt.want {
			t.Errorf("%s: got %q, want %d", tt.name, got, tt.want)
		}
	}
}

// unproved returns the beginnings of paragraphs and rows that no test is named for. What stands before the first section is no promise.
func unproved(text string) (gaps []string) {
	_, text, _ = strings.Cut(text, "\n## ")
	open := ""
	end := func() {
		if open != "" {
			gaps = append(gaps, open)
		}
		open = ""
	}
	for _, block := range strings.Split("## "+text, "\n\n") {
		lines := strings.Split(strings.TrimSpace(block), "\n")
		switch {
		case strings.HasPrefix(lines[0], "#"):
			end()
		case strings.HasPrefix(lines[0], "|") && strings.HasSuffix(lines[0], "| test |"):
			for _, row := range lines[min(2, len(lines)):] {
				if cells := strings.Split(row, " | "); !strings.Contains(cells[len(cells)-1], "`Test") {
					gaps = append(gaps, row)
				}
			}
		case strings.Contains(block, "*Proved by* `Test"), strings.Contains(block, "*Proved by*\n`Test"):
			open = ""
		case open == "":
			open = lines[0]
		}
	}
	end()
	return gaps
}

// TestLinksOfDocuments: a link to a file of the repository leads somewhere.
func TestLinksOfDocuments(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	for _, path := range documents(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s: %v", filepath.Base(path), err)
			}
		}
	}
}

// documents are the Markdown files of the repository.
func documents(t *testing.T) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(root(t), func(path string, d iofs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == ".git" {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".md") {
			list = append(list, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}
