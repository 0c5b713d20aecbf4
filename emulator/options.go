package emulator

import (
	"fmt"
	"log/slog"
	"time"
)

// OSS's own limits, from the vendor's documentation; every one can be lowered by Options for tests.
const (
	// DefaultMinPartSize is the smallest part that may be followed by another one: 100 KB.
	DefaultMinPartSize = 100 << 10
	// DefaultMaxPartSize is the largest part of a multipart upload: 5 GB.
	DefaultMaxPartSize = 5 << 30
	// DefaultMaxPutSize is the largest body of PutObject, and the largest appendable object: 5 GB.
	DefaultMaxPutSize = 5 << 30
	// DefaultMaxParts is the highest part number and the largest number of parts: 10,000.
	DefaultMaxParts = 10000
	// DefaultMaxUserMeta bounds names and values of all x-oss-meta-* headers together: less than 8 KB.
	DefaultMaxUserMeta = 8 << 10
	// DefaultMaxSkew is how far a request's date may be from the server's: 15 minutes.
	DefaultMaxSkew = 15 * time.Minute
	// maxCopyClassChange is the largest object whose storage class CopyObject may change: 1 GB.
	maxCopyClassChange = 1 << 30
	// maxCopyAcross is the largest object CopyObject takes to another bucket: 5 GB.
	maxCopyAcross = 5 << 30
)

// Answers to questions about OSS that no document settles; see the switches in Options.
const (
	// Refuse makes the emulator turn the request down.
	Refuse = "refuse"
	// Allow makes the emulator carry the request out.
	Allow = "allow"
	// Require makes a header mandatory.
	Require = "require"
	// Optional lets a header be left out.
	Optional = "optional"
)

// Lack is a set of what a server may not know.
type Lack uint8

// What a server may not know.
const (
	LacksTagging  Lack = 1 << iota // requests for tags are 501 NotImplemented, and the header with tags means nothing
	IgnoresTags                    // the sub-resource of tags is ignored, so that the object itself is meant, and the header means nothing
	LacksListV2                    // ListObjectsV2 is 501 NotImplemented
	IgnoresListV2                  // ListObjectsV2 is answered as ListObjects
)

func (l Lack) has(what Lack) bool { return l&what != 0 }

// Options says what to serve and how strictly. The zero value serves an empty account in memory on a free
// loopback port with OSS's own limits and the strict answer to every open question.
type Options struct {
	// Listen is the address of the HTTP listener that serves OSS, KMS and control; "127.0.0.1:0" if empty.
	Listen string
	// Dir is a folder that survives restart; "" keeps everything in memory. One process at a time.
	Dir string
	// Buckets are created at start when missing.
	Buckets []string
	// Region is what V4 signatures must name; "cn-hangzhou" if empty.
	Region string
	// AccessKeyID and AccessKeySecret are the account's long-lived pair; generated when empty, fixed per Dir.
	AccessKeyID, AccessKeySecret string
	// KMSKeyID is the id of the one master key made at start; generated when empty, fixed per Dir.
	KMSKeyID string
	// TLS also serves OSS and KMS on an HTTPS listener, with a certificate of a CA made for this server.
	TLS bool
	// TLSListen is the address of that listener; "127.0.0.1:0" if empty.
	TLSListen string
	// TLSNames are further DNS names for the certificate, beside localhost and the loopback addresses.
	TLSNames []string
	// CNames maps whole host names to buckets, as a CNAME bound to a bucket does.
	CNames map[string]string
	// AcceptAnyToken accepts any STS token with the main access key.
	AcceptAnyToken bool
	// NoControl refuses the requests to control the server, which are not signed: with them every account of the machine can make itself
	// an access key. A server that is no tool of tests wants it.
	NoControl bool
	// Versioning enables versioning on the buckets of Buckets when they are created.
	Versioning bool

	// Lacks is what the server does not know, as others do that speak the protocol of OSS in part.
	Lacks Lack

	// MinPartSize, MaxPartSize and MaxPutSize are in bytes; 0 means OSS's value.
	MinPartSize, MaxPartSize, MaxPutSize int64
	// MaxParts is the highest part number; 0 means OSS's value.
	MaxParts int
	// MaxUserMeta bounds the user metadata in bytes; 0 means OSS's value.
	MaxUserMeta int
	// MaxSkew bounds the clock difference of signed requests; 0 means OSS's value.
	MaxSkew time.Duration

	// RestoreTime is how long it takes to restore an archived object; 0: it can be read at once.
	RestoreTime time.Duration

	// MetadataUpdateOnCSECopy says whether CopyObject may change metadata of a client-side encrypted object:
	// Refuse (default, EC 0005-00000421) or Allow.
	MetadataUpdateOnCSECopy string
	// CSEPartHeaders says whether UploadPart must repeat the envelope: Require (default) or Optional (the
	// Java and C++ SDKs leave it out). What is sent must be equal to Initiate in both.
	CSEPartHeaders string
	// CSEDataSize says whether Initiate must name data-size: Require (default) or Optional.
	CSEDataSize string
	// LargeCopy says whether CopyObject inside a bucket takes more than 5 GB: Allow (default) or Refuse.
	LargeCopy string
	// TagsOnCopy says whether CopyObject without a directive takes the tags along: Allow (default) or Refuse.
	TagsOnCopy string
	// TaggingCount says whether HEAD and GET name the number of tags: Allow (default) or Refuse.
	TaggingCount string
	// AppendInVersioned says whether AppendObject works in a versioned bucket: Allow (default) or Refuse.
	AppendInVersioned string
	// MetaValues says whether x-oss-meta values may hold bytes outside visible ASCII: Refuse (default) or Allow.
	MetaValues string
	// KMSPlaintext says whether Encrypt takes text that is not base64: Allow (default; the legacy Python SDK
	// sends a bare decimal) or Refuse.
	KMSPlaintext string

	// Now is the server's clock; time.Now if nil.
	Now func() time.Time
	// Logger receives failures of the store that no client can see; discarded if nil.
	Logger *slog.Logger
}

