package emulator

import (
	"encoding/xml"
	"net/http"
)

// maxBatch is the largest number of keys of one batch delete.
const maxBatch = 1000

// deleted says what a delete did.
type deleted struct {
	marker  bool   // a delete marker was made, or was what went
	version string // its id, or that of the version that went
}

// drop deletes one key as OSS does: for good without versioning, by a delete marker with it; a version id
// removes just that version. Deleting what is not there succeeds.
func (c *call) drop(b *bucket, key, id string) (deleted, error) {
	lock := c.s.store.stripe(b.name, key)
	lock.Lock()
	defer lock.Unlock()
	versioning := b.versioned()
	if id == "" && versioning == "" {
		id = nullVersion
	}
	if id != "" {
		v := b.find(key, id)
		if v == nil {
			return deleted{}, nil
		}
		defer v.release()
		d := deleted{marker: v.Marker}
		if versioning != "" {
			d.version = v.Version
		}
		return d, c.s.store.remove(b, key, id)
	}
	m := &version{meta: meta{Key: key, Marker: true, Modified: c.now()}}
	if err := c.s.store.put(b, m); err != nil {
		return deleted{}, err
	}
	return deleted{true, m.Version}, nil
}

func (c *call) deleteObject() error {
	b, err := c.s.store.bucket(c.bucket)
	if err != nil {
		return err
	}
	d, err := c.drop(b, c.key, c.param("versionId"))
	if err != nil {
		return err
	}
	if d.marker {
		c.set("x-oss-delete-marker", "true")
	}
	if d.version != "" {
		c.set("x-oss-version-id", d.version)
	}
	return c.done(http.StatusNoContent)
}

func (c *call) deleteObjects() error {
	b, err := c.s.store.bucket(c.bucket)
	if err != nil {
		return err
	}
	if c.header("Content-MD5") == "" {
		return refuse(http.StatusBadRequest, "InvalidDigest", ecDigest, "Content-MD5 is required for a batch delete.")
	}
	var in struct {
		XMLName xml.Name `xml:"Delete"`
		Quiet   bool     `xml:"Quiet"`
		Objects []struct {
			Key       string `xml:"Key"`
			VersionID string `xml:"VersionId"`
		} `xml:"Object"`
	}
	if err := c.document(&in); err != nil {
		return err
	}
	if len(in.Objects) == 0 || len(in.Objects) > maxBatch {
		return errMalformedXML()
	}
	for _, o := range in.Objects {
		if err := checkKey(o.Key); err != nil {
			return err
		}
	}
	enc, err := c.encoder()
	if err != nil {
		return err
	}
	x := newXML("DeleteResult")
	enc.name(x)
	for _, o := range in.Objects {
		d, err := c.drop(b, o.Key, o.VersionID)
		if err != nil {
			return err
		}
		if in.Quiet {
			continue
		}
		x.begin("Deleted")
		x.text("Key", enc.encode(o.Key))
		if o.VersionID != "" {
			x.text("VersionId", o.VersionID)
		}
		if d.marker {
			x.truth("DeleteMarker", true)
			x.text("DeleteMarkerVersionId", d.version)
		}
		x.close()
	}
	if in.Quiet {
		return c.done(http.StatusOK)
	}
	return c.xml(x.end())
}
