package fs

import (
	"go/ast"
	"go/parser"
	"go/token"
	iofs "io/fs"
	"slices"
	"strings"
	"testing"
)

// failures are the errors that are EIO by decision, by package: what is damaged or broken, what no call meets, and what every caller below
// turns into another error first. They are logged with the file's path.
var failures = map[string][]string{
	"../cache":          {"ErrLocked", "ErrWrongSecret", "ErrFormat", "ErrCorrupt", "ErrForeignCache"},
	"../cache/body":     {"ErrDamaged", "ErrClosed"},
	"../cache/index":    {"ErrInUse", "ErrClosed", "ErrFailed", "ErrInvalid"},
	"../cache/converge": {"ErrNoRoom"},
}

// parsed are the files of a package that are no tests.
func parsed(t *testing.T, dir string) (files []*ast.File) {
	t.Helper()
	pkgs, err := parser.ParseDir(token.NewFileSet(), dir, func(f iofs.FileInfo) bool { return !strings.HasSuffix(f.Name(), "_test.go") }, 0) //nolint:staticcheck // no build tags matter
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pkgs {
		for _, f := range p.Files {
			files = append(files, f)
		}
	}
	return files
}

// sentinels maps the exported errors that a package declares to what they are another name of, as "body.ErrStale"; "" for none.
func sentinels(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, f := range parsed(t, dir) {
		ast.Inspect(f, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			for i, name := range v.Names {
				if strings.HasPrefix(name.Name, "Err") && i < len(v.Values) {
					found[name.Name] = ""
					if s, ok := v.Values[i].(*ast.SelectorExpr); ok {
						if p, ok := s.X.(*ast.Ident); ok {
							found[name.Name] = p.Name + "." + s.Sel.Name
						}
					}
				}
			}
			return true
		})
	}
	if len(found) == 0 {
		t.Fatalf("%s declares no errors", dir)
	}
	return found
}

// rows are the errors of package cache that the tables of errno.go name.
func rows(t *testing.T) map[string]bool {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "errno.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		if c, ok := n.(*ast.CompositeLit); ok && len(c.Elts) == 2 {
			if s, ok := c.Elts[0].(*ast.SelectorExpr); ok {
				named[s.Sel.Name] = true
			}
		}
		return true
	})
	return named
}

// TestErrnosAreComplete: every error that the rooms below declare has a row in the table, under the name that package cache gives it, or is EIO
// by decision.
func TestErrnosAreComplete(t *testing.T) {
	named, below := rows(t), map[string]bool{}
	for name, other := range sentinels(t, "../cache") {
		if named[name] == slices.Contains(failures["../cache"], name) {
			t.Errorf("cache.%s: needs a row in errno.go, or a place among the failures, and not both", name)
		}
		below[other] = true
	}
	for _, dir := range []string{"../cache/body", "../cache/index", "../cache/converge"} {
		pkg := dir[strings.LastIndex(dir, "/")+1:]
		for name := range sentinels(t, dir) {
			if !below[pkg+"."+name] && !slices.Contains(failures[dir], name) {
				t.Errorf("%s.%s: has no name in package cache, and so no row in errno.go", pkg, name)
			}
		}
	}
}

// TestNoEndOfFileLeaves: io.EOF has no row, since it is no error of a file system: only readers in the sense of package io give it away.
func TestNoEndOfFileLeaves(t *testing.T) {
	for _, dir := range []string{".", "../cache", "../cache/body", "../cache/index", "../cache/converge"} {
		for _, f := range parsed(t, dir) {
			for _, d := range f.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok || fn.Recv != nil && fn.Name.Name == "ReadAt" {
					continue
				}
				ast.Inspect(fn, func(n ast.Node) bool {
					r, ok := n.(*ast.ReturnStmt)
					if !ok {
						return true
					}
					for _, e := range r.Results {
						if s, ok := e.(*ast.SelectorExpr); ok && s.Sel.Name == "EOF" {
							t.Errorf("%s: %s returns io.EOF", dir, fn.Name.Name)
						}
					}
					return true
				})
			}
		}
	}
}
