package trust

import (
	"bytes"
	"context"
	"io"
	"os"
	"strconv"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// endless yields the same pattern for ever, and counts what was read.
type endless struct {
	at, size, read int64
}

// Read implements io.Reader.
func (e *endless) Read(p []byte) (int, error) {
	if e.at >= e.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), e.size-e.at))
	for i := range p[:n] {
		p[i] = byte((e.at + int64(i)) * 2654435761 >> 13)
	}
	e.at, e.read = e.at+int64(n), e.read+int64(n)
	return n, nil
}

// TestColdReadOfLargeFile: sealing a large file needs one pass over it, and 4 KiB at its end cost at most 2 MiB, with and without its leaf
// tags, which are an object of their own above 128 MiB. OSSENCFS_LARGE_MIB sets its size: 6144 in the long form, 300 otherwise.
func TestColdReadOfLargeFile(t *testing.T) {
	size := int64(300)
	if text := os.Getenv("OSSENCFS_LARGE_MIB"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		must(t, err)
		size = n
	}
	size = size<<20 - 5
	master, err := rsaKey()
	must(t, err)
	s, err := emulator.Start(emulator.Options{Buckets: []string{testenv.Bucket}, Dir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	w := &world{master: master, env: &testenv.Env{Server: s}}
	writer := w.bucket(t, object.Options{})
	must(t, writer.OpenVolume(context.Background()))
	src := &endless{size: size}
	r := object.FileRequest{Key: "large", Source: src, Size: size, Attr: object.Attr{Mode: object.ModeRegular | 0o600}, SpoolDir: t.TempDir()}
	info, err := writer.PutFile(context.Background(), r)
	must(t, err)
	if src.read != size {
		t.Errorf("%d bytes were read to seal %d", src.read, size)
	}
	want := make([]byte, 4096)
	_, err = io.ReadFull(&endless{at: size - 4096, size: size}, want)
	must(t, err)
	throughMount(t, w, want, size)
	for _, lost := range []bool{false, true} {
		if lost {
			must(t, s.RemoveObject(testenv.Bucket, ".ossencfs/leaf/"+info.Generation.String()))
		}
		reader := w.bucket(t, object.Options{})
		must(t, reader.OpenVolume(context.Background()))
		before := s.Bytes()
		got := readRange(t, reader, "large", size-4096, 4096)
		if !bytes.Equal(got, want) {
			t.Errorf("leaf tags lost %v: other bytes", lost)
		}
		cost := s.Bytes().Out - before.Out
		t.Logf("leaf tags lost %v: 4 KiB at the end of %d MiB cost %d bytes", lost, size>>20, cost)
		if !lost && cost > 2<<20 {
			t.Errorf("a cold read of 4 KiB fetched %d bytes, more than 2 MiB", cost)
		}
	}
}

// throughMount reads the last bytes through a mount.
func throughMount(t *testing.T, w *world, want []byte, size int64) {
	t.Helper()
	e, _ := w.mount(t, object.Options{})
	f, err := os.Open(e.Path("large"))
	must(t, err)
	defer f.Close()
	before, got := w.env.Server.Bytes(), make([]byte, len(want))
	_, err = f.ReadAt(got, size-int64(len(want)))
	must(t, err)
	cost := w.env.Server.Bytes().Out - before.Out
	t.Logf("through a mount 4 KiB at the end of %d MiB cost %d bytes", size>>20, cost)
	if !bytes.Equal(got, want) || cost > 2<<20 {
		t.Errorf("a cold read of 4 KiB through a mount fetched %d bytes, more than 2 MiB, or others", cost)
	}
}

// readRange reads plaintext of an object.
func readRange(t testing.TB, b *object.Bucket, key string, off, n int64) []byte {
	t.Helper()
	d, err := b.Get(context.Background(), object.GetRequest{Key: key, Off: off, Len: n})
	must(t, err)
	defer d.Body.Close()
	p, err := io.ReadAll(d.Body)
	must(t, err)
	d.Content.XORKeyStreamAt(p, p, off)
	return p
}
