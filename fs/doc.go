// Package fs serves a [cache.Cache] to the kernel through FUSE: it turns kernel requests into calls on cache, and
// errors into errno.
//
// A node id is the inode number of the index and there is no table of nodes here, so the kernel may ask about any inode
// at any time and nothing has to be rebuilt after a restart. File handles carry no state either: a request names its
// inode, and [cache.Cache] counts openings per inode. Only directory streams live here, in the handle of OPENDIR.
//
// Waiting: a handler that waits for the network or for room in the cache watches the request's cancel channel. The
// kernel closes it for every signal, harmless ones included, so a waiter is given [interruptGrace] before it
// answers EINTR; a killed process waits no longer than that.
//
// Notifications to the kernel (an import changed something) are sent by one goroutine that holds no lock, since the
// kernel answers them only when the requests that touch the same directory or page are done.
package fs
