package emulator

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"net/http"
	"sort"
	"strconv"
	"strings"
)

func (c *call) initiateUpload() error {
	b, err := c.s.store.bucket(c.bucket)
	if err != nil {
		return err
	}
	w, err := c.wanted(b)
	if err != nil {
		return err
	}
	if err := c.s.checkCSE(w.headers, true); err != nil {
		return err
	}
	if c.forbidsOverwrite(b) && b.exists(c.key) {
		return errExists(ecExists)
	}
	e, err := c.encoder()
	if err != nil {
		return err
	}
	u, err := c.s.store.beginUpload(uploadMeta{
		Bucket: c.bucket, Key: c.key, Initiated: c.now(),
		Headers: w.headers, Tags: w.tags, ACL: w.acl, Class: w.class,
	})
	if err != nil {
		return err
	}
	x := newXML("InitiateMultipartUploadResult")
	e.name(x)
	x.text("Bucket", c.bucket)
	x.text("Key", e.encode(c.key))
	x.text("UploadId", u.ID)
	return c.xml(x.end())
}

// part returns the upload and the part number that a request names.
func (c *call) part() (*upload, int, error) {
	if _, err := c.s.store.bucket(c.bucket); err != nil {
		return nil, 0, err
	}
	n, err := strconv.Atoi(c.param("partNumber"))
	if err != nil || n < 1 || n > c.s.opt.MaxParts {
		return nil, 0, refuse(http.StatusBadRequest, "InvalidArgument", ecPartNumber, "Part number must be an integer between 1 and %d.", c.s.opt.MaxParts).
			with("ArgumentName", "partNumber").with("ArgumentValue", c.param("partNumber"))
	}
	u, err := c.s.store.upload(c.bucket, c.key, c.param("uploadId"))
	return u, n, err
}

func (c *call) uploadPart() error {
	u, n, err := c.part()
	if err != nil {
		return err
	}
	headers, err := c.s.storedHeaders(c.r.Header)
	if err != nil {
		return err
	}
	if c.r.ContentLength >= 0 { // a refusal before the body spares the client the transfer
		if err := c.s.checkCSEPart(u, headers, n, c.r.ContentLength); err != nil {
			return err
		}
	}
	got, err := c.receive(c.s.opt.MaxPartSize)
	if err != nil {
		return err
	}
	if err := c.s.checkCSEPart(u, headers, n, got.size); err != nil {
		got.drop()
		return err
	}
	p := &part{Number: n, Size: got.size, ETag: fmt.Sprintf("%X", got.md5), CRC: got.crc, Modified: c.now(), body: got.body}
	if err := c.s.store.putPart(u, p); err != nil {
		return err
	}
	c.set("ETag", `"`+p.ETag+`"`)
	c.set("Content-MD5", md5Text(got.md5))
	c.set("x-oss-hash-crc64ecma", strconv.FormatUint(p.CRC, 10))
	return c.done(http.StatusOK)
}

func (c *call) uploadPartCopy() error {
	u, n, err := c.part()
	if err != nil {
		return err
	}
	src, _, err := c.source()
	if err != nil {
		return err
	}
	defer src.release()
	if src.isCSE() {
		return refuse(http.StatusBadRequest, "OperationNotSupported", ecPartCopyOfCSE, "A client-side encrypted object cannot be the source of UploadPartCopy.")
	}
	off, size, _, err := parseRange(c.header("x-oss-copy-source-range"), src.Size, false)
	if err != nil {
		return err
	}
	if size > c.s.opt.MaxPartSize {
		return refuse(http.StatusBadRequest, "EntityTooLarge", ecTooLarge, "A part cannot exceed %d bytes.", c.s.opt.MaxPartSize)
	}
	if err := c.s.checkCSEPart(u, u.Headers, n, size); err != nil {
		return err
	}
	p := &part{Number: n, Size: size, Modified: c.now(), body: src.body.slice(off, size)}
	p.body.acquire()
	if err := p.sum(); err != nil {
		p.body.release()
		return err
	}
	if err := c.s.store.putPart(u, p); err != nil {
		return err
	}
	x := newXML("CopyPartResult")
	x.text("LastModified", isoTime(p.Modified))
	x.text("ETag", `"`+p.ETag+`"`)
	return c.xml(x.end())
}

// sum computes the checksums of a part that was not received but copied.
func (p *part) sum() error {
	h := md5.New()
	crc := &crcWriter{}
	if err := p.body.copyTo(&tee{h, crc}, 0, p.Size); err != nil {
		return err
	}
	p.ETag, p.CRC = strings.ToUpper(hex.EncodeToString(h.Sum(nil))), crc.sum
	return nil
}

// completeRequest is the body of CompleteMultipartUpload.
type completeRequest struct {
	XMLName xml.Name `xml:"CompleteMultipartUpload"`
	Parts   []struct {
		Number int    `xml:"PartNumber"`
		ETag   string `xml:"ETag"`
	} `xml:"Part"`
}

