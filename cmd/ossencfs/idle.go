package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// idleCache is a cache folder that no mount uses and that holds what is not in the bucket, as far as this machine remembers it: a file in the state
// folder that a mount writes when it begins, and removes when it ends with nothing left.
type idleCache struct {
	CacheDir   string `json:"cache_dir"`
	Source     string `json:"source"` // oss://BUCKET[/PREFIX]
	Mountpoint string `json:"mountpoint"`
	Known      bool   `json:"known"` // the mount ended in order, and said how much is left
	Files      int64  `json:"files"`
	Bytes      int64  `json:"bytes"`
}

// idleFolder is below the state folder.
const idleFolder = "caches"

// idlePath is the file about a cache folder.
func (p *program) idlePath(cacheDir string) (string, error) {
	state, err := p.stateDir()
	sum := sha256.Sum256([]byte(cacheDir))
	return filepath.Join(state, idleFolder, hex.EncodeToString(sum[:8])+".json"), err
}

// noteCache writes down that a cache folder may hold what is not in the bucket. What cannot be written is missing in `status` alone.
func (s *session) noteCache(p *program, known bool, files, bytes int64) {
	if s.cfg.object.ReadOnly || s.daemon == nil { // a demo shows its own
		return
	}
	path, err := p.idlePath(s.cfg.cache.Dir)
	switch {
	case err != nil:
	case known && files == 0:
		if err = os.Remove(path); errors.Is(err, iofs.ErrNotExist) {
			err = nil
		}
	default:
		var raw []byte
		raw, err = json.Marshal(idleCache{CacheDir: s.cfg.cache.Dir, Source: s.cfg.target.String(), Mountpoint: s.cfg.dir, Known: known, Files: files, Bytes: bytes})
		if err == nil {
			err = writePrivate(path, raw)
		}
	}
	if err != nil {
		s.log.Warn("`ossencfs status` will not know what this mount leaves", "error", err)
	}
}

// writePrivate writes a file of a folder that is this user's alone, which is made when it is missing.
func writePrivate(path string, text []byte) error {
	if err := makePrivateDir(filepath.Dir(path)); err != nil {
		return err
	}
	dir, err := openPrivateDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(within(dir, filepath.Base(path)), text, 0o600), dir.Close())
}

// idleCaches lists the folders that no living mount uses, by the mount point they had. One that was removed since is forgotten.
func (p *program) idleCaches(living []mountStatus) ([]idleCache, error) {
	state, err := p.stateDir()
	if err != nil {
		return nil, nil //nolint:nilerr // nothing is remembered then
	}
	dir, names, err := listPrivateDir(filepath.Join(state, idleFolder))
	if err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	if dir == nil {
		return nil, nil
	}
	defer dir.Close()
	var list []idleCache
	for _, name := range names {
		var c idleCache
		raw, err := os.ReadFile(within(dir, name))
		if err != nil || json.Unmarshal(raw, &c) != nil || !filepath.IsAbs(c.CacheDir) {
			continue // it is being written, or none of ours
		}
		if _, err := os.Lstat(c.CacheDir); errors.Is(err, iofs.ErrNotExist) {
			_ = os.Remove(within(dir, name)) // the next status tries again
			continue
		}
		if !slices.ContainsFunc(living, func(m mountStatus) bool { return m.CacheDir == c.CacheDir }) {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b idleCache) int {
		return strings.Compare(a.Mountpoint+"\x00"+a.CacheDir, b.Mountpoint+"\x00"+b.CacheDir)
	})
	return list, nil
}

// deadMounts lists those of some mount points where a mount of ours has lost its processes.
func deadMounts(idle []idleCache) ([]mounted, error) {
	all, err := readMounts()
	if err != nil {
		return nil, err
	}
	var dead []mounted
	for _, m := range all {
		known := slices.ContainsFunc(idle, func(c idleCache) bool { return c.Mountpoint == m.dir })
		if known && m.fstype == fuseType && isDead(probe(m.dir)) {
			dead = append(dead, m)
		}
	}
	return dead, nil
}

// leftBehind is what no living mount tells of.
type leftBehind struct {
	idle []idleCache
	dead []mounted
}

// leftBehind looks for it, at one mount point or everywhere.
func (p *program) leftBehind(dir string, living []mountStatus) (l leftBehind, err error) {
	if l.idle, err = p.idleCaches(living); err != nil {
		return l, err
	}
	if l.dead, err = deadMounts(l.idle); err != nil || dir == "" {
		return l, err
	}
	l.idle = slices.DeleteFunc(l.idle, func(c idleCache) bool { return c.Mountpoint != dir })
	l.dead = slices.DeleteFunc(l.dead, func(m mounted) bool { return m.dir != dir })
	return l, nil
}

// write shows it to people.
func (l *leftBehind) write(w *printer) {
	for _, m := range l.dead {
		w.printf("%s on %s: dead, its processes are gone; the next mount there removes it\n", m.source, m.dir)
	}
	for _, c := range l.idle {
		left := "it did not end in order, and how much is not in the bucket is not known"
		if c.Known {
			left = fmt.Sprintf("%s, %s, are not in the bucket", files(c.Files), formatSize(c.Bytes))
		}
		w.printf("%s, last on %s: not mounted; %s\n  cache       %s\n", c.Source, c.Mountpoint, left, c.CacheDir)
	}
}
