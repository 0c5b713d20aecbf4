package fs

import (
	"os"
	"reflect"
	"sync"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// prefault has the buffers of requests brought into memory when they are made. A SIGKILL that comes while the kernel copies a request
// to us loses nothing if the pages are there; a page that is not there is not brought in for a dying process any more, and the
// kernel then answers the request's caller with EIO instead of keeping it for the next process. Memory fresh from the system, as
// all is in a young process, is not there.
//
// It must be called before the server answers. The buffer that the first request was read into is in the pool by then, and goes.
//
// go-fuse has no option for it. Where its server looks otherwise than expected nothing is done, which costs such a caller his luck
// and nobody else anything; TestPrefault notices.
func prefault(s *fuse.Server) bool {
	pool := readPool(s)
	if pool == nil {
		return false
	}
	fresh := pool.New
	*pool = sync.Pool{New: func() any {
		made := fresh()
		if buf, ok := made.([]byte); ok {
			populate(buf)
		}
		return made
	}}
	return true
}

// readPool is where a server takes its buffers from, nil when it cannot be found.
func readPool(s *fuse.Server) *sync.Pool {
	field := reflect.ValueOf(s).Elem().FieldByName("readPool")
	if !field.IsValid() || field.Type() != reflect.TypeFor[sync.Pool]() {
		return nil
	}
	return (*sync.Pool)(unsafe.Pointer(field.UnsafeAddr())) //nolint:gosec // its type was looked at
}

// populate brings every page of a new buffer into memory, writable.
func populate(buf []byte) {
	page := os.Getpagesize()
	before := int(uintptr(unsafe.Pointer(unsafe.SliceData(buf))) & uintptr(page-1)) //nolint:gosec // only the place within a page
	start := (page - before) % page
	if whole := (len(buf) - start) &^ (page - 1); whole > 0 && unix.Madvise(buf[start:start+whole], unix.MADV_POPULATE_WRITE) == nil {
		buf[0], buf[len(buf)-1] = 0, 0
		return
	}
	for at := 0; at < len(buf); at += page { // before Linux 5.14
		buf[at] = 0
	}
	if len(buf) > 0 {
		buf[len(buf)-1] = 0
	}
}
