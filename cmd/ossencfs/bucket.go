package main

import (
	"context"
	"fmt"
	"os"

	"github.com/ossencfs/ossencfs/object"
)

// connection reads the options of the bucket.
func (r *reader) connection(bucket string) object.Connection {
	c := object.Connection{
		Endpoint:    r.text("endpoint"),
		Region:      r.text("region"),
		Bucket:      bucket,
		SignVersion: object.SignVersion(r.choice("sign-version")),
		Addressing:  object.Addressing(r.choice("addressing")),
		Internal:    r.is("internal"),
		Accelerate:  r.is("accelerate"),
		Proxy:       r.text("proxy"),
		CAFile:      r.text("ca-file"),
		Credentials: r.credentials(),
		UserAgent:   "ossencfs/" + versionText(),
	}
	if c.Addressing == "auto" {
		c.Addressing = ""
	}
	if c.Endpoint == "" && c.Region == "" && r.err == nil {
		r.err = usageError(fmt.Errorf("it is not said where bucket %s is", bucket),
			"give --region, as in --region cn-hangzhou, or --endpoint")
	}
	return c
}

// objectOptions reads all options of an encrypted bucket but its keys. Sizes and dialect are checked by object.
func (r *reader) objectOptions(t target) object.Options {
	o := object.Options{
		Connection: r.connection(t.bucket),
		Dialect:    r.choice("dialect"),
		DefaultAttr: object.DefaultAttr{
			UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), Umask: 0o022, //nolint:gosec // ids are not negative on Linux
		},
	}
	if findOption(r.options, "part-size") != nil {
		o.PartSize, o.MultipartThreshold = r.size("part-size"), r.size("multipart-threshold")
	}
	return o
}

// openBucket connects to the bucket that a command names, with its keys.
func (c *call) openBucket(ctx context.Context, t target) (*object.Bucket, error) {
	r := c.read()
	o := r.objectOptions(t)
	if r.err != nil {
		return nil, r.err
	}
	ring, err := c.keyring(ctx, r, o.Connection, nil)
	if err != nil {
		return nil, err
	}
	o.Keyring = ring
	b, err := object.Open(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", t.bucket, err)
	}
	return b, nil
}
