package emulator

import (
	"fmt"
	"net/http"
)

// apiError is a refusal as OSS words it.
type apiError struct {
	status int
	code   string
	ec     string
	msg    string
	header map[string]string // extra response headers
	fields map[string]string // extra elements of the XML body
}

func (e *apiError) Error() string {
	return fmt.Sprintf("%d %s (EC %s): %s", e.status, e.code, e.ec, e.msg)
}

func refuse(status int, code, ec, format string, args ...any) *apiError {
	return &apiError{status: status, code: code, ec: ec, msg: fmt.Sprintf(format, args...)}
}

// with adds an element to the XML body.
func (e *apiError) with(name, value string) *apiError {
	if e.fields == nil {
		e.fields = map[string]string{}
	}
	e.fields[name] = value
	return e
}

// withHeader adds a response header.
func (e *apiError) withHeader(name, value string) *apiError {
	if e.header == nil {
		e.header = map[string]string{}
	}
	e.header[name] = value
	return e
}

// ECs that the vendor documents; those beginning with 9999 are our own (see the package comment).
const (
	ecSignature          = "0002-00000040"
	ecNoAccessKey        = "0002-00000902"
	ecNoSTSAccessKey     = "0002-00000002"
	ecBadToken           = "0002-00000006"
	ecTokenExpired       = "0002-00000007"
	ecRegion             = "0002-00000226"
	ecURLNotValid        = "0002-00000235"
	ecSkew               = "0002-00000504"
	ecBadDate            = "0002-00000505"
	ecAccessDenied       = "0003-00000001"
	ecNoSuchBucket       = "0015-00000101"
	ecMetaSize           = "0011-00000002"
	ecMetaName           = "0011-00000004"
	ecMetaValue          = "0011-00000005"
	ecNoPosition         = "0016-00000501"
	ecNoSuchKey          = "0026-00000001"
	ecExists             = "0026-00000002"
	ecExistsAtComplete   = "0042-00000214"
	ecPartCopyOfCSE      = "0042-00000309"
	ecInternal           = "9999-00000001"
	ecNotImplemented     = "9999-00000002"
	ecMethod             = "9999-00000003"
	ecBadAuthorization   = "9999-00000101"
	ecURLExpired         = "9999-00000102"
	ecBucketName         = "9999-00000201"
	ecBucketNotEmpty     = "9999-00000202"
	ecBucketConfig       = "9999-00000203"
	ecObjectName         = "9999-00000301"
	ecDigest             = "9999-00000302"
	ecTooLarge           = "9999-00000303"
	ecBodyShort          = "9999-00000304"
	ecPrecondition       = "9999-00000305"
	ecRange              = "9999-00000306"
	ecTags               = "9999-00000307"
	ecNoSuchVersion      = "9999-00000308"
	ecCopySource         = "9999-00000309"
	ecNotAppendable      = "9999-00000310"
	ecPosition           = "9999-00000311"
	ecSymlinkTarget      = "9999-00000312"
	ecNotSymlink         = "9999-00000313"
	ecACL                = "9999-00000314"
	ecStorageClass       = "9999-00000315"
	ecFrozen             = "9999-00000316"
	ecNotArchived        = "9999-00000317"
	ecRestoring          = "9999-00000318"
	ecArgument           = "9999-00000401"
	ecXML                = "9999-00000402"
	ecNoSuchUpload       = "9999-00000501"
	ecInvalidPart        = "9999-00000502"
	ecPartOrder          = "9999-00000503"
	ecPartTooSmall       = "9999-00000504"
	ecPartNumber         = "9999-00000505"
	ecInjected           = "9999-00000901"
	msgSignature         = "The request signature we calculated does not match the signature you provided. Check your key and signing method."
	msgNoSuchBucket      = "The specified bucket does not exist."
	msgNoSuchKey         = "The specified key does not exist."
	msgNoSuchUpload      = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."
	msgInvalidPart       = "One or more of the specified parts could not be found or the specified entity tag might not have matched the part's entity tag."
	msgForbidOverwrite   = "The object you specified already exists and can not be overwritten."
	msgPreconditionFails = "At least one of the pre-conditions you specified did not hold."
)

func errInternal(err error) *apiError {
	return refuse(http.StatusInternalServerError, "InternalError", ecInternal, "%v", err)
}

func errArgument(name, value, why string) *apiError {
	return refuse(http.StatusBadRequest, "InvalidArgument", ecArgument, "%s", why).
		with("ArgumentName", name).with("ArgumentValue", value)
}

func errNoSuchBucket(bucket string) *apiError {
	return refuse(http.StatusNotFound, "NoSuchBucket", ecNoSuchBucket, msgNoSuchBucket).with("BucketName", bucket)
}

func errNoSuchKey(key string) *apiError {
	return refuse(http.StatusNotFound, "NoSuchKey", ecNoSuchKey, msgNoSuchKey).with("Key", key)
}

func errNoSuchUpload(id string) *apiError {
	return refuse(http.StatusNotFound, "NoSuchUpload", ecNoSuchUpload, msgNoSuchUpload).with("UploadId", id)
}

func errExists(ec string) *apiError {
	return refuse(http.StatusConflict, "FileAlreadyExists", ec, msgForbidOverwrite)
}

func errPrecondition(which string) *apiError {
	return refuse(http.StatusPreconditionFailed, "PreconditionFailed", ecPrecondition, msgPreconditionFails).
		with("Condition", which)
}

func errNotModified() *apiError {
	return refuse(http.StatusNotModified, "NotModified", ecPrecondition, "Not Modified")
}

func errMalformedXML() *apiError {
	return refuse(http.StatusBadRequest, "MalformedXML", ecXML, "The XML you provided was not well-formed or did not validate against our published schema.")
}
