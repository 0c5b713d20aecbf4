package main

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
)

// expandHome replaces a leading ~/ by the home folder, for paths from files and fstab that no shell has seen.
func expandHome(path string) string {
	rest, ok := strings.CutPrefix(path, "~/")
	home, err := os.UserHomeDir()
	if !ok || err != nil {
		return path
	}
	return filepath.Join(home, rest)
}

// defaultCacheDir is the cache folder of a bucket: one of its own for each endpoint, bucket and prefix.
func (p *program) defaultCacheDir(endpoint, bucket, prefix string) string {
	sum := sha256.Sum256([]byte(endpoint + "\x00" + bucket + "\x00" + prefix))
	name := bucket + "-" + hex.EncodeToString(sum[:8])
	switch base := p.getenv("XDG_CACHE_HOME"); {
	case os.Geteuid() == 0:
		return filepath.Join("/var/cache/ossencfs", name)
	case base != "":
		return filepath.Join(base, "ossencfs", name)
	default:
		return filepath.Join(p.getenv("HOME"), ".cache", "ossencfs", name)
	}
}
