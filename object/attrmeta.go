package object

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Names of headers. The attributes are those of ossfs 1 and s3fs; what is ours begins with "ossencfs-".
const (
	metaPrefix = "x-oss-meta-"
	metaMode   = metaPrefix + "mode"
	metaUID    = metaPrefix + "uid"
	metaGID    = metaPrefix + "gid"
	metaMtime  = metaPrefix + "mtime"
	metaRdev   = metaPrefix + "rdev"
	metaXattr  = metaPrefix + "xattr" // plain extended attributes of ossfs and s3fs: read, never written

	metaIDs         = metaPrefix + "ossencfs-id"
	metaSealedXattr = metaPrefix + "ossencfs-xattr"
	// x-oss-meta-ossencfs-box is cipher.BoxHeader.
)

// putAttr adds the headers of a's plain attributes to h.
func putAttr(h map[string]string, a Attr) {
	h[metaMode] = strconv.FormatUint(uint64(a.Mode), 10)
	h[metaUID] = strconv.FormatUint(uint64(a.UID), 10)
	h[metaGID] = strconv.FormatUint(uint64(a.GID), 10)
	h[metaMtime] = formatTime(a.Mtime)
	if a.Rdev != 0 {
		h[metaRdev] = strconv.FormatUint(uint64(a.Rdev), 10)
	}
}

// readAttr changes a to what the headers in h say; a header that cannot be understood says nothing. The type of the
// result always fits the key: a directory's key makes a directory, and no other key does. It reports whether the
// headers had a mode.
func readAttr(h map[string]string, key string, a *Attr) (hasMode bool) {
	if s, ok := h[metaMode]; ok {
		if mode, err := parseMode(s); err == nil {
			a.Mode, hasMode = modeFor(key, mode), true
		}
	}
	for _, f := range []struct {
		name string
		to   *uint32
	}{{metaUID, &a.UID}, {metaGID, &a.GID}, {metaRdev, &a.Rdev}} {
		if v, err := strconv.ParseUint(h[f.name], 10, 32); err == nil {
			*f.to = uint32(v)
		}
	}
	if s, ok := h[metaMtime]; ok {
		if t, err := parseTime(s); err == nil {
			a.Mtime = t
		}
	}
	return hasMode
}

// modeFor makes the type of mode fit the key.
func modeFor(key string, mode uint32) uint32 {
	switch kind := mode & ModeType; {
	case isDirKey(key):
		return ModeDir | mode&ModePerm
	case kind == 0 || kind == ModeDir:
		return ModeRegular | mode&ModePerm
	}
	return mode
}

// parseMode reads a mode: decimal st_mode as ossfs and s3fs write it, octal as rclone does. No decimal st_mode of a
// file, directory or symlink is also an octal one, and the other way round, but octal text may say so with a
// leading 0 as well.
func parseMode(s string) (uint32, error) {
	bad := fmt.Errorf("mode %.20q is neither decimal nor octal st_mode", s)
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, bad
	}
	if s[0] != '0' || len(s) == 1 {
		if v, err := strconv.ParseUint(s, 10, 32); err == nil && validMode(uint32(v)) {
			return uint32(v), nil
		}
	}
	if v, err := strconv.ParseUint(s, 8, 32); err == nil && validMode(uint32(v)) {
		return uint32(v), nil
	}
	return 0, bad
}

// validMode reports whether mode has a type that exists, or none, and no bits beside type and permissions.
func validMode(mode uint32) bool {
	switch mode &^ ModePerm {
	case 0, ModeSocket, ModeSymlink, ModeRegular, ModeBlock, ModeDir, ModeChar, ModeFIFO:
		return true
	}
	return false
}

const second = 1_000_000_000 // nanoseconds

// formatTime is seconds "." nanoseconds, nine digits, as struct timespec has them: before 1970 the seconds are rounded
// down and the nanoseconds count up from there.
func formatTime(ns int64) string {
	sec, frac := ns/second, ns%second
	if frac < 0 {
		sec, frac = sec-1, frac+second
	}
	return fmt.Sprintf("%d.%09d", sec, frac)
}

var errTime = errors.New("time is not SECONDS[.FRACTION] within 1677 to 2262")

// parseTime reads what formatTime writes, whole seconds (older ossfs and s3fs) and the decimal fraction of rclone,
// whose sign covers the fraction too. The two differ before 1970 only; nine digits mean a timespec.
func parseTime(s string) (int64, error) {
	whole, frac, dotted := strings.Cut(s, ".")
	digits := strings.TrimPrefix(whole, "-")
	negative := len(digits) < len(whole)
	if digits == "" || strings.Trim(digits, "0123456789") != "" || dotted && frac == "" || strings.Trim(frac, "0123456789") != "" {
		return 0, errTime
	}
	sec, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0, errTime
	}
	ns, err := strconv.ParseInt((frac + "000000000")[:9], 10, 64)
	if err != nil {
		return 0, errTime
	}
	if negative {
		sec = -sec
		switch {
		case len(frac) != 9:
			ns = -ns
		case ns > 0: // a timespec: make both parts negative
			sec, ns = sec+1, ns-second
		}
	}
	if sec > math.MaxInt64/second || sec < math.MinInt64/second {
		return 0, errTime
	}
	t := sec * second
	if ns > 0 && t > math.MaxInt64-ns || ns < 0 && t < math.MinInt64-ns {
		return 0, errTime
	}
	return t + ns, nil
}
