package emulator

import (
	"net"
	"net/http"
	"strings"
)

// target reads bucket and key from a request: host BUCKET.anything, a bound CNAME, or path style for IP
// addresses, localhost and OSS's own service hosts.
func (s *Server) target(r *http.Request) (bucket, key string) {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	path := strings.TrimPrefix(r.URL.Path, "/")
	host = strings.ToLower(strings.Trim(host, "[]"))
	if b := s.opt.CNames[host]; b != "" {
		return b, path
	}
	first, rest, dotted := strings.Cut(host, ".")
	service := strings.HasPrefix(first, "oss-") || first == "oss" || first == "s3"
	if dotted && rest != "" && net.ParseIP(host) == nil && validBucketName(first) && !(service && strings.HasSuffix(rest, "aliyuncs.com")) {
		return first, path
	}
	bucket, key, _ = strings.Cut(path, "/")
	return bucket, key
}

// serveOSS takes one OSS request through counting, faults, authentication and its handler.
func (s *Server) serveOSS(w http.ResponseWriter, r *http.Request) {
	c := &call{s: s, w: w, r: r, q: r.URL.Query(), id: s.requestID(), body: &pacedReader{r.Body, &s.pace, r.Context()}}
	c.bucket, c.key = s.target(r)
	c.route()
	s.count.add(c.op)
	c.set("x-oss-request-id", c.id)
	c.set("Server", "AliyunOSS")
	c.set("Date", httpTime(s.opt.Now()))
	if f := s.faults.match(c.op, c.bucket, c.key); f != nil {
		f.apply(c)
		return
	}
	c.execute()
}

// execute authenticates, runs the handler and answers.
func (c *call) execute() {
	err := c.verify()
	if err == nil {
		err = c.perform()
	}
	if err != nil {
		c.fail(err)
	}
}

// verify checks names and signature of an OSS request; a KMS request does so itself.
func (c *call) verify() error {
	if c.kms {
		return nil
	}
	if err := c.check(); err != nil {
		return err
	}
	return c.authenticate()
}

// check refuses names that no handler should see.
func (c *call) check() error {
	if c.bucket != "" && !validBucketName(c.bucket) {
		return refuse(http.StatusBadRequest, "InvalidBucketName", ecBucketName, "The specified bucket is not valid.").with("BucketName", c.bucket)
	}
	if c.key != "" {
		return checkKey(c.key)
	}
	return nil
}

// operation is a name and the handler behind it.
type operation struct {
	name string
	run  func(*call) error
}

// route finds the operation of a request.
func (c *call) route() {
	var op operation
	switch {
	case c.bucket == "":
		op = c.serviceOperation()
	case c.key == "":
		op = c.bucketOperation()
	default:
		op = c.objectOperation()
	}
	c.op, c.run = op.name, op.run
}

func (c *call) serviceOperation() operation {
	switch {
	case c.r.Method == http.MethodGet && c.q.Has("regions"):
		return operation{"DescribeRegions", (*call).describeRegions}
	case c.r.Method == http.MethodGet:
		return operation{"ListBuckets", (*call).listBuckets}
	}
	return operation{"Unknown", (*call).methodNotAllowed}
}

// bucketTable lists the operations on a bucket by method and sub-resource; "" is the bucket itself.
var bucketTable = map[string]map[string]operation{
	http.MethodGet: {
		"acl":        {"GetBucketAcl", (*call).getBucketACL},
		"bucketInfo": {"GetBucketInfo", (*call).getBucketInfo},
		"location":   {"GetBucketLocation", (*call).getBucketLocation},
		"stat":       {"GetBucketStat", (*call).getBucketStat},
		"uploads":    {"ListMultipartUploads", (*call).listUploads},
		"versioning": {"GetBucketVersioning", (*call).getBucketVersioning},
		"versions":   {"ListObjectVersions", (*call).listVersions},
	},
	http.MethodPut: {
		"":           {"PutBucket", (*call).putBucket},
		"acl":        {"PutBucketAcl", (*call).putBucketACL},
		"versioning": {"PutBucketVersioning", (*call).putBucketVersioning},
	},
	http.MethodDelete: {"": {"DeleteBucket", (*call).deleteBucket}},
	http.MethodPost:   {"delete": {"DeleteMultipleObjects", (*call).deleteObjects}},
	http.MethodHead:   {"": {"HeadBucket", (*call).headBucket}},
}

