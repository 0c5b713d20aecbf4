package main

import (
	"fmt"
	"strings"
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
