package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/ossencfs/ossencfs/localfile"
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
		AllowHTTP:   r.is("allow-http"),
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
	o.TagsOnly = r.choice("box") == "tags-only"
	return o
}

// openBucket connects to the bucket that a command names, with its keys and the volume that the named object belongs to.
func (c *call) openBucket(ctx context.Context, t target, readOnly bool) (*object.Bucket, error) {
	r := c.read()
	o := r.objectOptions(t)
	if o.ReadOnly, o.VolumeFrom = readOnly, folderOf(t.key); readOnly {
		o.Named = t.key
	}
	o.Trust, o.VolumeIDs = r.trust(""), r.volumeIDs()
	o.NewVolume = findOption(r.options, newVolumeOption.name) != nil && r.is(newVolumeOption.name)
	if r.err != nil {
		return nil, r.err
	}
	pinned, err := c.findPin(o.Connection, o.VolumeFrom)
	if err != nil {
		return nil, err
	}
	if o.Keyring, err = c.keyring(ctx, r, o.Connection, nil); err != nil {
		return nil, err
	}
	o.PinFile, o.Notice = pinned.file(), c.recordNotices()
	b, err := object.Open(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", t.bucket, err)
	}
	err = b.OpenVolume(ctx)
	if err == nil {
		err = c.remember(b, pinned)
	}
	if err != nil {
		return nil, errors.Join(pinned.explain(fmt.Errorf("open the volume of %s: %w", t, err)), b.Close())
	}
	if b.Volume().Made {
		c.stderr.printf("ossencfs: %s\n", newVolumeText(t.bucket, b.Volume(), c.sameOptions()))
	}
	return b, nil
}

// recordNotices tells, once each, what volume records a command met that do not count or are new. What concerns objects the command tells
// itself.
func (c *call) recordNotices() func(object.Notice) {
	var mu sync.Mutex // guards told
	told := make(map[string]bool)
	return func(n object.Notice) {
		if n.Kind != object.NoticeRecord && n.Kind != object.NoticeVolumeKey {
			return
		}
		text := n.Err.Error()
		mu.Lock()
		defer mu.Unlock()
		if !told[text] {
			told[text] = true
			c.stderr.printf("ossencfs: warning: %v\n", text)
		}
	}
}

// folderOf is the folder of a key: "" or ending in "/".
func folderOf(key string) string { return key[:strings.LastIndexByte(key, '/')+1] }

// newVolumeText tells that a volume was made, and what its owner should do. options are those that a command for the same bucket needs.
func newVolumeText(bucket string, v object.VolumeInfo, options string) string {
	return sprintf("made volume %s: keep the master key, and make a recovery code for the day it is lost: `ossencfs key add %s --recovery%s`",
		v.Writer, localfile.Word(target{bucket, strings.TrimSuffix(v.Root, "/")}.String()), options)
}

// sameOptions is what another command for the bucket has to be given, because this one was on its command line: settings of the environment and of
// the configuration file it finds itself.
func (c *call) sameOptions() string {
	var b strings.Builder
	for _, o := range manageOptions() {
		s := c.values[o.name]
		if !strings.HasPrefix(s.from, "-") {
			continue
		}
		for _, value := range s.list {
			b.WriteString(" --" + o.name)
			if o.arg != "" && value != "" {
				b.WriteString("=" + localfile.Word(value))
			}
		}
	}
	return b.String()
}