// otherResources are sub-resources of OSS that the emulator does not have.
var otherResources = strings.Fields(`accessmonitor accessPoint archiveDirectRead callback cname cors encryption
	httpsConfig inventory legalHold lifecycle live logging metaQuery objectWorm objectWormConfiguration policy policyStatus
	processConfiguration publicAccessBlock qosInfo referer replication requestPayment resourceGroup restore rtc
	select style styleName tagging transferAcceleration vod website worm wormExtend x-oss-process x-oss-async-process`)

func (c *call) bucketOperation() operation {
	table := bucketTable[c.r.Method]
	for sub, op := range table {
		if sub != "" && c.q.Has(sub) {
			return op
		}
	}
	for _, sub := range otherResources {
		if c.q.Has(sub) {
			return operation{c.r.Method + " bucket " + sub, (*call).notImplemented}
		}
	}
	if c.r.Method == http.MethodGet {
		switch lacks := c.s.opt.Lacks; {
		case c.param("list-type") != "2" || lacks.has(IgnoresListV2):
		case lacks.has(LacksListV2):
			return operation{"ListObjectsV2", (*call).notImplemented}
		default:
			return operation{"ListObjectsV2", (*call).listObjectsV2}
		}
		return operation{"ListObjects", (*call).listObjects}
	}
	if op, ok := table[""]; ok {
		return op
	}
	return operation{"Unknown", (*call).methodNotAllowed}
}

// objectTable lists the operations on an object by method and sub-resource; "" is the object itself.
var objectTable = map[string]map[string]operation{
	http.MethodGet: {
		"":         {"GetObject", (*call).getObject},
		"acl":      {"GetObjectACL", (*call).getObjectACL},
		"symlink":  {"GetSymlink", (*call).getSymlink},
		"tagging":  {"GetObjectTagging", (*call).getTagging},
		"uploadId": {"ListParts", (*call).listParts},
	},
	http.MethodHead: {
		"":           {"HeadObject", (*call).headObject},
		"objectMeta": {"GetObjectMeta", (*call).getObjectMeta},
	},
	http.MethodPut: {
		"":        {"PutObject", (*call).putObject},
		"acl":     {"PutObjectACL", (*call).putObjectACL},
		"symlink": {"PutSymlink", (*call).putSymlink},
		"tagging": {"PutObjectTagging", (*call).putTagging},
	},
	http.MethodPost: {
		"restore":  {"RestoreObject", (*call).restoreObject},
		"append":   {"AppendObject", (*call).appendObject},
		"uploadId": {"CompleteMultipartUpload", (*call).completeUpload},
		"uploads":  {"InitiateMultipartUpload", (*call).initiateUpload},
	},
	http.MethodDelete: {
		"":         {"DeleteObject", (*call).deleteObject},
		"tagging":  {"DeleteObjectTagging", (*call).deleteTagging},
		"uploadId": {"AbortMultipartUpload", (*call).abortUpload},
	},
}

func (c *call) objectOperation() operation {
	if lacks := c.s.opt.Lacks; c.q.Has("tagging") && lacks.has(LacksTagging) {
		return operation{"GetObjectTagging", (*call).notImplemented}
	} else if c.q.Has("tagging") && lacks.has(IgnoresTags) && c.r.Method == http.MethodGet {
		return objectTable[http.MethodGet][""]
	}
	if c.r.Method == http.MethodPut {
		copied := c.header("x-oss-copy-source") != ""
		switch {
		case c.q.Has("uploadId") && copied:
			return operation{"UploadPartCopy", (*call).uploadPartCopy}
		case c.q.Has("uploadId"):
			return operation{"UploadPart", (*call).uploadPart}
		case copied:
			return operation{"CopyObject", (*call).copyObject}
		}
	}
	if c.r.Method == http.MethodGet && c.q.Has("objectMeta") {
		return operation{"GetObjectMeta", (*call).getObjectMeta}
	}
	table := objectTable[c.r.Method]
	for sub, op := range table {
		if sub != "" && c.q.Has(sub) {
			return op
		}
	}
	for _, sub := range otherResources {
		if c.q.Has(sub) {
			return operation{c.r.Method + " object " + sub, (*call).notImplemented}
		}
	}
	if op, ok := table[""]; ok {
		return op
	}
	return operation{"Unknown", (*call).methodNotAllowed}
}

func (c *call) notImplemented() error {
	return refuse(http.StatusNotImplemented, "NotImplemented", ecNotImplemented, "The emulator does not have this part of OSS: %s.", c.op)
}

func (c *call) methodNotAllowed() error {
	return refuse(http.StatusMethodNotAllowed, "MethodNotAllowed", ecMethod, "The specified method is not allowed against this resource.").with("Method", c.r.Method)
}
