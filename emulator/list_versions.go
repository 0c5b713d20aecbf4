package emulator

import "strings"

// versionPage is one page of versions.
type versionPage struct {
	versions  []*version // not acquired: only their meta may be read
	latest    []bool
	prefixes  []string
	truncated bool
	key, id   string // where this page ends
}

// listVersions collects versions and delete markers that follow keyMarker and idMarker, newest first
// within a key.
func (b *bucket) listVersions(prefix, delimiter, keyMarker, idMarker string, limit int) versionPage {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var p versionPage
	from := max(prefix, keyMarker)
	if delimiter != "" && keyMarker != prefix && strings.HasSuffix(keyMarker, delimiter) && idMarker == "" {
		if from = max(from, after(keyMarker)); after(keyMarker) == "" {
			return p
		}
	}
	for k := b.keys.Seek(from); ; {
		key, list, ok := k.Next()
		if !ok || !strings.HasPrefix(key, prefix) {
			return p
		}
		if delimiter != "" {
			if i := strings.Index(key[len(prefix):], delimiter); i >= 0 {
				name := key[:len(prefix)+i+len(delimiter)]
				if len(p.versions)+len(p.prefixes) == limit {
					p.truncated = true
					return p
				}
				p.prefixes = append(p.prefixes, name)
				p.key, p.id = name, ""
				next := after(name)
				if next == "" {
					return p
				}
				k = b.keys.Seek(next)
				continue
			}
		}
		skip := key == keyMarker
		for i, v := range list {
			if skip {
				skip = v.Version != idMarker // an empty marker skips the whole key
				continue
			}
			if len(p.versions)+len(p.prefixes) == limit {
				p.truncated = true
				return p
			}
			p.versions, p.latest = append(p.versions, v), append(p.latest, i == 0)
			p.key, p.id = key, v.Version
		}
	}
}

func (c *call) listVersions() error {
	b, e, limit, err := c.listing()
	if err != nil {
		return err
	}
	prefix, delimiter := c.param("prefix"), c.param("delimiter")
	p := b.listVersions(prefix, delimiter, c.param("key-marker"), c.param("version-id-marker"), limit)
	x := newXML("ListVersionsResult")
	x.text("Name", c.bucket)
	x.text("Prefix", e.encode(prefix))
	x.text("KeyMarker", e.encode(c.param("key-marker")))
	x.text("VersionIdMarker", c.param("version-id-marker"))
	x.number("MaxKeys", int64(limit))
	x.text("Delimiter", e.encode(delimiter))
	e.name(x)
	x.truth("IsTruncated", p.truncated)
	if p.truncated {
		x.text("NextKeyMarker", e.encode(p.key))
		x.text("NextVersionIdMarker", p.id)
	}
	for i, v := range p.versions {
		name := "Version"
		if v.Marker {
			name = "DeleteMarker"
		}
		x.begin(name)
		x.text("Key", e.encode(v.Key))
		x.text("VersionId", v.Version)
		x.truth("IsLatest", p.latest[i])
		x.text("LastModified", isoTime(v.Modified))
		if !v.Marker {
			x.text("ETag", `"`+v.ETag+`"`)
			x.text("Type", v.Type)
			x.number("Size", v.Size)
			x.text("StorageClass", v.Class)
			v.writeRestore(x, c.now())
		}
		writeOwner(x)
		x.close()
	}
	for _, name := range p.prefixes {
		x.begin("CommonPrefixes")
		x.text("Prefix", e.encode(name))
		x.close()
	}
	return c.xml(x.end())
}
