package e2e

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	gofs "github.com/ossencfs/ossencfs/fs"

	"github.com/ossencfs/ossencfs/test/testenv"
)

// TestBlocks: a file takes as many blocks as on a local disk, whatever made its holes, when it is closed, uploaded, and mounted again. Only a file of
// nothing but holes has one, so that nobody takes it for empty; what is written over after a file was sealed counts as data where it is not certain; and
// while it is open for writing all of it does.
func TestBlocks(t *testing.T) {
	type step func(f *os.File) error
	write := func(off int64, n int) step {
		return func(f *os.File) error { _, err := f.WriteAt([]byte(strings.Repeat("x", n)), off); return err }
	}
	size := func(n int64) step { return func(f *os.File) error { return f.Truncate(n) } }
	punch := func(off, n int64) step {
		return func(f *os.File) error {
			return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
		}
	}
	env := testenv.New(t, testenv.Options{})
	local := t.TempDir()
	for n, tt := range []struct {
		name         string
		first, again []step // before and after a close
	}{
		{"empty", nil, nil},
		{"one byte", []step{write(0, 1)}, nil},
		{"dense", []step{write(0, 300_000)}, nil},
		{"hole in front", []step{write(10<<20, 5000)}, nil},
		{"holes between", []step{write(0, 8192), write(64<<10, 4096), write(1<<20, 1), write(3<<20+4095, 2)}, nil},
		{"grown", []step{write(0, 20_000), size(9 << 20)}, nil},
		{"grown, then filled", []step{size(9 << 20), write(4<<20, 100_000)}, nil},
		{"shrunk within a hole", []step{write(0, 20_000), size(9 << 20), size(5 << 20)}, nil},
		{"shrunk within data", []step{write(0, 3<<20), size(1<<20 + 5)}, nil},
		{"punched", []step{write(0, 3<<20), punch(1<<20, 1<<20)}, nil},
		{"punched off the blocks", []step{write(0, 100_000), punch(5000, 30_000)}, nil},
		{"punched at the end", []step{write(0, 3<<20), punch(2<<20, 2<<20)}, nil},
		{"punched, then filled", []step{write(0, 3<<20), punch(1<<20, 1<<20), write(1<<20+100_000, 50_000)}, nil},
		{"grown after a close", []step{write(0, 20_000)}, []step{size(5 << 20)}},
		{"written behind a hole after a close", []step{write(1<<20, 20_000)}, []step{write(4<<20, 4096)}},
		{"filled after a close", []step{write(4<<20, 100_000)}, []step{write(1<<20, 4<<10)}},
		{"emptied after a close", []step{write(4<<20, 100_000)}, []step{size(0), write(0, 10)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name := fmt.Sprint("f", n)
			for _, steps := range [][]step{tt.first, tt.again} {
				here, there := openBoth(t, env.Path(name), filepath.Join(local, name))
				for _, do := range steps {
					must(t, do(here))
					must(t, do(there))
				}
				must(t, there.Sync())
				want := blocks(t, there.Name())
				if got, all := blocks(t, env.Path(name)), (sizeOf(t, env.Path(name))+4095)/4096*8; got != all {
					t.Errorf("open for writing it has %d blocks, want %d", got, all)
				}
				must(t, here.Close())
				sameBlocks(t, "closed", env.Path(name), want)
				must(t, there.Close())
			}
			want := blocks(t, filepath.Join(local, name))
			env.Sync()
			sameBlocks(t, "uploaded", env.Path(name), want)
			env.Remount()
			sameBlocks(t, "mounted again", env.Path(name), want)
		})
	}
}

func openBoth(t *testing.T, a, b string) (x, y *os.File) {
	t.Helper()
	x, err := os.OpenFile(a, os.O_RDWR|os.O_CREATE, 0o644)
	must(t, err)
	y, err = os.OpenFile(b, os.O_RDWR|os.O_CREATE, 0o644)
	must(t, err)
	return x, y
}

func sizeOf(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	return info.Size()
}

func blocks(t *testing.T, path string) int64 {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Stat(path, &st))
	return st.Blocks
}

