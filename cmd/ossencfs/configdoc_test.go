package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// configurationDoc is the page whose tables this package's options must match.
func configurationDoc(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "CONFIGURATION.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// row is the line of the table that describes an option.
func row(o option) string {
	name := "`" + o.name + "`"
	if o.arg != "" {
		name = "`" + o.name + "` " + strings.ReplaceAll(o.arg, "|", "\\|")
	}
	def := o.def
	if def == "" && o.arg == "" {
		def = "off"
	}
	env := "`" + envName(o.name) + "`"
	if o.env != "" {
		env += ", `" + o.env + "`"
	}
	help := o.help
	if o.many {
		help += "; may be repeated"
	}
	return fmt.Sprintf("| %s | %s | %s | %s |", name, def, env, help)
}

func TestEveryOptionIsInTheConfigurationTable(t *testing.T) {
	doc := configurationDoc(t)
	rows := 0
	for _, group := range fileOptions {
		for _, o := range group {
			rows++
			if !strings.Contains(doc, row(o)+"\n") {
				t.Errorf("docs/CONFIGURATION.md lacks:\n%s", row(o))
			}
		}
	}
	if got := strings.Count(doc, "| `OSSENCFS_"); got != rows {
		t.Errorf("docs/CONFIGURATION.md has %d rows of options, and there are %d options", got, rows)
	}
}

func TestExitCodesAreDocumented(t *testing.T) {
	doc := configurationDoc(t)
	for _, code := range []int{exitOK, exitFailure, exitUsage, exitPending, exitKey, exitCredentials, exitUnreachable, exitBucket, exitMountPoint, exitCache, exitTrust, exitIncomplete, exitInterrupted} {
		if !strings.Contains(doc, fmt.Sprintf("\n| %d | ", code)) {
			t.Errorf("docs/CONFIGURATION.md lacks exit code %d", code)
		}
	}
}
