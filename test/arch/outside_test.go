package arch

import (
	"go/ast"
	"strings"
	"testing"
)

// selectors calls found for each package.Name that a file of the product mentions.
func selectors(t *testing.T, found func(s source, at ast.Node, name string)) {
	t.Helper()
	for _, s := range sources(t) {
		if strings.HasPrefix(s.path, "test/") || strings.HasSuffix(s.path, "_test.go") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok {
					found(s, sel, x.Name+"."+sel.Sel.Name)
				}
			}
			return true
		})
	}
}

// mayPrint are the files that may mention standard output and standard error, with their reason. All others print through the printer of
// cmd/ossencfs, because what they print may come from the bucket.
var mayPrint = map[string]string{
	"cmd/ossencfs/main.go":    "makes the printers",
	"cmd/ossencfs/session.go": "makes one, where there is no command",
	"cmd/ossencfs/daemon.go":  "a logger, which quotes",
	"cmd/ossencfs/harden.go":  "before main, an error of ours",
	"cmd/ossencfs/life.go":    "descriptors of a child",
	"keys/passphrase.go":      "descriptors of a command of the user's",
	"fs/device.go":            "descriptors of fusermount3",
}

func TestOnePrinter(t *testing.T) {
	unused := map[string]bool{}
	for path := range mayPrint {
		unused[path] = true
	}
	selectors(t, func(s source, at ast.Node, name string) {
		switch name {
		case "os.Stdout", "os.Stderr", "syscall.Stdout", "syscall.Stderr":
			delete(unused, s.path)
			if mayPrint[s.path] == "" {
				t.Errorf("%v: %s: print with the printer of cmd/ossencfs", s.fset.Position(at.Pos()), name)
			}
		case "fmt.Print", "fmt.Printf", "fmt.Println":
			t.Errorf("%v: %s: print with the printer of cmd/ossencfs", s.fset.Position(at.Pos()), name)
		}
	})
	for path := range unused {
		t.Errorf("the table has %s, which does not print", path)
	}
}