// sameBlocks waits until a file has as many blocks as on a local disk, since the kernel tells of a close after it has returned. Blocks at the edges of what was
// overwritten may be known to be data that are none.
func sameBlocks(t *testing.T, when, path string, want int64) {
	t.Helper()
	testenv.Eventually(t, fmt.Sprintf("%d blocks when it is %s", want, when), func() bool {
		got := blocks(t, path)
		if got < want {
			t.Fatalf("%s: %d blocks, on a local disk %d", when, got, want)
		}
		return got <= want+16
	})
}

// TestSparseTools: du tells the room of a file, and a copy of it that is to be sparse is.
func TestSparseTools(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	must(t, exec.Command("truncate", "-s", "50M", env.Path("sparse")).Run())
	f, err := os.OpenFile(env.Path("sparse"), os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt([]byte(strings.Repeat("x", 1<<20)), 20<<20)
	must(t, err)
	must(t, f.Close())
	testenv.Eventually(t, "du to tell the room", func() bool {
		out, err := exec.Command("du", "-k", env.Path("sparse")).Output()
		must(t, err)
		return strings.Fields(string(out))[0] == "1024"
	})
	for _, how := range []string{"--sparse=auto", "--sparse=always"} {
		must(t, exec.Command("cp", how, env.Path("sparse"), env.Path("copy")).Run())
		if how == "--sparse=always" {
			sameBlocks(t, "a sparse copy", env.Path("copy"), 2048)
		}
		must(t, exec.Command("cmp", env.Path("sparse"), env.Path("copy")).Run())
	}
	must(t, exec.Command("sh", "-c", fmt.Sprintf("cd %s && tar -S -cf archive sparse && mkdir out && tar -C out -xf archive && cmp sparse out/sparse", env.Dir)).Run())
	env.DropCache()
	must(t, exec.Command("cmp", env.Path("sparse"), env.Path("out/sparse")).Run())
}

// TestMappedHoles: what a program has written to a mapping of a file with holes, and the kernel has not sent, is in a copy of the file, and so is with
// --writeback what was written to it: the tool that copies must not take it for a hole.
func TestMappedHoles(t *testing.T) {
	for name, writeback := range map[string]bool{"writeback": true, "mapping": false} {
		t.Run(name, func(t *testing.T) {
			env := testenv.New(t, testenv.Options{Mount: gofs.Options{Writeback: writeback}})
			must(t, exec.Command("truncate", "-s", "8M", env.Path("f")).Run())
			blocks(t, env.Path("f")) // the kernel remembers them
			f, err := os.OpenFile(env.Path("f"), os.O_RDWR, 0)
			must(t, err)
			defer f.Close()
			if writeback {
				_, err = f.WriteAt([]byte("written"), 5<<20)
				must(t, err)
			} else {
				defer mapElsewhere(t, f)()
			}
			must(t, exec.Command("cp", env.Path("f"), env.Path("copy")).Run())
			data, err := os.ReadFile(env.Path("copy"))
			if must(t, err); string(data[5<<20:5<<20+7]) != "written" {
				t.Error("the copy lacks what was written")
			}
		})
	}
}

// mapsForAnother is set in the process that keeps a mapping of a file, its descriptor 3, for TestMappedHoles: whose own process serves a mount must not wait
// for it in a mapping.
const mapsForAnother = "OSSENCFS_TEST_MAPS"

// mapElsewhere has another process write to a mapping of a file, which it keeps until the function is called that is returned.
func mapElsewhere(t *testing.T, f *os.File) (end func()) {
	t.Helper()
	other := exec.Command(os.Args[0], "-test.run", "^TestMapsForAnother$") //nolint:gosec // this program
	other.Env = append(os.Environ(), mapsForAnother+"=1")
	other.ExtraFiles = []*os.File{f}
	goOn, err := other.StdinPipe()
	must(t, err)
	said, err := other.StdoutPipe()
	must(t, err)
	must(t, other.Start())
	_, err = io.ReadFull(said, make([]byte, len("mapped\n")))
	must(t, err)
	return func() {
		must(t, goOn.Close())
		_, err := io.Copy(io.Discard, said)
		must(t, err)
		must(t, other.Wait())
	}
}

func TestMapsForAnother(t *testing.T) {
	if os.Getenv(mapsForAnother) == "" {
		t.Skip("is run by TestMappedHoles")
	}
	m, err := unix.Mmap(3, 0, 8<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(t, err)
	copy(m[5<<20:], "written")
	_, _ = os.Stdout.WriteString("mapped\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
	must(t, unix.Munmap(m))
}
