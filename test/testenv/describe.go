package testenv

import (
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Describe is the line that Tree has for one file.
func Describe(path string) (string, error) { return describe(path) }

// describe tells what a program can notice of one file. Directory sizes, access and change times are left out.
func describe(path string) (string, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return "", fmt.Errorf("lstat %s: %w", path, err)
	}
	line := fmt.Sprintf("%o %d:%d mtime %d.%09d", st.Mode, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		sum, err := sumOf(path)
		if err != nil {
			return "", err
		}
		line += fmt.Sprintf(" size %d %s", st.Size, sum)
	case unix.S_IFLNK:
		target, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s -> %s", line, target), nil
	case unix.S_IFCHR, unix.S_IFBLK:
		line += fmt.Sprintf(" dev %d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
	}
	attrs, err := xattrsOf(path)
	return line + attrs, err
}

func sumOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8]), nil
}

// xattrsOf shows the user.* attributes.
func xattrsOf(path string) (string, error) {
	buf := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, buf)
	if err != nil {
		if err == unix.ENOTSUP {
			return "", nil
		}
		return "", fmt.Errorf("list attributes of %s: %w", path, err)
	}
	names := strings.FieldsFunc(string(buf[:n]), func(r rune) bool { return r == 0 })
	slices.Sort(names)
	var out strings.Builder
	for _, name := range names {
		if !strings.HasPrefix(name, "user.") {
			continue
		}
		n, err := unix.Lgetxattr(path, name, buf)
		if err != nil {
			return "", fmt.Errorf("read attribute %s of %s: %w", name, path, err)
		}
		fmt.Fprintf(&out, " %s=%q", name, buf[:n])
	}
	return out.String(), nil
}

// SameTree fails the test with the first differences between two descriptions.
func SameTree(t testing.TB, got, want map[string]string) {
	t.Helper()
	const most = 10
	shown := 0
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if got[path] != want[path] && shown < most {
			t.Errorf("%s:\n got  %s\n want %s", path, got[path], want[path])
			shown++
		}
	}
	for _, path := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[path]; !ok && shown < most {
			t.Errorf("%s: should not be there: %s", path, got[path])
			shown++
		}
	}
}
