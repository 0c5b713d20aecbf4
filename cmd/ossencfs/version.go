package main

import (
	"context"
	"runtime"
	"runtime/debug"
)

// version is set at link time by a release (-X main.version=v1.2.3).
var version = ""

func versionCommand() *command {
	return &command{name: "version", usage: versionUsage, run: func(_ context.Context, c *call) error {
		if err := c.wantArgs(); err != nil {
			return err
		}
		c.stdout.printf("ossencfs %s (%s, %s/%s)\n", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return nil
	}}
}

// versionText is the release, or else the commit that the binary was built from.
func versionText() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			revision = s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-modified"
		}
	}
	if revision == "" {
		return info.Main.Version
	}
	return "development " + revision + dirty
}
