package index

import "errors"

// What Open and the transactions fail with.
var (
	// ErrLocked: another process, or another DB of this one, has the folder open.
	ErrLocked = errors.New("index is in use by another mount")
	// ErrWrongSecret: the folder was made with another Options.Secret.
	ErrWrongSecret = errors.New("index was made with another key")
	// ErrFormat: the index is of a format that this version does not know, most likely that of a newer one. The message has both.
	ErrFormat = errors.New("index was written by another version")
	// ErrCorrupt: a file of the index is damaged or missing. The message has its path.
	ErrCorrupt = errors.New("index is damaged")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("index is closed")
	// ErrFailed: the disk refused a write of the log; nothing can be changed until the index is opened again.
	ErrFailed = errors.New("index cannot be written")
	// ErrFull: the disk is full, and no inode can be added until there is room. What does not add one goes on.
	ErrFull = errors.New("the disk of the cache is full")
	// ErrInvalid: an argument breaks a rule of the index (a name with a slash, two inodes with one name).
	ErrInvalid = errors.New("invalid change of the index")
)
