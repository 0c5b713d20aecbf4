// Package killpoint ends the process at named points of the cache's state machine, so that tests can show that nothing is lost there.
// Only binaries built with the tag faultpoints do so, and only when the environment says which point; in all others At is empty.
package killpoint

// Point is a moment at which a death of the process must be harmless.
type Point string

// The points, in the order in which a change goes through them.
const (
	// BodyWritten: bytes are on the disk, the index does not know of them yet.
	BodyWritten Point = "body-written"
	// BodyCommitted: the index knows new bytes, what they replace is still there.
	BodyCommitted Point = "body-committed"
	// BodySealed: a whole body is sealed, the index does not know yet.
	BodySealed Point = "body-sealed"
	// BodyBarrier: what replaces retired bytes is durable, they are not removed yet.
	BodyBarrier Point = "body-barrier"
	// BodyFreed: retired bytes were removed.
	BodyFreed Point = "body-freed"
	// IndexApplied: a change is visible, its log record perhaps not written.
	IndexApplied Point = "index-applied"
	// IndexLogged: a change is in the log, its caller has not heard of it.
	IndexLogged Point = "index-logged"
	// IndexSynced: the log is on the disk, nobody has heard of it.
	IndexSynced Point = "index-synced"
	// Planned: a request is decided upon, its intent is not written.
	Planned Point = "planned"
	// Intended: the intent of a request is durable, the request was not sent.
	Intended Point = "intended"
	// Answered: the bucket's answer is here, it is not recorded.
	Answered Point = "answered"
	// Recorded: the answer is recorded, nobody was told.
	Recorded Point = "recorded"
	// Looked: an unknown outcome was looked at, the finding is not recorded.
	Looked Point = "looked"
	// Parted: the state of a multipart upload is saved.
	Parted Point = "parted"
	// Settling: a key needs nothing any more and is about to leave the queue.
	Settling Point = "settling"
	// Erased: an inode without a name is out of the index, its bytes are still there.
	Erased Point = "erased"
)

// Points lists all.
var Points = []Point{BodyWritten, BodyCommitted, BodySealed, BodyBarrier, BodyFreed, IndexApplied, IndexLogged, IndexSynced,
	Planned, Intended, Answered, Recorded, Looked, Parted, Settling, Erased}
