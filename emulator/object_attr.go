package emulator

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"strings"
)

// change rewrites tags or ACL of the version a request names; content, ETag and Last-Modified stay.
func (c *call) change(edit func(*meta)) error {
	b, err := c.s.store.bucket(c.bucket)
	if err != nil {
		return err
	}
	lock := c.s.store.stripe(c.bucket, c.key)
	lock.Lock()
	defer lock.Unlock()
	old, err := c.found()
	if err != nil {
		return err
	}
	defer old.release()
	v := &version{meta: old.meta, body: old.body}
	old.body.acquire()
	edit(&v.meta)
	if err := c.s.store.replace(b, old, v); err != nil {
		return err
	}
	c.setVersion(v)
	return nil
}

type tagSet struct {
	XMLName xml.Name `xml:"Tagging"`
	Tags    []struct {
		Key   string `xml:"Key"`
		Value string `xml:"Value"`
	} `xml:"TagSet>Tag"`
}

func (c *call) putTagging() error {
	var in tagSet
	if err := c.document(&in); err != nil {
		return err
	}
	tags := make(map[string]string, len(in.Tags))
	for _, t := range in.Tags {
		if _, twice := tags[t.Key]; twice {
			return refuse(http.StatusBadRequest, "InvalidTag", ecTags, "%s", tagsRuleText)
		}
		tags[t.Key] = t.Value
	}
	if err := checkTags(tags); err != nil {
		return err
	}
	if err := c.change(func(m *meta) { m.Tags = tags }); err != nil {
		return err
	}
	return c.done(http.StatusOK)
}

func (c *call) deleteTagging() error {
	if err := c.change(func(m *meta) { m.Tags = nil }); err != nil {
		return err
	}
	return c.done(http.StatusNoContent)
}

func (c *call) getTagging() error {
	v, err := c.found()
	if err != nil {
		return err
	}
	defer v.release()
	c.setVersion(v)
	x := newXML("Tagging")
	x.begin("TagSet")
	for _, k := range sortedKeys(v.Tags) {
		x.begin("Tag")
		x.text("Key", k)
		x.text("Value", v.Tags[k])
		x.close()
	}
	return c.xml(x.end())
}

func (c *call) putObjectACL() error {
	acl := c.header("x-oss-object-acl")
	if !objectACLs[acl] {
		return refuse(http.StatusBadRequest, "InvalidArgument", ecACL, "no such object access control exists").with("ArgumentName", "x-oss-object-acl").with("ArgumentValue", acl)
	}
	if err := c.change(func(m *meta) { m.ACL = acl }); err != nil {
		return err
	}
	return c.done(http.StatusOK)
}

func (c *call) getObjectACL() error {
	v, err := c.found()
	if err != nil {
		return err
	}
	defer v.release()
	acl := v.ACL
	if acl == "" {
		acl = "default"
	}
	return c.xml(aclDocument(acl))
}

func aclDocument(grant string) string {
	x := newXML("AccessControlPolicy")
	writeOwner(x)
	x.begin("AccessControlList")
	x.text("Grant", grant)
	return x.end()
}

func (c *call) putSymlink() error {
	b, err := c.s.store.bucket(c.bucket)
	if err != nil {
		return err
	}
	raw := c.header("x-oss-symlink-target")
	target, err := url.PathUnescape(raw)
	if err != nil || checkKey(target) != nil {
		return errArgument("x-oss-symlink-target", raw, "The target object name is not valid.")
	}
	w, err := c.wanted(b)
	if err != nil {
		return err
	}
	if _, ok := w.headers["content-type"]; !ok {
		w.headers["content-type"] = "application/octet-stream"
	}
	v := c.newVersion(w, typeSymlink)
	v.Target = target
	sum := md5Of(target)
	v.ETag = strings.ToUpper(sum)
	if err := c.commit(b, v, ecExists); err != nil {
		return err
	}
	c.set("ETag", `"`+v.ETag+`"`)
	c.setVersion(v)
	return c.done(http.StatusOK)
}

func (c *call) getSymlink() error {
	v, err := c.found()
	if err != nil {
		return err
	}
	defer v.release()
	if v.Type != typeSymlink {
		return refuse(http.StatusBadRequest, "NotSymlink", ecNotSymlink, "The object is not a symbolic link.")
	}
	for name, value := range v.Headers {
		c.set(name, value)
	}
	c.set("x-oss-symlink-target", percent(v.Target, false))
	c.set("ETag", `"`+v.ETag+`"`)
	c.set("Last-Modified", httpTime(v.Modified))
	c.setVersion(v)
	return c.done(http.StatusOK)
}
