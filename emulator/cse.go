package emulator

import (
	"net/http"
	"strconv"
	"strings"
)

// csePrefix begins the headers of SDK client-side encryption that OSS itself inspects.
const csePrefix = metaPrefix + "client-side-encryption-"

// cseField is one header of the envelope with the EC of its absence and of its change after Initiate.
type cseField struct {
	name              string
	missing, differs  string
	single, multipart bool // mandatory in PutObject; in Initiate and UploadPart
}

// cseFields are OSS's rules, EC 0005-00000401 to 0005-00000418.
var cseFields = []cseField{
	{"key", "0005-00000401", "0005-00000412", true, true},
	{"start", "0005-00000402", "0005-00000413", true, true},
	{"cek-alg", "0005-00000403", "0005-00000414", true, true},
	{"wrap-alg", "0005-00000404", "0005-00000415", true, true},
	{"magic-number-hmac", "0005-00000405", "0005-00000416", false, false}, // mandatory when wrap-alg is rsa
	{"data-size", "0005-00000406", "0005-00000417", false, true},
	{"part-size", "0005-00000407", "0005-00000418", false, true},
}

func errCSE(ec, name, format string, args ...any) *apiError {
	e := refuse(http.StatusBadRequest, "InvalidArgument", ec, format, args...)
	if name != "" {
		e = e.with("ArgumentName", csePrefix+name)
	}
	return e
}

// isCSE says whether any header belongs to an envelope.
func isCSE(headers map[string]string) bool {
	for name := range headers {
		if strings.HasPrefix(name, csePrefix) {
			return true
		}
	}
	return false
}

// checkCSE applies the presence rules to the headers of PutObject (multipart false) or of Initiate and
// UploadPart (multipart true). Headers without an envelope pass.
func (s *Server) checkCSE(headers map[string]string, multipart bool) error {
	if !isCSE(headers) {
		return nil
	}
	for _, f := range cseFields {
		needed := (multipart && f.multipart) || (!multipart && f.single)
		switch f.name {
		case "magic-number-hmac":
			needed = headers[csePrefix+"wrap-alg"] == "rsa"
		case "data-size":
			needed = needed && s.opt.CSEDataSize == Require
		}
		if needed && headers[csePrefix+f.name] == "" {
			return errCSE(f.missing, f.name, "The %s%s header is missing.", csePrefix, f.name)
		}
	}
	if !multipart {
		return nil
	}
	_, err := cseLayoutOf(headers, s.opt.MaxParts)
	return err
}

// cseLayout is what data-size and part-size promise about the parts.
type cseLayout struct {
	known    bool // both sizes were given
	dataSize int64
	partSize int64
	parts    int64 // expected number
	last     int64 // bytes of the last part
}

// cseLayoutOf reads the layout from the headers of Initiate.
func cseLayoutOf(headers map[string]string, maxParts int) (cseLayout, error) {
	var l cseLayout
	data, part := headers[csePrefix+"data-size"], headers[csePrefix+"part-size"]
	var err error
	if part != "" {
		if l.partSize, err = strconv.ParseInt(part, 10, 64); err != nil || l.partSize <= 0 {
			return l, errCSE("0005-00000409", "part-size", "The part size %q is not a positive integer.", part)
		}
	}
	if data != "" {
		if l.dataSize, err = strconv.ParseInt(data, 10, 64); err != nil || l.dataSize < 0 {
			return l, errCSE("0005-00000408", "data-size", "The data size %q is not an integer.", data)
		}
	}
	if data == "" || part == "" {
		return l, nil
	}
	l.known = true
	l.parts = max(1, (l.dataSize-1)/l.partSize+1)
	if l.dataSize == 0 {
		l.parts = 1
	}
	l.last = l.dataSize - (l.parts-1)*l.partSize
	if l.parts > int64(maxParts) {
		return l, errCSE("0005-00000410", "part-size", "A data size of %d in parts of %d makes %d parts; at most %d are allowed.", l.dataSize, l.partSize, l.parts, maxParts)
	}
	return l, nil
}

// checkCSEPart applies the rules for the headers and the size of one part of upload u.
func (s *Server) checkCSEPart(u *upload, headers map[string]string, number int, size int64) error {
	if !isCSE(u.Headers) {
		return nil
	}
	if isCSE(headers) || s.opt.CSEPartHeaders == Require {
		if !isCSE(headers) {
			return errCSE("0005-00000401", "key", "The %skey header is missing.", csePrefix)
		}
		if err := s.checkCSE(headers, true); err != nil {
			return err
		}
		for _, f := range cseFields {
			if headers[csePrefix+f.name] != u.Headers[csePrefix+f.name] {
				return errCSE(f.differs, f.name, "The %s%s header differs from that of InitiateMultipartUpload.", csePrefix, f.name)
			}
		}
	}
	l, err := cseLayoutOf(u.Headers, s.opt.MaxParts)
	if err != nil || !l.known {
		return err
	}
	switch {
	case int64(number) < l.parts && size != l.partSize:
		return errCSE("0005-00000419", "part-size", "Part %d has %d bytes; every part but the last must have %d.", number, size, l.partSize)
	case int64(number) == l.parts && size != l.last:
		return errCSE("0005-00000420", "data-size", "The last part, %d, has %d bytes; %d remain.", number, size, l.last)
	case int64(number) > l.parts && size != l.partSize && size != l.last:
		return errCSE("0005-00000419", "part-size", "Part %d has %d bytes; parts have %d, the last %d.", number, size, l.partSize, l.last)
	}
	return nil
}

// checkCSEComplete applies the rules for the list of parts of CompleteMultipartUpload.
func (s *Server) checkCSEComplete(u *upload, chosen []*part) error {
	if !isCSE(u.Headers) {
		return nil
	}
	l, err := cseLayoutOf(u.Headers, s.opt.MaxParts)
	if err != nil || l.partSize == 0 {
		return err
	}
	if l.known && int64(len(chosen)) > l.parts {
		return errCSE("0005-00000411", "data-size", "There are %d parts; %d were expected.", len(chosen), l.parts)
	}
	var total int64
	for i, p := range chosen {
		if i < len(chosen)-1 && p.Size != l.partSize {
			return errCSE("0005-00000419", "part-size", "Part %d has %d bytes; every part but the last must have %d.", p.Number, p.Size, l.partSize)
		}
		total += p.Size
	}
	if l.known && total != l.dataSize {
		return errCSE("0005-00000420", "data-size", "The parts add up to %d bytes; %d were announced.", total, l.dataSize)
	}
	return nil
}
