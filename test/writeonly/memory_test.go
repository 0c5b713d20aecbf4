package writeonly

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// secrets are byte strings to look for, in all forms in which they may lie about, with their names.
type secrets struct {
	name  map[string]string // by pattern
	first [1 << 16]bool     // the first two bytes of the patterns
	byKey map[[8]byte][]string
}

func newSecrets() *secrets {
	return &secrets{name: map[string]string{}, byKey: map[[8]byte][]string{}}
}

// add adds a secret of at least 30 bytes: raw, backwards (as big numbers are kept), in hex and in base64.
func (s *secrets) add(name string, secret []byte) {
	backwards := make([]byte, len(secret))
	for i, b := range secret {
		backwards[len(secret)-1-i] = b
	}
	whole := len(secret) / 3 * 3 // what follows does not change the base64 of these
	for form, pattern := range map[string]string{
		"raw": string(secret), "backwards": string(backwards), "hex": hex.EncodeToString(secret), "capital hex": strings.ToUpper(hex.EncodeToString(secret)),
		"base64": base64.StdEncoding.EncodeToString(secret[:whole]), "base64url": base64.RawURLEncoding.EncodeToString(secret[:whole]),
	} {
		if _, known := s.name[pattern]; known {
			continue
		}
		s.name[pattern] = name + " (" + form + ")"
		s.first[int(pattern[0])<<8|int(pattern[1])] = true
		key := [8]byte([]byte(pattern[:8]))
		s.byKey[key] = append(s.byKey[key], pattern)
	}
}

// longest is the length of the longest pattern.
func (s *secrets) longest() (n int) {
	for p := range s.name {
		n = max(n, len(p))
	}
	return n
}

// in lists what is found in some bytes.
func (s *secrets) in(data []byte) (found []string) {
	for i := 0; i+8 <= len(data); i++ {
		if !s.first[int(data[i])<<8|int(data[i+1])] {
			continue
		}
		for _, p := range s.byKey[[8]byte(data[i:])] {
			if bytes.HasPrefix(data[i:], []byte(p)) {
				found = append(found, s.name[p])
			}
		}
	}
	return found
}

// inReader lists what is found in a stream of size bytes.
func (s *secrets) inReader(r io.ReaderAt, off, size int64) (found []string) {
	const step = 4 << 20
	overlap := int64(s.longest())
	buf := make([]byte, step+overlap)
	for at := int64(0); at < size; at += step {
		n, _ := r.ReadAt(buf[:min(step+overlap, size-at)], off+at) // pages that cannot be read hold nothing
		found = append(found, s.in(buf[:n])...)
	}
	return found
}

// inMemory looks through all memory that a process can write to. It has to be root's test: the process is closed to its own user.
func (s *secrets) inMemory(t *testing.T, pid int) (found []string) {
	t.Helper()
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	maps, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var from, to int64
		var mode string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &mode); err != nil || !strings.HasPrefix(mode, "rw") {
			continue
		}
		here := s.inReader(mem, from, to-from)
		if len(here) > 0 {
			t.Log(lines.Text(), here)
		}
		found = append(found, here...)
	}
	return found
}

// onDisk looks through all files below a folder.
func (s *secrets) onDisk(t *testing.T, dir string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		for _, name := range s.inReader(f, 0, info.Size()) {
			found = append(found, filepath.Base(path)+": "+name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
