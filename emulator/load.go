package emulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// load reads the folder: blobs, then records and uploads, which name blobs; what nobody names is left
// over from a crash and removed. A record that is not whole is reported and left alone.
func (st *store) load(warn func(string, error)) error {
	blobs, err := st.loadBlobs()
	if err != nil {
		return err
	}
	find := func(id string) *blob { return blobs[id] }
	names, err := os.ReadDir(filepath.Join(st.dir, "buckets"))
	if err != nil {
		return fmt.Errorf("list buckets: %w", err)
	}
	for _, d := range names {
		if !d.IsDir() {
			continue
		}
		if err := st.loadBucket(d.Name(), find, warn); err != nil {
			return err
		}
	}
	if err := st.loadUploads(find, warn); err != nil {
		return err
	}
	for _, b := range blobs {
		if b.refs.Load() == 0 {
			if err := os.Remove(b.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				warn("remove a left-over blob", err)
			}
		}
	}
	return nil
}

func (st *store) loadBlobs() (map[string]*blob, error) {
	blobs := map[string]*blob{}
	err := filepath.WalkDir(filepath.Join(st.dir, "blobs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			blobs[d.Name()] = &blob{path: path, id: d.Name()}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list blobs: %w", err)
	}
	return blobs, nil
}

func (st *store) loadBucket(name string, blobs func(string) *blob, warn func(string, error)) error {
	dir := st.bucketDir(name)
	data, err := os.ReadFile(filepath.Join(dir, "bucket.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return os.RemoveAll(dir) // killed while creating or deleting it
	}
	if err != nil {
		return fmt.Errorf("read bucket %q: %w", name, err)
	}
	b := &bucket{name: name}
	if err := json.Unmarshal(data, &b.config); err != nil {
		return fmt.Errorf("read bucket %q: %w", name, err)
	}
	lists := map[string][]*version{}
	walk := func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case !d.Type().IsRegular():
			return nil
		case strings.HasSuffix(path, ".tmp"):
			return os.Remove(path)
		}
		v, err := readRecord(path, blobs)
		if err != nil {
			warn("ignore a damaged record", err)
			return nil
		}
		lists[v.Key] = append(lists[v.Key], v)
		st.seq.Store(max(st.seq.Load(), v.Seq, v.Rev))
		return nil
	}
	if err := filepath.WalkDir(filepath.Join(dir, "objects"), walk); err != nil {
		return fmt.Errorf("read objects of bucket %q: %w", name, err)
	}
	for _, key := range sortedKeys(lists) {
		b.keys.Set(key, newestFirst(lists[key]))
	}
	st.buckets[name] = b
	return nil
}

// newestFirst orders the versions of a key; of two with one id the older one was being replaced when the
// process died, and goes.
func newestFirst(list []*version) []*version {
	sort.Slice(list, func(i, j int) bool {
		if list[i].Seq != list[j].Seq {
			return list[i].Seq > list[j].Seq
		}
		return list[i].Rev > list[j].Rev
	})
	seen := map[string]bool{}
	kept := list[:0]
	for _, v := range list {
		if seen[v.Version] {
			v.release()
			continue
		}
		seen[v.Version] = true
		kept = append(kept, v)
	}
	return kept
}

func (st *store) loadUploads(blobs func(string) *blob, warn func(string, error)) error {
	root := filepath.Join(st.dir, "uploads")
	dirs, err := os.ReadDir(root)
	if err != nil {
		return fmt.Errorf("list uploads: %w", err)
	}
	for _, d := range dirs {
		u, err := readUpload(filepath.Join(root, d.Name()), blobs)
		if err == nil && st.buckets[u.Bucket] == nil {
			err = errNoSuchBucket(u.Bucket)
		}
		if err != nil {
			warn("drop an upload that is not whole", err)
			if err := os.RemoveAll(filepath.Join(root, d.Name())); err != nil {
				return fmt.Errorf("remove upload %s: %w", d.Name(), err)
			}
			continue
		}
		st.uploads[u.ID] = u
	}
	return nil
}
