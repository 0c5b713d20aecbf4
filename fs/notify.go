package fs

import (
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/ossencfs/ossencfs/cache"
)

// notifyTimeout bounds how long the end of a mount waits for a notification the kernel holds up.
const notifyTimeout = 5 * time.Second

// notifier sends what an import changed to the kernel, from a goroutine of its own. It takes any number of notes without
// blocking the giver; equal ones are sent once.
type notifier struct {
	server   *fuse.Server
	forget   func(cache.Ino) // told of inodes the kernel does not know
	outdated *outdated

	mu     sync.Mutex // guards the fields below
	queue  []note
	queued map[note]bool
	closed bool
	wake   chan struct{}
	ended  chan struct{}
}

// note is one thing the kernel should forget: a name (parent, name), or an inode's attributes and content.
type note struct {
	ino  cache.Ino
	name string
	ask  bool // only whether the kernel knows the inode
}

var _ cache.Kernel = (*notifier)(nil)

func newNotifier(server *fuse.Server, forget func(cache.Ino), out *outdated) *notifier {
	n := &notifier{server: server, forget: forget, outdated: out, queued: make(map[note]bool), wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go n.run()
	return n
}

// ForgetName tells that a name in a directory means something else now.
func (n *notifier) ForgetName(parent cache.Ino, name string) { n.add(note{ino: parent, name: name}) }

// ForgetInode tells that attributes or content of an inode changed. The attributes are forgotten at once: what waits in the queue may wait
// for a directory in which somebody works, and meanwhile the kernel would let in whom the old mode let in.
func (n *notifier) ForgetInode(ino cache.Ino) {
	n.outdated.tell(ino, func() { n.server.InodeNotify(uint64(ino), -1, 0) })
	n.add(note{ino: ino})
}

// Outdated implements cache.Kernel.
func (n *notifier) Outdated(ino cache.Ino) bool { return n.outdated.has(ino) }

// ForgetAttr has the kernel forget the attributes of an inode, and waits for it. An offset below zero leaves the pages alone, so that
// the kernel waits for nobody either, and a request may be unanswered meanwhile.
func (n *notifier) ForgetAttr(ino cache.Ino) {
	forget := func() { n.server.InodeNotify(uint64(ino), -1, 0) }
	if !n.Outdated(ino) {
		forget()
		return
	}
	n.outdated.tell(ino, forget)
}

// AskInode asks whether the kernel knows an inode.
func (n *notifier) AskInode(ino cache.Ino) { n.add(note{ino: ino, ask: true}) }

func (n *notifier) add(item note) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || n.queued[item] {
		return
	}
	n.queued[item] = true
	n.queue = append(n.queue, item)
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

func (n *notifier) run() {
	defer close(n.ended)
	for range n.wake {
		for {
			item, ok := n.take()
			if !ok {
				break
			}
			n.send(item)
		}
	}
}

func (n *notifier) take() (note, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.queue) == 0 || n.closed {
		n.queue = nil
		return note{}, false
	}
	item := n.queue[0]
	n.queue = n.queue[1:]
	delete(n.queued, item)
	return item, true
}

// send ignores other answers: ENOENT means that the kernel did not know the name or inode, ENODEV that the mount ended.
func (n *notifier) send(item note) {
	switch {
	case item.ask:
		// An offset below zero leaves the pages alone: attributes only, which nobody has to wait for.
		if n.server.InodeNotify(uint64(item.ino), -1, 0) == fuse.ENOENT {
			n.forget(item.ino)
		}
	case item.name != "":
		n.server.EntryNotify(uint64(item.ino), item.name)
	default:
		n.outdated.tell(item.ino, func() { n.server.InodeNotify(uint64(item.ino), 0, 0) })
	}
}

// close ends the goroutine and waits for it.
func (n *notifier) close() {
	n.mu.Lock()
	if !n.closed {
		n.closed = true
		close(n.wake)
	}
	n.mu.Unlock()
	select {
	case <-n.ended:
	case <-time.After(notifyTimeout):
	}
}
