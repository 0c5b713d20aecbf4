package fs

import (
	"sync"

	"github.com/ossencfs/ossencfs/cache"
)

// outdated has the inodes of which others changed mode or owner since the kernel was shown them. Of what it has been told to forget the
// kernel still knows the old owner, and by that one decides who may chmod a file, and remove it from a sticky directory, without asking.
type outdated struct {
	mu    sync.Mutex // guards the fields below
	clock uint64     // counts the changes
	since map[cache.Ino]uint64
}

// note is called once the kernel has been told to forget the attributes of an inode.
func (o *outdated) note(ino cache.Ino) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since == nil {
		o.since = make(map[cache.Ino]uint64)
	}
	o.clock++
	o.since[ino] = o.clock
}

// begin is the time at which a request was taken up whose answer shows attributes.
func (o *outdated) begin() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.clock
}

// shown is called with the answer. The kernel does not take attributes from one that it asked for before a change.
func (o *outdated) shown(ino cache.Ino, begun uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since[ino] <= begun {
		delete(o.since, ino)
	}
}

func (o *outdated) has(ino cache.Ino) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, is := o.since[ino]
	return is
}
