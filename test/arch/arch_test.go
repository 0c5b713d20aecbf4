// Package arch checks the laws of the house: who may import whom, how long a file may get, that what is exported is
// documented. ARCHITECTURE.md explains them; a feature does not loosen them.
package arch

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// module is our own import path.
const module = "github.com/ossencfs/ossencfs"

// laws say which packages of ours each package may import. A package that is not in the table is not allowed to exist.
var laws = map[string][]string{
	"child":           {},
	"endpoint":        {},
	"localfile":       {},
	"terminal":        {},
	"keys":            {"child", "endpoint", "localfile"},
	"cipher":          {"keys"},
	"oss":             {"child", "endpoint", "localfile"},
	"object":          {"cipher", "keys", "localfile", "oss"},
	"cache/killpoint": {},
	"cache/index":     {"cache/killpoint", "object"},
	"cache/body":      {"cache/index", "cache/killpoint", "object"},
	"cache/converge":  {"cache/index", "cache/killpoint", "object"},
	"cache":           {"cache/body", "cache/converge", "cache/index", "object", "terminal"},
	"fs":              {"cache"},
	"emulator":        {},
	"cmd/ossencfs":    {"cache", "emulator", "endpoint", "fs", "keys", "localfile", "object", "terminal"},
}

// owners are the only packages that may import something from outside, by the beginning of its path.
var owners = map[string][]string{
	"github.com/aliyun/aliyun-oss-go-sdk":    {"oss"},
	"github.com/aliyun/credentials-go":       {"oss"},
	"github.com/aliyun/alibaba-cloud-sdk-go": {"keys"},
	"github.com/hanwen/go-fuse":              {"fs"},
	"github.com/cockroachdb/pebble":          {"cache/index"},
	"github.com/BurntSushi/toml":             {"cmd/ossencfs"},
	"github.com/schollz/progressbar":         {"cmd/ossencfs"},
	"crypto/rsa":                             {"keys"},
	"crypto/aes":                             {"keys", "cipher", "cache/index", "cache/body", "emulator"},
	"crypto/cipher":                          {"keys", "cipher", "cache/index", "cache/body", "emulator"},
}

// goPackage is what go list tells of a package.
type goPackage struct {
	ImportPath   string
	Dir          string
	GoFiles      []string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// listPackages runs go list once for a test.
func listPackages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports,TestImports,XTestImports", module+"/...")
	cmd.Dir = root(t)
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var list []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

// root is the folder of the repository.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// room is the package's path within the module.
func room(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
}

// isTest reports whether a package only serves tests.
func isTest(room string) bool { return room == "test" || strings.HasPrefix(room, "test/") }

func TestImportsGoOneWay(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range listPackages(t) {
		name := room(p.ImportPath)
		if isTest(name) || len(p.GoFiles) == 0 {
			continue
		}
		seen[name] = true
		allowed, known := laws[name]
		if !known {
			t.Errorf("package %s has no law: add it to the table, with its reason in ARCHITECTURE.md", name)
		}
		for _, i := range p.Imports {
			if strings.HasPrefix(i, module) && !slices.Contains(allowed, room(i)) {
				t.Errorf("%s imports %s, and may import only %v", name, room(i), allowed)
			}
		}
	}
	for name := range laws {
		if !seen[name] {
			t.Errorf("the table has %s, which does not exist", name)
		}
	}
}

func TestForeignPackagesHaveOneOwner(t *testing.T) {
	for _, p := range listPackages(t) {
		name := room(p.ImportPath)
		if isTest(name) {
			continue
		}
		for _, i := range p.Imports {
			for prefix, allowed := range owners {
				if belongsTo(i, prefix) && !slices.Contains(allowed, name) {
					t.Errorf("%s imports %s, which belongs to %v", name, i, allowed)
				}
			}
		}
	}
}

// TestEmulatorKnowsNothingOfOurs keeps the emulator from sharing our misunderstandings: not even its tests may use our code.
func TestEmulatorKnowsNothingOfOurs(t *testing.T) {
	for _, p := range listPackages(t) {
		if room(p.ImportPath) != "emulator" {
			continue
		}
		for _, i := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if strings.HasPrefix(i, module) && room(i) != "emulator" {
				t.Errorf("emulator uses %s", i)
			}
		}
	}
}

// TestModelKnowsNothingOfOurs keeps the reference model a witness of its own; only its tests meet the product.
func TestModelKnowsNothingOfOurs(t *testing.T) {
	seen := false
	for _, p := range listPackages(t) {
		if room(p.ImportPath) != "test/model" {
			continue
		}
		seen = true
		for _, i := range p.Imports {
			if strings.HasPrefix(i, module) {
				t.Errorf("the model uses %s", i)
			}
		}
	}
	if !seen {
		t.Error("there is no package test/model")
	}
}
