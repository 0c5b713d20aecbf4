package keys

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ErrElsewhere: the record was made for another bucket or directory than the one in which it is.
var ErrElsewhere = errors.New("the volume record belongs to another bucket or directory")

// Limits of a place in bytes.
const (
	maxBucketName = 63
	maxRegion     = 64
	maxRoot       = 1023 // of a key in OSS
)

// Place is the bucket and directory whose volume a record is of. Slots are bound to it, so that the record of one bucket is none in
// another one of the same owner. The zero value is that of records of format 1, which belong to no place in particular.
type Place struct {
	Bucket string // name of the bucket
	Region string // as "cn-hangzhou"; empty where it was not known
	Root   string // prefix of the records' directory in the bucket: "" or ending in "/"
}

// String is the place as commands name it: oss://BUCKET/ROOT.
func (p Place) String() string {
	return strings.TrimSuffix("oss://"+p.Bucket+"/"+p.Root, "/")
}

// IsZero is true for no place in particular.
func (p Place) IsZero() bool { return p == Place{} }

// Is reports whether two places are one. The region counts where both have one: the same bucket can be reached by an endpoint that does
// not tell it.
func (p Place) Is(other Place) bool {
	return p.Bucket == other.Bucket && p.Root == other.Root && (p.Region == other.Region || p.Region == "" || other.Region == "")
}

// check tells what no place can be.
func (p Place) check() error {
	switch {
	case p.IsZero():
		return nil
	case p.Bucket == "" || !isLabel(p.Bucket, maxBucketName):
		return fmt.Errorf("bucket %.80q of a volume", p.Bucket)
	case p.Region != "" && !isLabel(p.Region, maxRegion):
		return fmt.Errorf("region %.80q of a volume", p.Region)
	case len(p.Root) > maxRoot || !utf8.ValidString(p.Root) || p.Root != "" && !strings.HasSuffix(p.Root, "/"):
		return fmt.Errorf("directory %.80q of a volume", p.Root)
	}
	return nil
}

// encode is lp(bucket) lp(region) lp(root).
func (p Place) encode() []byte {
	var b []byte
	for _, part := range []string{p.Bucket, p.Region, p.Root} {
		b = append(binary.AppendUvarint(b, uint64(len(part))), part...)
	}
	return b
}
