package emulator

import (
	"bytes"
	"fmt"
	"net/http"
	"sort"
	"strings"
	"time"
)

// ObjectInfo describes one stored object.
type ObjectInfo struct {
	Key          string
	Size         int64
	ETag         string // without quotes
	LastModified time.Time
	Type         string // Normal, Multipart, Appendable or Symlink
	CRC64        uint64
	VersionID    string
	Tags         map[string]string
}

// Objects returns the current objects of a bucket in the order of their keys, without a request being
// counted; none when there is no such bucket.
func (s *Server) Objects(bucket string) []ObjectInfo {
	b, err := s.store.bucket(bucket)
	if err != nil {
		return nil
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	out := make([]ObjectInfo, 0, b.keys.Len())
	for k := b.keys.Seek(""); ; {
		_, list, ok := k.Next()
		if !ok {
			return out
		}
		if v := list[0]; !v.Marker {
			out = append(out, ObjectInfo{v.Key, v.Size, v.ETag, v.Modified, v.Type, v.CRC, v.Version, v.Tags})
		}
	}
}

// Uploads returns the keys of a bucket's multipart uploads that are neither complete nor aborted, one for each upload.
func (s *Server) Uploads(bucket string) []string {
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	var keys []string
	for _, u := range s.store.uploads {
		if u.Bucket == bucket {
			keys = append(keys, u.Key)
		}
	}
	sort.Strings(keys)
	return keys
}

// ReadObject returns the stored bytes and headers of an object, as its owner at the provider sees them;
// tags are in the header X-Oss-Tagging.
func (s *Server) ReadObject(bucket, key string) ([]byte, http.Header, error) {
	b, err := s.store.bucket(bucket)
	if err != nil {
		return nil, nil, err
	}
	v := b.latest(key)
	if v == nil {
		return nil, nil, errNoSuchKey(key)
	}
	defer v.release()
	if v.Marker {
		return nil, nil, errNoSuchKey(key)
	}
	var buf bytes.Buffer
	if err := v.body.copyTo(&buf, 0, v.Size); err != nil {
		return nil, nil, err
	}
	return buf.Bytes(), v.header(), nil
}

func (v *version) header() http.Header {
	h := http.Header{}
	for name, value := range v.Headers {
		h.Set(name, value)
	}
	if len(v.Tags) > 0 {
		var items []string
		for _, k := range sortedKeys(v.Tags) {
			items = append(items, percent(k, false)+"="+percent(v.Tags[k], false))
		}
		h.Set("X-Oss-Tagging", strings.Join(items, "&"))
	}
	return h
}

// WriteObject stores an object as a PutObject by the bucket's owner would, without the checks of names,
// metadata and client-side encryption, and without a request being counted. The header X-Oss-Tagging holds
// tags; other headers than x-oss-meta-* and the standard content headers are ignored.
func (s *Server) WriteObject(bucket, key string, h http.Header, data []byte) error {
	return s.AlterObject(bucket, key, func(into http.Header, _ []byte) []byte {
		clear(into)
		for name, values := range h {
			into[name] = values
		}
		return data
	})
}

// AlterObject replaces an object by what change makes of its headers and bytes; checksums follow, so that
// only the content can tell. A key that is not there is handed over as empty and made.
func (s *Server) AlterObject(bucket, key string, change func(h http.Header, body []byte) []byte) error {
	b, err := s.store.bucket(bucket)
	if err != nil {
		return err
	}
	lock := s.store.stripe(bucket, key)
	lock.Lock()
	defer lock.Unlock()
	v := &version{meta: meta{Key: key, Type: typeNormal, Class: "Standard"}}
	h, old := http.Header{}, []byte(nil)
	if prev := b.latest(key); prev != nil {
		defer prev.release()
		if !prev.Marker {
			var buf bytes.Buffer
			if err := prev.body.copyTo(&buf, 0, prev.Size); err != nil {
				return err
			}
			v.meta, h, old = prev.meta, prev.header(), buf.Bytes()
			if v.Type != typeAppendable {
				v.Type = typeNormal
			}
		}
	}
	data := change(h, old)
	got, err := s.store.receive(bytes.NewReader(data), int64(len(data)), int64(len(data)), false)
	if err != nil {
		return err
	}
	v.Headers = map[string]string{}
	for name, values := range h {
		low := strings.ToLower(name)
		switch {
		case low == "x-oss-tagging":
			if v.Tags, err = parseTagging(strings.Join(values, "&")); err != nil {
				got.drop()
				return err
			}
		case !strings.HasPrefix(low, "x-oss-") || strings.HasPrefix(low, metaPrefix):
			v.Headers[low] = strings.Join(values, ",")
		}
	}
	v.Modified, v.Size, v.CRC, v.body = s.opt.Now(), got.size, got.crc, got.body
	v.ETag, v.MD5 = fmt.Sprintf("%X", got.md5), md5Text(got.md5)
	return s.store.put(b, v)
}

// DamageObject flips one bit of the stored byte at off and leaves every header and checksum as it was, as a
// failing disk at the provider would.
func (s *Server) DamageObject(bucket, key string, off int64) error {
	b, err := s.store.bucket(bucket)
	if err != nil {
		return err
	}
	lock := s.store.stripe(bucket, key)
	lock.Lock()
	defer lock.Unlock()
	old := b.latest(key)
	if old == nil {
		return errNoSuchKey(key)
	}
	defer old.release()
	if off < 0 || off >= old.Size {
		return fmt.Errorf("damage %q: offset %d is outside its %d bytes", key, off, old.Size)
	}
	var buf bytes.Buffer
	if err := old.body.copyTo(&buf, 0, old.Size); err != nil {
		return err
	}
	data := buf.Bytes()
	data[off] ^= 0x01
	got, err := s.store.receive(bytes.NewReader(data), old.Size, old.Size, false)
	if err != nil {
		return err
	}
	return s.store.replace(b, old, &version{meta: old.meta, body: got.body})
}

// CreateBucket makes a bucket, if it is not there, without a request being counted.
func (s *Server) CreateBucket(name string) error {
	if !validBucketName(name) {
		return fmt.Errorf("bucket %q: not a valid bucket name", name)
	}
	_, _, err := s.store.createBucket(name, s.newBucketConfig())
	return err
}

// RemoveObject deletes the current version of a key for good, without a request being counted.
func (s *Server) RemoveObject(bucket, key string) error {
	b, err := s.store.bucket(bucket)
	if err != nil {
		return err
	}
	lock := s.store.stripe(bucket, key)
	lock.Lock()
	defer lock.Unlock()
	v := b.latest(key)
	if v == nil {
		return errNoSuchKey(key)
	}
	defer v.release()
	return s.store.remove(b, key, v.Version)
}