func (c *call) completeUpload() error {
	b, err := c.s.store.bucket(c.bucket)
	if err != nil {
		return err
	}
	if size, ok := c.r.Header[http.CanonicalHeaderKey(csePrefix+"data-size")]; ok {
		if _, err := strconv.ParseInt(size[0], 10, 64); err != nil {
			return errCSE("0005-00000408", "data-size", "The data size %q is not an integer.", size[0])
		}
	}
	e, err := c.encoder()
	if err != nil {
		return err
	}
	u, err := c.s.store.upload(c.bucket, c.key, c.param("uploadId"))
	if err != nil {
		return err
	}
	all := strings.EqualFold(c.header("x-oss-complete-all"), "yes")
	var in completeRequest
	if !all {
		if err := c.document(&in); err != nil {
			return err
		}
	}
	v, err := c.assemble(b, u, in, all)
	if err != nil {
		return err
	}
	c.set("x-oss-hash-crc64ecma", strconv.FormatUint(v.CRC, 10))
	c.set("ETag", `"`+v.ETag+`"`)
	c.setVersion(v)
	x := newXML("CompleteMultipartUploadResult")
	e.name(x)
	x.text("Location", "http://"+c.r.Host+"/"+percent(c.bucket+"/"+c.key, true))
	x.text("Bucket", c.bucket)
	x.text("Key", e.encode(c.key))
	x.text("ETag", `"`+v.ETag+`"`)
	return c.xml(x.end())
}

// assemble makes the object of an upload's parts: no byte moves, the object names the parts' blobs.
func (c *call) assemble(b *bucket, u *upload, in completeRequest, all bool) (*version, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.gone {
		return nil, errNoSuchUpload(u.ID)
	}
	var chosen []*part
	var err error
	if all {
		chosen, err = u.allPartsLocked(), nil
	} else {
		chosen, err = u.chosenLocked(in)
	}
	if err != nil {
		return nil, err
	}
	if err := c.s.checkCSEComplete(u, chosen); err != nil {
		return nil, err
	}
	for _, p := range chosen[:max(len(chosen)-1, 0)] {
		if p.Size < c.s.opt.MinPartSize {
			return nil, refuse(http.StatusBadRequest, "EntityTooSmall", ecPartTooSmall, "Your proposed upload smaller than the minimum allowed size.").
				with("PartNumber", strconv.Itoa(p.Number)).with("MinSizeAllowed", strconv.FormatInt(c.s.opt.MinPartSize, 10)).with("ProposedSize", strconv.FormatInt(p.Size, 10))
		}
	}
	v := c.newVersion(wanted{u.Headers, u.Tags, u.ACL, u.Class}, typeMultipart)
	h := md5.New()
	for _, p := range chosen {
		sum, err := hex.DecodeString(p.ETag)
		if err != nil {
			return nil, fmt.Errorf("part %d has etag %q: %w", p.Number, p.ETag, err)
		}
		h.Write(sum)
		v.CRC = crcCombine(v.CRC, p.CRC, p.Size)
		v.Size += p.Size
		v.body = append(v.body, p.body...)
	}
	v.ETag = fmt.Sprintf("%X-%d", h.Sum(nil), len(chosen))
	v.body.acquire()
	if err := c.commit(b, v, ecExistsAtComplete); err != nil {
		return nil, err
	}
	return v, c.s.store.endUploadLocked(u)
}

func (u *upload) allPartsLocked() []*part {
	var list []*part
	for _, p := range u.parts {
		list = append(list, p)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Number < list[j].Number })
	return list
}

// chosenLocked finds the parts a client lists, in its order, which must be ascending.
func (u *upload) chosenLocked(in completeRequest) ([]*part, error) {
	if len(in.Parts) == 0 {
		return nil, errMalformedXML()
	}
	var chosen []*part
	last := 0
	for _, want := range in.Parts {
		if want.Number <= last {
			return nil, refuse(http.StatusBadRequest, "InvalidPartOrder", ecPartOrder, "The list of parts was not in ascending order.").with("PartNumber", strconv.Itoa(want.Number))
		}
		last = want.Number
		p := u.parts[want.Number]
		if p == nil || !strings.EqualFold(strings.Trim(want.ETag, `"`), p.ETag) {
			return nil, refuse(http.StatusBadRequest, "InvalidPart", ecInvalidPart, "%s", msgInvalidPart).with("PartNumber", strconv.Itoa(want.Number))
		}
		chosen = append(chosen, p)
	}
	return chosen, nil
}

func (c *call) abortUpload() error {
	if _, err := c.s.store.bucket(c.bucket); err != nil {
		return err
	}
	u, err := c.s.store.upload(c.bucket, c.key, c.param("uploadId"))
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.gone {
		return errNoSuchUpload(u.ID)
	}
	if err := c.s.store.endUploadLocked(u); err != nil {
		return err
	}
	return c.done(http.StatusNoContent)
}
