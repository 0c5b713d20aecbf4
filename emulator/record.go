package emulator

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Object types as x-oss-object-type names them.
const (
	typeNormal     = "Normal"
	typeMultipart  = "Multipart"
	typeAppendable = "Appendable"
	typeSymlink    = "Symlink"
)

// nullVersion is the version id of objects written while versioning is not enabled.
const nullVersion = "null"

// meta is what a record says about a version.
type meta struct {
	Key      string            `json:"key"`
	Version  string            `json:"version"`
	Seq      uint64            `json:"seq"` // order of versions: larger is newer
	Rev      uint64            `json:"rev"` // order of records of one version
	Marker   bool              `json:"marker,omitempty"`
	Type     string            `json:"type,omitempty"`
	Size     int64             `json:"size"`
	ETag     string            `json:"etag,omitempty"`
	MD5      string            `json:"md5,omitempty"` // Content-MD5, of objects of one PUT
	CRC      uint64            `json:"crc,string"`
	Modified time.Time         `json:"modified"`
	Headers  map[string]string `json:"headers,omitempty"`
	Tags     map[string]string `json:"tags,omitempty"`
	ACL      string            `json:"acl,omitempty"`
	Class    string            `json:"class,omitempty"`
	Target   string            `json:"target,omitempty"` // of symlinks
	Restored *restoration      `json:"restored,omitempty"`
	Inline   int64             `json:"inline,omitempty"` // bytes after the JSON line
	Extents  []extentRecord    `json:"extents,omitempty"`
}

type extentRecord struct {
	Blob string `json:"blob"`
	Off  int64  `json:"off"`
	Len  int64  `json:"len"`
}

// version is one immutable state of a key. It holds one reference on its record and on each extent's blob.
type version struct {
	meta
	record *blob // nil in memory
	body   body
}

func (v *version) acquire() {
	if v.record != nil {
		v.record.refs.Add(1)
	}
	v.body.acquire()
}

func (v *version) release() {
	if v.record != nil {
		v.record.release()
	}
	v.body.release()
}

// isCSE says whether the object was encrypted by an SDK of the current dialect.
func (v *version) isCSE() bool {
	for name := range v.Headers {
		if strings.HasPrefix(name, csePrefix) {
			return true
		}
	}
	return false
}

// save writes the record of v in a folder store and takes over v.body: a small one moves into the record.
//
//	record = JSON LF [body]
func (st *store) save(bucket string, v *version) error {
	if st.dir == "" {
		return nil
	}
	var inline bytes.Buffer
	v.Rev = st.seq.Add(1)
	v.Inline, v.Extents = 0, nil
	if size := v.body.size(); size <= inlineMax && !allBlobs(v.body) {
		if err := v.body.copyTo(&inline, 0, size); err != nil {
			return err
		}
		v.Inline = size
	} else {
		var err error
		if v.body, err = st.intoBlobs(v.body); err != nil {
			return err
		}
		for _, e := range v.body {
			v.Extents = append(v.Extents, extentRecord{e.b.id, e.off, e.n})
		}
	}
	line, err := json.Marshal(&v.meta)
	if err != nil {
		return fmt.Errorf("encode record of %q: %w", v.Key, err)
	}
	line = append(line, '\n')
	path := st.recordPath(bucket, v.Key, v.Rev)
	if err := writeFile(path, append(line, inline.Bytes()...)); err != nil {
		return fmt.Errorf("write record of %q: %w", v.Key, err)
	}
	v.record = &blob{path: path}
	v.record.refs.Store(1)
	if v.Extents == nil {
		old := v.body
		v.body = nil
		if v.Inline > 0 {
			v.record.refs.Add(1)
			v.body = body{{v.record, int64(len(line)), v.Inline}}
		}
		old.release()
	}
	return nil
}

// allBlobs says whether all extents lie in blob files, which a new record can name again.
func allBlobs(x body) bool {
	for _, e := range x {
		if e.b.id == "" {
			return false
		}
	}
	return true
}

// writeFile puts a file in place whole or not at all, for a crash of this process.
func writeFile(path string, data []byte) error {
	tmp := path + ".tmp"
	err := os.WriteFile(tmp, data, 0o600)
	if os.IsNotExist(err) {
		if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
			err = os.WriteFile(tmp, data, 0o600)
		}
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		// What is left of it is removed at the next start.
		_ = os.Remove(tmp)
	}
	return err
}

// maxRecordLine bounds the JSON line of a record read at start.
const maxRecordLine = 1 << 20

// readRecord reads the record at path; blob looks up blob files by name.
func readRecord(path string, blobs func(id string) *blob) (*version, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	m, lineLen, err := decodeRecord(f, info.Size())
	if err != nil {
		return nil, fmt.Errorf("record %s: %w", filepath.Base(path), err)
	}
	v := &version{meta: m, record: &blob{path: path}}
	v.record.refs.Store(1)
	if m.Inline > 0 {
		v.record.refs.Add(1)
		v.body = body{{v.record, lineLen, m.Inline}}
	}
	for _, e := range m.Extents {
		b := blobs(e.Blob)
		if b == nil {
			return nil, fmt.Errorf("record %s: blob %q is missing", filepath.Base(path), e.Blob)
		}
		b.refs.Add(1)
		v.body = append(v.body, extent{b, e.Off, e.Len})
	}
	return v, nil
}

// decodeRecord reads the JSON line of a record of size bytes and checks it against what follows.
func decodeRecord(r io.Reader, size int64) (meta, int64, error) {
	var m meta
	line, err := bufio.NewReaderSize(io.LimitReader(r, maxRecordLine), 4<<10).ReadBytes('\n')
	if err != nil {
		return m, 0, fmt.Errorf("read first line: %w", err)
	}
	if err := json.Unmarshal(line, &m); err != nil {
		return m, 0, fmt.Errorf("decode: %w", err)
	}
	body := m.Inline
	for _, e := range m.Extents {
		if e.Off < 0 || e.Len < 0 {
			return m, 0, fmt.Errorf("negative extent of blob %q", e.Blob)
		}
		body += e.Len
	}
	if m.Inline < 0 || body != m.Size || int64(len(line))+m.Inline != size || m.Key == "" || m.Version == "" {
		return m, 0, fmt.Errorf("%d bytes with an inline body of %d for an object of %d: not whole", size, m.Inline, m.Size)
	}
	return m, int64(len(line)), nil
}
