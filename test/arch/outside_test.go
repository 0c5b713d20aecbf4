package arch

import (
	"go/ast"
	"slices"
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

// mayOpen are the calls that open files by names which no user gives, with their reason. Files that a user names are opened by localfile,
// and those of cache and index lie in a folder that is this user's alone.
var mayOpen = map[string]string{
	"cmd/ossencfs/runtimedir.go":  "the runtime folder, which is private",
	"cmd/ossencfs/records.go":     "the same",
	"cmd/ossencfs/mountpoint.go":  "folders, the kernel's files",
	"cmd/ossencfs/prepare.go":     "/etc/fuse.conf",
	"cmd/ossencfs/daemon.go":      "the kernel's file",
	"cmd/ossencfs/way.go":         "the kernel's files",
	"cmd/ossencfs/verifystate.go": "the state folder, which is private",
	"cmd/ossencfs/idle.go":        "the same",
	"cmd/ossencfs/demo.go":        "the folder of the demo, which is private",
	"keys/passphrase.go":          "/dev/tty",
}

func TestOneOpener(t *testing.T) {
	openers := []string{"os.Open", "os.OpenFile", "os.ReadFile", "os.Create", "os.WriteFile", "unix.Open", "unix.Openat"}
	unused := map[string]bool{}
	for path := range mayOpen {
		unused[path] = true
	}
	selectors(t, func(s source, at ast.Node, name string) {
		room, _, _ := strings.Cut(s.path, "/")
		if !slices.Contains(openers, name) || !slices.Contains([]string{"cmd", "keys", "oss", "object", "cipher"}, room) {
			return
		}
		delete(unused, s.path)
		if mayOpen[s.path] == "" {
			t.Errorf("%v: %s: open what a user names with localfile", s.fset.Position(at.Pos()), name)
		}
	})
	for path := range unused {
		t.Errorf("the table has %s, which opens nothing", path)
	}
}
