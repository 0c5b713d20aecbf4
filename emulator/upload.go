package emulator

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// uploadMeta is what upload.json holds: what the object will be.
type uploadMeta struct {
	ID        string            `json:"id"`
	Bucket    string            `json:"bucket"`
	Key       string            `json:"key"`
	Initiated time.Time         `json:"initiated"`
	Headers   map[string]string `json:"headers,omitempty"`
	Tags      map[string]string `json:"tags,omitempty"`
	ACL       string            `json:"acl,omitempty"`
	Class     string            `json:"class,omitempty"`
}

// upload is a multipart upload under way.
type upload struct {
	uploadMeta
	dir string // "" in memory

	mu    sync.Mutex // mu guards the fields below
	parts map[int]*part
	gone  bool // completed or aborted
}

// part is one part that has arrived; it holds one reference on each extent's blob.
type part struct {
	Number   int            `json:"number"`
	Size     int64          `json:"size"`
	ETag     string         `json:"etag"`
	CRC      uint64         `json:"crc,string"`
	Modified time.Time      `json:"modified"`
	Extents  []extentRecord `json:"extents,omitempty"`

	body body
}

// beginUpload registers an upload.
func (st *store) beginUpload(m uploadMeta) (*upload, error) {
	m.ID = strings.ToUpper(st.newID())
	u := &upload{uploadMeta: m, parts: map[int]*part{}}
	if st.dir != "" {
		u.dir = filepath.Join(st.dir, "uploads", m.ID)
		data, err := json.Marshal(m)
		if err != nil {
			return nil, fmt.Errorf("encode upload: %w", err)
		}
		if err := writeFile(filepath.Join(u.dir, "upload.json"), data); err != nil {
			return nil, fmt.Errorf("save upload: %w", err)
		}
	}
	st.mu.Lock()
	known := st.buckets[m.Bucket] != nil
	if known {
		st.uploads[m.ID] = u
	}
	st.mu.Unlock()
	if known {
		return u, nil
	}
	if u.dir != "" {
		if err := os.RemoveAll(u.dir); err != nil {
			return nil, fmt.Errorf("remove upload of a deleted bucket: %w", err)
		}
	}
	return nil, errNoSuchBucket(m.Bucket)
}

// upload looks an upload of a key up.
func (st *store) upload(bucket, key, id string) (*upload, error) {
	st.mu.RLock()
	defer st.mu.RUnlock()
	u := st.uploads[id]
	if u == nil || u.Bucket != bucket || u.Key != key {
		return nil, errNoSuchUpload(id)
	}
	return u, nil
}

// putPart stores a part in the place of the one with its number. It takes over p's references.
func (st *store) putPart(u *upload, p *part) error {
	if st.dir != "" {
		var err error
		if p.body, err = st.intoBlobs(p.body); err != nil {
			return err
		}
		for _, e := range p.body {
			p.Extents = append(p.Extents, extentRecord{e.b.id, e.off, e.n})
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.gone {
		p.body.release()
		return errNoSuchUpload(u.ID)
	}
	if u.dir != "" {
		data, err := json.Marshal(p)
		if err == nil {
			err = writeFile(filepath.Join(u.dir, fmt.Sprintf("part-%05d.json", p.Number)), data)
		}
		if err != nil {
			p.body.release()
			return fmt.Errorf("save part %d: %w", p.Number, err)
		}
	}
	if old := u.parts[p.Number]; old != nil {
		old.body.release()
	}
	u.parts[p.Number] = p
	return nil
}

// endUpload forgets an upload and its parts; the caller holds u.mu.
func (st *store) endUploadLocked(u *upload) error {
	u.gone = true
	st.mu.Lock()
	delete(st.uploads, u.ID)
	st.mu.Unlock()
	var err error
	if u.dir != "" {
		err = os.RemoveAll(u.dir)
	}
	for _, p := range u.parts {
		p.body.release()
	}
	u.parts = nil
	return err
}

// readUpload reads the folder of an upload.
func readUpload(dir string, blobs func(string) *blob) (*upload, error) {
	u := &upload{dir: dir, parts: map[int]*part{}}
	data, err := os.ReadFile(filepath.Join(dir, "upload.json"))
	if err != nil {
		return nil, fmt.Errorf("read upload: %w", err)
	}
	if err := json.Unmarshal(data, &u.uploadMeta); err != nil {
		return nil, fmt.Errorf("read upload: %w", err)
	}
	if u.ID != filepath.Base(dir) {
		return nil, fmt.Errorf("upload in folder %s calls itself %q", filepath.Base(dir), u.ID)
	}
	names, err := filepath.Glob(filepath.Join(dir, "part-*.json"))
	if err != nil {
		return nil, fmt.Errorf("list parts: %w", err)
	}
	for _, name := range names {
		p, err := readPart(name, blobs)
		if err != nil {
			return nil, err
		}
		u.parts[p.Number] = p
	}
	return u, nil
}

func readPart(path string, blobs func(string) *blob) (*part, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read part: %w", err)
	}
	p := &part{}
	if err := json.Unmarshal(data, p); err != nil {
		return nil, fmt.Errorf("read part: %w", err)
	}
	for _, e := range p.Extents {
		b := blobs(e.Blob)
		if b == nil {
			return nil, fmt.Errorf("part %d: blob %q is missing: %w", p.Number, e.Blob, fs.ErrNotExist)
		}
		b.refs.Add(1)
		p.body = append(p.body, extent{b, e.Off, e.Len})
	}
	if p.body.size() != p.Size {
		return nil, fmt.Errorf("part %d has %d of %d bytes: %w", p.Number, p.body.size(), p.Size, fs.ErrInvalid)
	}
	return p, nil
}
