package main

import (
	"fmt"
	"strings"

	"github.com/ossencfs/ossencfs/localfile"
)

// target is what oss://BUCKET/KEY names.
type target struct {
	bucket string
	key    string // full key or prefix; may be empty
}

// String is the URL.
func (t target) String() string {
	if t.key == "" {
		return "oss://" + t.bucket
	}
	return "oss://" + t.bucket + "/" + t.key
}

// parseTarget reads oss://BUCKET[/KEY].
func parseTarget(s string) (target, error) {
	rest, ok := strings.CutPrefix(s, "oss://")
	if !ok {
		return target{}, usageError(fmt.Errorf("%q is not a bucket", s), "a bucket is written oss://BUCKET, an object oss://BUCKET/KEY")
	}
	bucket, key, _ := strings.Cut(rest, "/")
	if bucket == "" {
		return target{}, usageError(fmt.Errorf("%q names no bucket", s), "a bucket is written oss://BUCKET, an object oss://BUCKET/KEY")
	}
	return target{bucket: bucket, key: key}, nil
}

// bucketOf reads the argument that names a bucket or object, and recognises arguments in the wrong order.
func (c *call) bucketOf(at int) (target, error) {
	t, err := parseTarget(c.args[at])
	for _, other := range c.args {
		if _, is := strings.CutPrefix(other, "oss://"); err != nil && is && other != c.args[at] {
			return t, usageError(fmt.Errorf("%q is where the bucket should be named", c.args[at]), fmt.Sprintf("exchange the arguments: the bucket is %s", localfile.Word(other)))
		}
	}
	return t, err
}

// bucketAt makes a command's function that tells which bucket's section of the configuration file applies: that of the
// argument at an index.
func bucketAt(i int) func([]string) string {
	return func(args []string) string {
		if i >= len(args) {
			return ""
		}
		t, err := parseTarget(args[i])
		if err != nil {
			return ""
		}
		return strings.Trim(t.bucket+"/"+t.key, "/")
	}
}
