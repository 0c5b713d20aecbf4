package object

import "context"

// Memory is what a mount remembers of the bucket beyond what the bucket says itself. Package cache has it.
type Memory interface {
	// Known tells what a key is known to hold.
	Known(key string) (Known, bool, error)
	// KnownAfter lists at most limit keys with something known, sorted, those behind after.
	KnownAfter(after string, limit int) ([]string, error)
	// Superseded reports whether an upload was replaced or removed, so that it should not come back.
	Superseded(upload ID) (bool, error)
	// Needed reports whether some key is known to hold a generation, so that its leaf tags are needed.
	Needed(generation ID) (bool, error)
	// UploadAgain has what the cache holds whole replace what was found under a key; nil: nothing. It reports whether it does.
	UploadAgain(ctx context.Context, key string, found *Entry) (bool, error)
}

// Known is what a key is known to hold. It is comparable.
type Known struct {
	Busy               bool // a request for the key is under way: nothing can be said
	ETag               string
	Upload, Generation ID   // zero: not seen, or of another program
	Boxed              bool // it has a box
}
