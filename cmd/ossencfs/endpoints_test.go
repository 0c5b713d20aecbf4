package main

import (
	"context"
	"strings"
	"testing"
)

// TestWarningIsGivenOnce: by the command that was typed, not by each process of its mount.
func TestWarningIsGivenOnce(t *testing.T) {
	for env, want := range map[string]int{"": 1, daemonEnv: 0, bequestEnv: 0} {
		p, _, stderr := testProgram(t, map[string]string{env: "3"})
		cmd := mountCommand()
		cmd.run = func(context.Context, *call) error { return nil }
		args := []string{"oss://b", "d", "--endpoint", "http://10.1.2.3", "--kms-endpoint", "http://[::1]", "--allow-http"}
		if err := p.call(t.Context(), cmd, args); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(stderr.String(), "ossencfs: warning: "); got != want {
			t.Errorf("with %q in the environment: %d warnings, want %d:\n%s", env, got, want, stderr)
		}
	}
}
