package converge

import (
	"strconv"
	"strings"
	"time"

	"github.com/ossencfs/ossencfs/cache/index"
)

// View is what the planner reads of the index. *index.Tx is one.
type View interface {
	Inode(ino index.Ino) (index.Inode, bool, error)
	Path(ino index.Ino) (key string, ok bool)
	Resolve(key string) (index.Ino, bool, error)
	Object(key string) (index.Object, bool, error)
	ObjectsOf(ino index.Ino) ([]index.Object, error)
	ObjectsUnder(prefix string, fn func(index.Object) bool) error
	Pend(key string) (index.Pend, bool, error)
	PendsFrom(src string) ([]index.Pend, error)
	Unsent(fn func(seq uint64, ino index.Ino) bool) error
	Gone(fn func(seq uint64, key string) bool) error
	Lost(after uint64, fn func(from, to uint64, dir index.Ino) bool) error
}

// Tx is what the outcome of a request changes in the index. *index.Tx is one.
type Tx interface {
	View
	PutInode(i index.Inode) error
	PutObject(o index.Object) error
	DeleteObject(key string) error
	PutPend(p index.Pend) error
	DeletePend(key string) error
	SentGen(ino index.Ino, gen uint64) error
	NextSeq() (uint64, error)
}

var _ Tx = (*index.Tx)(nil)

// Facts is what the planner knows besides the index: it is lost in a crash, and nothing is wrong then.
type Facts struct {
	Cache string // id of the cache, for names that no other one uses

	Now int64 // nanoseconds of a clock that never goes back while the program runs

	// Open reports whether an inode is open.
	Open func(ino index.Ino) bool
	// Flying reports whether the request for a key is under way right now.
	Flying func(key string) bool
	// RetryAt is when the request for a key may be repeated.
	RetryAt func(key string) int64
	// Since is when a key was first seen to wait for quiet; 0: not yet.
	Since func(key string) int64
	// Refused reports whether the bucket refuses a key, and it alone: the order does not wait for what is to be sent there.
	Refused func(key string) bool
	// Refusing reports whether there is any such key, and Excused whether one of them is what a key waits for: it is in nobody's way.
	Refusing bool
	Excused  func(key string) bool
	// Whole reports whether the bucket does with the whole content only what is wanted at a key: it takes no tag there, or copies no such object.
	Whole func(key string) bool
	// Urgent reports whether a key is not to wait for quiet.
	Urgent func(key string) bool

	// Late is L: the longest life of a request after we stopped waiting for it.
	Late time.Duration
	// Changed is when a program last changed anything; 0: not known.
	Changed int64
	// Settle is how long content and names must be quiet before they are sent; MarkerSettle is that of directories.
	Settle, MarkerSettle time.Duration
	// LateSettle is the longest wait for quiet.
	LateSettle time.Duration
	// Exclusive says that nobody else writes to the bucket: no looks before overwriting.
	Exclusive bool

	without rule // left out by the simulation, to see that it finds what the rule is for
}

// ParkPrefix is where content is parked whose own key is not free yet.
const ParkPrefix = ".ossencfs/park/"

// ParkKey is the parking key of one content of an inode, so that parking destroys nothing. It is no other cache's, because numbers begin anew
// in each.
func (f *Facts) ParkKey(ino index.Ino, gen uint64) string {
	b := make([]byte, 0, len(ParkPrefix)+len(f.Cache)+1+16+1+16)
	b = append(append(append(b, ParkPrefix...), f.Cache...), '.')
	b = append(strconv.AppendUint(b, uint64(ino), 16), '.')
	return string(strconv.AppendUint(b, gen, 16))
}

// isParkKey reports whether a key is a parking key, also one of a version before, which had less in its name.
func isParkKey(key string) bool { return strings.HasPrefix(key, ParkPrefix) }

// rule names what the simulation can leave out.
type rule int

const (
	noRule       rule = iota
	ruleSerial        // R1: one write per key
	ruleFence         // R4: a look only after the deadline
	ruleRefence       // R4: the fence of an unanswered attempt outlives an answered retry
	ruleNeeds         // R5: a needed key is neither overwritten nor deleted
	ruleReadable      // R5: a key with an unanswered write is no home
	rulePin           // R6: the source of a copy stays
	ruleUnblock       // R8: cycles are opened by parking
	ruleOrder         // destructive requests wait for earlier content
	ruleInTurn        // and for each other
	rulePublish       // a name that came by rename, and what was fsynced, waits for earlier content
	rulePark          // R10: the oldest content is parked when the order rule blocks it
	ruleOldStays      // an old version stays until the new one is in the bucket
	ruleMarker        // a directory without a marker gets one before its last child goes
	ruleLook          // rule O: a look before something is overwritten
	ruleSent          // R3: what was sent is recorded, not what the inode is now
)
