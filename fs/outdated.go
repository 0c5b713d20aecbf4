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
	// telling counts who tells the kernel just now: of an answer that comes meanwhile, or is on its way, it takes no attributes.
	telling map[cache.Ino]int
}

// tell has the kernel forget the attributes of an inode, by f.
func (o *outdated) tell(ino cache.Ino, f func()) {
	o.mu.Lock()
	if o.since == nil {
		o.since, o.telling = make(map[cache.Ino]uint64), make(map[cache.Ino]int)
	}
	o.telling[ino]++
	o.mu.Unlock()
	f()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.telling[ino]--; o.telling[ino] == 0 {
		delete(o.telling, ino)
	}
	o.clock++
	o.since[ino] = o.clock
}

// begin is the time at which a request was taken up whose answer shows attributes, and is called before they are read.
func (o *outdated) begin() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.clock
}

// shown is called with the answer. The kernel does not take attributes from one that it asked for before a change.
func (o *outdated) shown(ino cache.Ino, begun uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.telling[ino] == 0 && o.since[ino] <= begun {
		delete(o.since, ino)
	}
}

func (o *outdated) has(ino cache.Ino) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, is := o.since[ino]
	return is || o.telling[ino] > 0
}
