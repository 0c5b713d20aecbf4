package cache

import "sync"

// opens counts the openings of each inode.
type opens struct {
	mu      sync.Mutex // guards the fields below
	counts  map[Ino]openCount
	earlier map[Ino]bool // opened by an earlier process, as far as is known; whether for writing
}

// openCount is the number of openings of one inode; writers are among all.
type openCount struct{ all, writers int }

func newOpens() *opens {
	return &opens{counts: make(map[Ino]openCount), earlier: make(map[Ino]bool)}
}

// add counts an opening.
func (o *opens) add(ino Ino, write bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.counts[ino]
	n.all++
	if write {
		n.writers++
	}
	o.counts[ino] = n
}

// remove ends an opening and returns what is left. An unknown one (opened before a restart) is ignored.
func (o *opens) remove(ino Ino, write bool) (left openCount) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.counts[ino]
	n.all = max(n.all-1, 0)
	if write {
		n.writers = max(n.writers-1, 0)
	}
	if n.all == 0 {
		delete(o.counts, ino)
	} else {
		o.counts[ino] = n
	}
	return o.countLocked(ino)
}

// count tells how often an inode is open.
func (o *opens) count(ino Ino) openCount {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.countLocked(ino)
}

func (o *opens) countLocked(ino Ino) openCount {
	n := o.counts[ino]
	if write, ok := o.earlier[ino]; ok {
		n.all++
		if write {
			n.writers++
		}
	}
	return n
}

// addEarlier notes that an inode is open since an earlier process.
func (o *opens) addEarlier(ino Ino, write bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.earlier[ino] = write || o.earlier[ino]
}

// removeEarlier takes that back.
func (o *opens) removeEarlier(ino Ino) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.earlier, ino)
}

// len counts the inodes that are open.
func (o *opens) len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(o.counts)
	for ino := range o.earlier {
		if _, both := o.counts[ino]; !both {
			n++
		}
	}
	return n
}

// writing lists the inodes that are open for writing.
func (o *opens) writing() []Ino {
	o.mu.Lock()
	defer o.mu.Unlock()
	var list []Ino
	for ino, n := range o.counts {
		if n.writers > 0 {
			list = append(list, ino)
		}
	}
	for ino, write := range o.earlier {
		if write && o.counts[ino].writers == 0 {
			list = append(list, ino)
		}
	}
	return list
}

// Open reports whether an inode is open; converge keeps the content of such inodes readable.
func (o *opens) Open(ino Ino) bool { return o.count(ino).all > 0 }
