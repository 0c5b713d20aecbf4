package emulator

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"net/http"
	"sort"
	"strings"
)

// ownerID is the account that owns everything.
const ownerID = "1000000000000000"

var bucketACLs = map[string]bool{"private": true, "public-read": true, "public-read-write": true}

func md5Of(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

func writeOwner(x *xmlDoc) {
	x.begin("Owner")
	x.text("ID", ownerID)
	x.text("DisplayName", ownerID)
	x.close()
}

func (s *Server) newBucketConfig() bucketConfig {
	return bucketConfig{Created: s.opt.Now(), ACL: "private", Class: "Standard"}
}

// location is the region as the bucket operations name it.
func (s *Server) location() string { return "oss-" + s.opt.Region }

func (c *call) putBucket() error {
	conf := c.s.newBucketConfig()
	if acl := c.header("x-oss-acl"); acl != "" {
		if !bucketACLs[acl] {
			return errArgument("x-oss-acl", acl, "no such bucket access control exists")
		}
		conf.ACL = acl
	}
	var in struct {
		XMLName      xml.Name `xml:"CreateBucketConfiguration"`
		StorageClass string   `xml:"StorageClass"`
	}
	if _, err := c.optionalDocument(&in); err != nil {
		return err
	}
	if in.StorageClass != "" {
		conf.Class = in.StorageClass
	}
	if !storageClasses[conf.Class] {
		return errArgument("StorageClass", conf.Class, "no such storage class exists")
	}
	b, created, err := c.s.store.createBucket(c.bucket, conf)
	if err != nil {
		return err
	}
	if !created && c.header("x-oss-acl") != "" {
		if err := c.s.store.configure(b, func(o *bucketConfig) { o.ACL = conf.ACL }); err != nil {
			return err
		}
	}
	c.set("Location", "/"+c.bucket)
	return c.done(http.StatusOK)
}

func (c *call) deleteBucket() error {
	if err := c.s.store.deleteBucket(c.bucket); err != nil {
		return err
	}
	return c.done(http.StatusNoContent)
}

func (c *call) headBucket() error {
	if _, err := c.s.store.bucket(c.bucket); err != nil {
		return err
	}
	c.set("x-oss-bucket-region", c.s.opt.Region)
	return c.done(http.StatusOK)
}

func (c *call) getBucketLocation() error {
	if _, err := c.s.store.bucket(c.bucket); err != nil {
		return err
	}
	x := newXML("LocationConstraint")
	x.b.WriteString(c.s.location())
	return c.xml(x.end())
}

// settings returns a copy of the bucket's configuration.
func (c *call) settings() (*bucket, bucketConfig, error) {
	b, err := c.s.store.bucket(c.bucket)
	if err != nil {
		return nil, bucketConfig{}, err
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b, b.config, nil
}

func (c *call) getBucketInfo() error {
	_, conf, err := c.settings()
	if err != nil {
		return err
	}
	x := newXML("BucketInfo")
	x.begin("Bucket")
	x.text("Name", c.bucket)
	x.text("CreationDate", isoTime(conf.Created))
	x.text("Location", c.s.location())
	x.text("ExtranetEndpoint", c.s.ln.Addr().String())
	x.text("IntranetEndpoint", c.s.ln.Addr().String())
	writeOwner(x)
	x.begin("AccessControlList")
	x.text("Grant", conf.ACL)
	x.close()
	x.text("StorageClass", conf.Class)
	x.text("DataRedundancyType", "LRS")
	x.text("AccessMonitor", "Disabled")
	x.text("TransferAcceleration", "Disabled")
	x.text("CrossRegionReplication", "Disabled")
	if conf.Versioning != "" {
		x.text("Versioning", conf.Versioning)
	}
	x.begin("ServerSideEncryptionRule")
	x.text("SSEAlgorithm", "None")
	return c.xml(x.end())
}

func (c *call) getBucketStat() error {
	b, _, err := c.settings()
	if err != nil {
		return err
	}
	var storage, objects int64
	b.mu.RLock()
	for k := b.keys.Seek(""); ; {
		_, list, ok := k.Next()
		if !ok {
			break
		}
		for _, v := range list {
			storage += v.Size
		}
		if !list[0].Marker {
			objects++
		}
	}
	b.mu.RUnlock()
	x := newXML("BucketStat")
	x.number("Storage", storage)
	x.number("ObjectCount", objects)
	x.number("MultipartUploadCount", int64(len(c.s.store.uploadsOf(c.bucket))))
	x.number("LiveChannelCount", 0)
	x.number("LastModifiedTime", c.now().Unix())
	x.number("StandardStorage", storage)
	x.number("StandardObjectCount", objects)
	return c.xml(x.end())
}

func (c *call) getBucketACL() error {
	_, conf, err := c.settings()
	if err != nil {
		return err
	}
	return c.xml(aclDocument(conf.ACL))
}

func (c *call) putBucketACL() error {
	b, _, err := c.settings()
	if err != nil {
		return err
	}
	acl := c.header("x-oss-acl")
	if !bucketACLs[acl] {
		return errArgument("x-oss-acl", acl, "no such bucket access control exists")
	}
	if err := c.s.store.configure(b, func(o *bucketConfig) { o.ACL = acl }); err != nil {
		return err
	}
	return c.done(http.StatusOK)
}

func (c *call) getBucketVersioning() error {
	_, conf, err := c.settings()
	if err != nil {
		return err
	}
	x := newXML("VersioningConfiguration")
	if conf.Versioning != "" {
		x.text("Status", conf.Versioning)
	}
	return c.xml(x.end())
}

func (c *call) putBucketVersioning() error {
	b, _, err := c.settings()
	if err != nil {
		return err
	}
	var in struct {
		XMLName xml.Name `xml:"VersioningConfiguration"`
		Status  string   `xml:"Status"`
	}
	if err := c.document(&in); err != nil {
		return err
	}
	if in.Status != "Enabled" && in.Status != "Suspended" {
		return refuse(http.StatusBadRequest, "InvalidArgument", ecBucketConfig, "The versioning status must be Enabled or Suspended.")
	}
	if err := c.s.store.configure(b, func(o *bucketConfig) { o.Versioning = in.Status }); err != nil {
		return err
	}
	return c.done(http.StatusOK)
}

func (c *call) listBuckets() error {
	prefix, marker := c.param("prefix"), c.param("marker")
	limit, err := c.limit("max-keys", 100, 1000)
	if err != nil {
		return err
	}
	c.s.store.mu.RLock()
	var list []*bucket
	for name, b := range c.s.store.buckets {
		if strings.HasPrefix(name, prefix) && name > marker {
			list = append(list, b)
		}
	}
	c.s.store.mu.RUnlock()
	sort.Slice(list, func(i, j int) bool { return list[i].name < list[j].name })
	x := newXML("ListAllMyBucketsResult")
	writeOwner(x)
	if len(list) > limit {
		list = list[:limit]
		x.text("Prefix", prefix)
		x.text("Marker", marker)
		x.number("MaxKeys", int64(limit))
		x.truth("IsTruncated", true)
		x.text("NextMarker", list[limit-1].name)
	}
	x.begin("Buckets")
	for _, b := range list {
		b.mu.RLock()
		conf := b.config
		b.mu.RUnlock()
		x.begin("Bucket")
		x.text("CreationDate", isoTime(conf.Created))
		x.text("ExtranetEndpoint", c.s.ln.Addr().String())
		x.text("IntranetEndpoint", c.s.ln.Addr().String())
		x.text("Location", c.s.location())
		x.text("Name", b.name)
		x.text("Region", c.s.opt.Region)
		x.text("StorageClass", conf.Class)
		x.close()
	}
	return c.xml(x.end())
}

func (c *call) describeRegions() error {
	x := newXML("RegionInfoList")
	x.begin("RegionInfo")
	x.text("Region", c.s.location())
	for _, kind := range []string{"InternetEndpoint", "InternalEndpoint", "AccelerateEndpoint"} {
		x.text(kind, c.s.ln.Addr().String())
	}
	return c.xml(x.end())
}
