// Package index is the durable database of a mount: inodes and names (the desired state), what the bucket is known to hold
// under each key (the actual state), and the requests that are under way between the two.
//
// Words:
//
//	inode       a file or directory; its number is never used twice
//	row         an Object: what the bucket is known to hold under one key
//	pend        the intent of one request that changes a key, written before the request leaves
//	generation  a local number for one content of one inode; a new one begins with the first change after a seal
//	queue       the keys whose row and desired state may differ; package converge empties it
//	unsent      content that was closed, fsynced or renamed and that the bucket does not hold yet
//
// Promises. An Update is atomic. It is in the kernel's hands before it returns, so that a SIGKILL loses nothing that was
// acknowledged; UpdateSync and Sync wait for the disk, for everything before them. What a power cut takes away is a tail of
// the acknowledged Updates, never one from the middle: there is one log.
//
// At rest, names and numbers are plain; link targets, extended attributes and what SealSecret returns are sealed with
// AES-256-GCM under keys derived from Options.Secret.
//
// A full disk does not end it: a reserved file is given up so that the log can be written, and until there is room again
// new inodes are refused (ErrFull), and with little left changes of names and attributes, too. When nothing is left, changes wait.
//
// Lock order: DB.writer (one Update at a time) before DB.commit (the moment of a commit) before the locks of the row
// caches. Functions given to Update and View run under writer or under no lock, so a View may be nested in either; an Update
// must not be nested in an Update.
package index
