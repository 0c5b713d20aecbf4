package cipher

import (
	"encoding/base64"
	"maps"
	"strconv"

	"github.com/ossencfs/ossencfs/keys"
)

// Description is what an envelope tells without any key, for people to read.
type Description struct {
	Sets              []SetDescription
	DataSize          int64 // of the content in bytes, from a multipart upload's headers; -1 when absent
	PartSize          int64 // likewise
	UnencryptedLength int64 // as the writer said; -1 when absent
	UnencryptedMD5    bool  // whether the headers give away the MD5 of the plaintext
	HeaderBytes       int   // names and values of all envelope headers
}

// SetDescription tells about the header set of one dialect.
type SetDescription struct {
	Dialect    Dialect // Legacy or Current
	CEKAlg     string  // as written; may be empty
	WrapAlg    string  // as written; may be empty
	Schemes    []string
	KeyBytes   int    // size of the wrapped key: for RSA that of the modulus, for KMS of the blob's text
	StartBytes int    // size of the wrapped start
	KMSForm    string // "A" (Python) or "B" (Go, Java) for KMS in the current dialect, as far as can be seen
	MatDesc    map[string]string
	Problem    string // why this set cannot be used, or what is odd about it
}

// Describe tells all that can be known without a key.
func (e *Envelope) Describe() Description {
	d := Description{
		DataSize: number(e.headers[currentDataSize]), PartSize: number(e.headers[currentPartSize]),
		UnencryptedLength: number(e.headers[currentLength]),
		UnencryptedMD5:    e.headers[currentMD5] != "" || e.headers[legacyMD5] != "",
		HeaderBytes:       HeadersSize(e.headers),
	}
	if d.UnencryptedLength < 0 {
		d.UnencryptedLength = number(e.headers[legacyLength])
	}
	for i := range e.sets {
		d.Sets = append(d.Sets, e.sets[i].describe())
	}
	return d
}

// describe tells about one set.
func (s *headerSet) describe() SetDescription {
	d := SetDescription{
		Dialect: s.dialect, CEKAlg: s.cekAlg, WrapAlg: s.wrapAlg, MatDesc: maps.Clone(s.matdesc),
		KeyBytes: base64Size(s.key), StartBytes: base64Size(s.start),
	}
	for _, scheme := range s.schemes {
		d.Schemes = append(d.Schemes, scheme.String())
	}
	if len(s.schemes) == 1 && s.schemes[0] == keys.KMSText {
		d.KeyBytes, d.StartBytes = len(s.key), len(s.start)
		if s.dialect == Current {
			d.KMSForm = "B"
			if isBase64Text(s.blobs[0]) && isBase64Text(s.blobs[1]) {
				d.KMSForm = "A"
				d.KeyBytes, d.StartBytes = len(s.blobs[0]), len(s.blobs[1])
			}
		}
	}
	if _, err := ParseMatDesc(s.matText); err != nil {
		d.Problem = err.Error()
	}
	if s.err != nil {
		d.Problem = s.err.Error()
	}
	return d
}

// base64Size is the size of what a text encodes, 0 when it encodes nothing.
func base64Size(text string) int {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return 0
	}
	return len(b)
}

// number reads a header's number; -1 when there is none.
func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}
