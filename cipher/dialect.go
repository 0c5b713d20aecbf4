package cipher

import (
	"errors"
	"fmt"
)

// Dialect says which envelope is written.
type Dialect string

const (
	// Both writes both header sets on one object: every SDK that reads either reads it. It is the default.
	Both Dialect = "both"
	// Current writes x-oss-meta-client-side-encryption-*: Python from 2.11 on, Go, Java, C++.
	Current Dialect = "current"
	// Legacy writes x-oss-meta-oss-crypto-*: Python 2.5 to 2.10, read by later Pythons too.
	Legacy Dialect = "legacy"
)

// ErrDialect: not the name of a dialect.
var ErrDialect = errors.New("dialect is none of both, current, legacy")

// ParseDialect reads a dialect's name; the empty one is Both.
func ParseDialect(s string) (Dialect, error) {
	switch d := Dialect(s); d {
	case "":
		return Both, nil
	case Both, Current, Legacy:
		return d, nil
	}
	return "", fmt.Errorf("%q: %w", s, ErrDialect)
}

// legacy and current tell which header sets are written.
func (d Dialect) legacy() bool  { return d == Both || d == Legacy || d == "" }
func (d Dialect) current() bool { return d == Both || d == Current || d == "" }

// Names of headers, in lower case as all headers in this package.
const (
	currentPrefix   = "x-oss-meta-client-side-encryption-"
	currentKey      = currentPrefix + "key"
	currentStart    = currentPrefix + "start"
	currentCEK      = currentPrefix + "cek-alg"
	currentWrap     = currentPrefix + "wrap-alg"
	currentMatDesc  = currentPrefix + "matdesc"
	currentDataSize = currentPrefix + "data-size"
	currentPartSize = currentPrefix + "part-size"
	currentLength   = currentPrefix + "unencrypted-content-length"
	currentMD5      = currentPrefix + "unencrypted-content-md5"

	legacyPrefix     = "x-oss-meta-oss-crypto-"
	legacyKey        = legacyPrefix + "key"
	legacyStart      = legacyPrefix + "start"
	legacyCEK        = "x-oss-meta-oss-cek-alg"
	legacyWrap       = "x-oss-meta-oss-wrap-alg"
	legacyMatDesc    = legacyPrefix + "matdesc"
	legacyMatDescOld = "x-oss-meta-oss-matdesc"
	legacyLength     = "x-oss-meta-unencrypted-content-length"
	legacyMD5        = "x-oss-meta-unencrypted-content-md5"
)

// Names of algorithms. GCM is what the legacy dialect says and not what it does: the cipher is CTR in both.
const (
	cekCTR       = "AES/CTR/NoPadding"
	cekGCM       = "AES/GCM/NoPadding"
	wrapRSA      = "rsa"
	wrapKMS      = "kms"
	wrapOAEP     = "RSA/NONE/OAEPWithSHA-1AndMGF1Padding"
	wrapPKCS1    = "RSA/NONE/PKCS1Padding"
	wrapAliCloud = "KMS/ALICLOUD"
)