// withDefaults fills what is empty and refuses switches it does not know.
func (o Options) withDefaults() (Options, error) {
	text := func(p *string, def string) {
		if *p == "" {
			*p = def
		}
	}
	number := func(p *int64, def int64) {
		if *p <= 0 {
			*p = def
		}
	}
	text(&o.Listen, "127.0.0.1:0")
	text(&o.TLSListen, "127.0.0.1:0")
	text(&o.Region, "cn-hangzhou")
	number(&o.MinPartSize, DefaultMinPartSize)
	number(&o.MaxPartSize, DefaultMaxPartSize)
	number(&o.MaxPutSize, DefaultMaxPutSize)
	if o.MaxParts <= 0 {
		o.MaxParts = DefaultMaxParts
	}
	if o.MaxUserMeta <= 0 {
		o.MaxUserMeta = DefaultMaxUserMeta
	}
	if o.MaxSkew <= 0 {
		o.MaxSkew = DefaultMaxSkew
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	for _, sw := range []struct {
		name     string
		p        *string
		def, alt string
	}{
		{"MetadataUpdateOnCSECopy", &o.MetadataUpdateOnCSECopy, Refuse, Allow},
		{"CSEPartHeaders", &o.CSEPartHeaders, Require, Optional},
		{"CSEDataSize", &o.CSEDataSize, Require, Optional},
		{"LargeCopy", &o.LargeCopy, Allow, Refuse},
		{"TagsOnCopy", &o.TagsOnCopy, Allow, Refuse},
		{"TaggingCount", &o.TaggingCount, Allow, Refuse},
		{"AppendInVersioned", &o.AppendInVersioned, Allow, Refuse},
		{"MetaValues", &o.MetaValues, Refuse, Allow},
		{"KMSPlaintext", &o.KMSPlaintext, Allow, Refuse},
	} {
		text(sw.p, sw.def)
		if *sw.p != sw.def && *sw.p != sw.alt {
			return o, fmt.Errorf("emulator option %s: %q is neither %q nor %q", sw.name, *sw.p, sw.def, sw.alt)
		}
	}
	for _, name := range o.Buckets {
		if !validBucketName(name) {
			return o, fmt.Errorf("emulator bucket %q: not a valid bucket name", name)
		}
	}
	return o, nil
}
