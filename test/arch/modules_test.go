package arch

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// interopDir is the module of tests that need SDKs which the product does without.
const interopDir = "test/interop"

// goModule is what go mod edit tells of a go.mod.
type goModule struct {
	Go        string
	Toolchain string
	Require   []struct {
		Path, Version string
		Indirect      bool
	}
}

// readModule reads the go.mod of a folder of the repository.
func readModule(t *testing.T, dir string) goModule {
	t.Helper()
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = filepath.Join(root(t), dir)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go mod edit in %s: %v", dir, err)
	}
	var m goModule
	if err := json.Unmarshal(out, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// belongsTo reports whether a package is of a module, or a path below another.
func belongsTo(importPath, prefix string) bool {
	return importPath == prefix || strings.HasPrefix(importPath, prefix+"/")
}

// TestNoModuleForTestsOnly: what only tests import is in the module of the interop suite, not among the dependencies of the product.
func TestNoModuleForTestsOnly(t *testing.T) {
	var imports []string
	for _, p := range listPackages(t) {
		if !isTest(room(p.ImportPath)) {
			imports = append(imports, p.Imports...)
		}
	}
	for _, r := range readModule(t, ".").Require {
		if !r.Indirect && !slices.ContainsFunc(imports, func(i string) bool { return belongsTo(i, r.Path) }) {
			t.Errorf("go.mod requires %s, which no package of the product imports: tests that need it belong into %s", r.Path, interopDir)
		}
	}
}

// TestModulesAgree: the suite proves what the product is built of, and both with a Go whose weaknesses are mended.
func TestModulesAgree(t *testing.T) {
	product, interop := readModule(t, "."), readModule(t, interopDir)
	if product.Toolchain == "" {
		t.Error("go.mod names no toolchain")
	}
	if product.Go != interop.Go || product.Toolchain != interop.Toolchain {
		t.Errorf("go %s with toolchain %q, and in %s go %s with %q", product.Go, product.Toolchain, interopDir, interop.Go, interop.Toolchain)
	}
	versions := map[string]string{}
	for _, r := range product.Require {
		versions[r.Path] = r.Version
	}
	for _, r := range interop.Require {
		if have, known := versions[r.Path]; known && have != r.Version {
			t.Errorf("%s is %s, and %s in %s", r.Path, have, r.Version, interopDir)
		}
	}
}

// TestForeignPackagesHaveAnOwner: a dependency that a package of the product imports is in the table of owners. The Go team's are for all.
func TestForeignPackagesHaveAnOwner(t *testing.T) {
	for _, p := range listPackages(t) {
		if isTest(room(p.ImportPath)) {
			continue
		}
		for _, i := range p.Imports {
			first, _, _ := strings.Cut(i, "/")
			if !strings.Contains(first, ".") || belongsTo(i, module) || belongsTo(i, "golang.org/x") {
				continue
			}
			owned := false
			for prefix := range owners {
				owned = owned || belongsTo(i, prefix)
			}
			if !owned {
				t.Errorf("%s imports %s, which the table of owners does not know", room(p.ImportPath), i)
			}
		}
	}
}

// TestInteropKnowsLittleOfOurs: the tests of the emulator with another SDK use nothing else of ours, like its own.
func TestInteropKnowsLittleOfOurs(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root(t), interopDir, "sdkv2", "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files of %s/sdkv2: %v", len(files), interopDir, err)
	}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			if i, err := strconv.Unquote(spec.Path.Value); err != nil || belongsTo(i, module) && room(i) != "emulator" {
				t.Errorf("%s uses %s", filepath.Base(path), i)
			}
		}
	}
}

// TestUnmaintainedAreDependencies: SECURITY.md speaks of modules that the product still has.
func TestUnmaintainedAreDependencies(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	var required []string
	for _, r := range readModule(t, ".").Require {
		required = append(required, r.Path)
	}
	named := regexp.MustCompile("`(github\\.com/[^`]+)`").FindAllStringSubmatch(string(text), -1)
	if len(named) == 0 {
		t.Error("SECURITY.md names no dependency")
	}
	for _, m := range named {
		if !slices.Contains(required, m[1]) {
			t.Errorf("SECURITY.md speaks of %s, which go.mod does not require", m[1])
		}
	}
}
