package space

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math/rand"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/test/procenv"
)

// sizes are those of the test of a small cache, and in the long form what the promise says.
type sizes struct {
	cache, file, many int64 // MiB
	files             int
	rate              int64 // MiB/s that the bucket takes; 0: all
}

func chosen() sizes {
	if os.Getenv("OSSENCFS_SPACE_LONG") != "" {
		return sizes{cache: 200, file: 2048, many: 2048, files: 20_000, rate: 20}
	}
	return sizes{cache: 32, file: 96, many: 64, files: 500, rate: 0}
}

// maxMemory is what the daemon may take at its peak, in KiB.
const maxMemory = 300 << 10

// slack is by how much the cache may exceed its limit: one write of the kernel, and what the count does not see of blocks and folders.
const slack = 1 << 20

// watch looks at the folder of contents and at the cache's own account until stop is called, which returns the most that was seen.
func watch(t *testing.T, w *procenv.World) (stop func() (disk, own int64)) {
	var mu sync.Mutex
	var disk, own int64
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			d, o := blocks(filepath.Join(w.Cache, "body")), used(t, w)
			mu.Lock()
			disk, own = max(disk, d), max(own, o)
			mu.Unlock()
			select {
			case <-quit:
				return
			case <-tick.C:
			}
		}
	}()
	return func() (int64, int64) {
		close(quit)
		<-done
		return disk, own
	}
}

// blocks is what du says of the files in a folder.
func blocks(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil //nolint:nilerr // it was removed meanwhile
		}
		if info, err := e.Info(); err == nil {
			n += info.Sys().(*syscall.Stat_t).Blocks * 512 //nolint:forcetypeassert // on Linux it is
		}
		return nil
	})
	return n
}

// used is the cache's own account.
func used(t *testing.T, w *procenv.World) int64 {
	var all struct {
		Mounts []struct {
			Used int64 `json:"cache_used_bytes"`
		}
	}
	text, err := w.Try(t, "status", "--json", w.Dir)
	if err != nil || json.Unmarshal([]byte(text), &all) != nil || len(all.Mounts) != 1 {
		return 0
	}
	return all.Mounts[0].Used
}

// peak is the largest VmHWM of the daemon's processes, which are a group, in KiB.
func peak(t *testing.T, d *procenv.Daemon) (most int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		data, _ := os.ReadFile(path)
		_, rest, _ := strings.Cut(string(data), ") ")
		if fields := strings.Fields(rest); len(fields) < 3 || fields[2] != strconv.Itoa(d.Pid()) {
			continue
		}
		status, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "status"))
		for line := range strings.Lines(string(status)) {
			if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
				n, err := strconv.Atoi(strings.Fields(rest)[0])
				if err != nil {
					t.Fatal(err)
				}
				most = max(most, n)
			}
		}
	}
	if most == 0 {
		t.Fatal("no process of the daemon has a VmHWM line")
	}
	return most
}

// stream is n bytes that look random.
func stream(n int64) io.Reader { return io.LimitReader(rand.New(rand.NewSource(n)), n) }

// sum reads to the end.
func sum(t *testing.T, r io.Reader) uint32 {
	t.Helper()
	h := crc32.NewIEEE()
	if _, err := io.CopyBuffer(h, r, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	return h.Sum32()
}

// TestSmallCache writes a file and many files to a mount whose cache is a fraction of either, while the bucket is slow: no error,
// little memory, and a cache within its limit. OSSENCFS_SPACE_LONG=1 does it with 2 GiB each through 200 MiB at 20 MB/s.
func TestSmallCache(t *testing.T) {
	size := chosen()
	w := procenv.New(t)
	showLog(t, w)
	if size.rate > 0 {
		w.Server.SetUploadRate(size.rate * 1_000_000)
	}
	limit := size.cache << 20
	d := w.Mount(t, "--cache-size", fmt.Sprint(limit), "--settle", "0s")
	stop := watch(t, w)
	began := time.Now()
	writeLarge(t, filepath.Join(w.Dir, "large"), size.file<<20)
	t.Logf("one file of %d MiB: written in %v", size.file, time.Since(began).Round(time.Millisecond))
	w.Run(t, "sync", w.Dir)
	t.Logf("uploaded after %v", time.Since(began).Round(time.Millisecond))
	began = time.Now()
	each := size.many << 20 / int64(size.files)
	for n := range size.files {
		name := fmt.Sprintf("d%03d/f%05d", n%100, n)
		if n < 100 {
			if err := os.Mkdir(filepath.Join(w.Dir, filepath.Dir(name)), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		mustWrite(t, w, name, content(name, int(each)))
	}
	t.Logf("%d files of %d bytes: written in %v", size.files, each, time.Since(began).Round(time.Millisecond))
	w.Run(t, "sync", w.Dir)
	t.Logf("uploaded after %v", time.Since(began).Round(time.Millisecond))
	disk, own := stop()
	memory := peak(t, d)
	t.Logf("limit %d KiB: at most %d KiB on the disk, %d KiB by its own account; peak memory %d KiB", limit>>10, disk>>10, own>>10, memory)
	if own > limit+slack || disk > limit+2*slack {
		t.Errorf("the cache took %d bytes on the disk and %d by its own account, the limit is %d", disk, own, limit)
	}
	if memory > maxMemory {
		t.Errorf("peak memory %d KiB, at most %d", memory, maxMemory)
	}
	d.Unmount(t)
	t.Logf("unmounted after %v", time.Since(began).Round(time.Millisecond))
	w.Server.SetUploadRate(0)
	wantNothingAhead(t, w)

	w.Cache = filepath.Join(w.Base, "fresh")
	d = w.Mount(t, "--cache-size", fmt.Sprint(limit))
	f, err := os.Open(filepath.Join(w.Dir, "large"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, want := sum(t, f), sum(t, stream(size.file<<20)); got != want {
		t.Errorf("the large file reads as another one: %08x, want %08x", got, want)
	}
	f.Close()
	for n := 0; n < size.files; n += max(size.files/100, 1) {
		name := fmt.Sprintf("d%03d/f%05d", n%100, n)
		mustRead(t, w, name, content(name, int(each)))
	}
	d.Unmount(t)
}

// writeLarge writes a stream to a file as cp does.
func writeLarge(t *testing.T, name string, n int64) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{f}, struct{ io.Reader }{stream(n)}, make([]byte, 128<<10)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// wantNothingAhead checks that nothing is left in the bucket of what was stored ahead.
func wantNothingAhead(t *testing.T, w *procenv.World) {
	t.Helper()
	if left := ahead(w); len(left) > 0 {
		t.Errorf("left in the bucket: %v", left)
	}
}

// ahead lists what the bucket has of what was stored ahead, objects and uploads.
func ahead(w *procenv.World) (keys []string) {
	for _, o := range w.Server.Objects(procenv.Bucket) {
		if strings.HasPrefix(o.Key, ".ossencfs/up/") {
			keys = append(keys, o.Key)
		}
	}
	return append(keys, w.Server.Uploads(procenv.Bucket)...)
}
