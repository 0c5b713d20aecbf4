package fs

import (
	"os"
	"sync"
	"testing"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// TestPrefault: the server of go-fuse still has its buffers where prefault looks for them, the one that was in the pool before
// is not used any more, and every page of a new one is in memory.
func TestPrefault(t *testing.T) {
	const size = 1<<20 + 4096
	page := os.Getpagesize()
	s := &fuse.Server{}
	pool := readPool(s)
	if pool == nil {
		t.Fatal("go-fuse's server has changed: look at prefault")
	}
	memory, err := unix.Mmap(-1, 0, size+2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(memory) })
	fresh := memory[512 : 512+size] // begins and ends within a page
	var next any = []byte{}
	*pool = sync.Pool{New: func() any { return next }}
	pool.Put(pool.Get())
	next = fresh
	if !prefault(s) {
		t.Fatal("the buffers of go-fuse's server were not found")
	}
	buf, ok := pool.Get().([]byte)
	if !ok || len(buf) != size {
		t.Fatalf("got a buffer of %d bytes, want a new one of %d", len(buf), size)
	}
	there := make([]byte, (size+2*page)/page)
	if _, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&memory[0])), uintptr(size+2*page), uintptr(unsafe.Pointer(&there[0]))); errno != 0 {
		t.Fatal(errno)
	}
	for n, bits := range there[:(512+size+page-1)/page] {
		if bits&1 == 0 {
			t.Errorf("page %d is not in memory", n)
		}
	}
}
