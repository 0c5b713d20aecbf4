package cache

import "sync"

// opens counts the openings of each inode.
type opens struct {
	mu     sync.Mutex // guards the field below
	counts map[Ino]openCount
}

// openCount is the number of openings of one inode; writers are among all.
type openCount struct{ all, writers int }

func newOpens() *opens {
	return &opens{counts: make(map[Ino]openCount)}
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
		return openCount{}
	}
	o.counts[ino] = n
	return n
}

// count tells how often an inode is open.
func (o *opens) count(ino Ino) openCount {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.counts[ino]
}

// len counts the inodes that are open.
func (o *opens) len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.counts)
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
	return list
}

// Open reports whether an inode is open; converge keeps the content of such inodes readable.
func (o *opens) Open(ino Ino) bool { return o.count(ino).all > 0 }
