// Package cache is the local truth: a writable, durable, always consistent view of the bucket.
//
// A call changes the desired state in package index (and bytes in package body) in one transaction and returns; package
// converge makes the bucket follow. A call waits for the network only to learn what was never seen: the first listing of
// a directory, attributes of an object others wrote, content that is not on the local disk. Each such wait has a deadline.
//
// Words: an opening is one open file description of the kernel, counted per inode. An inode is clean when the bucket holds
// its content and attributes under its own name; clean inodes follow changes made by others, others keep ours. To import
// is to take what a listing or a HEAD showed into the index.
//
// Lock order: Cache.names before the index's own locks before orphans.mu before the mutexes of opens, workers, activity, heads,
// refresher, resealer, gate and kernelBox. Nothing is called under the last ones, and no lock is held during a request to the bucket.
package cache
