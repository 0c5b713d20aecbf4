package object

import "errors"

// Reason is why an object is refused. The cache keeps it, so the numbers do not change.
type Reason uint8

// The reasons, in the order of their errors.
const (
	ReasonNone        Reason = iota
	ReasonTampered           // ErrTampered
	ReasonUnauthentic        // ErrUnauthentic
	ReasonStripped           // ErrStripped
	ReasonMoved              // ErrMoved
	ReasonRetired            // ErrRetired
)

var reasons = [...]error{nil, ErrTampered, ErrUnauthentic, ErrStripped, ErrMoved, ErrRetired}

// ReasonOf finds the reason in an error of Get, of a Download's Body or in Info.Refusal. ReasonNone: the error is of another kind.
func ReasonOf(err error) Reason {
	for n, reason := range reasons {
		if n > 0 && errors.Is(err, reason) {
			return Reason(n)
		}
	}
	return ReasonNone
}

// Err is the error of a reason; nil for ReasonNone.
func (r Reason) Err() error {
	if int(r) < len(reasons) {
		return reasons[r]
	}
	return ErrTampered
}

// Trust is which objects of others are accepted.
func (b *Bucket) Trust() Trust { return b.opt.Trust }

// Authentic reports whether nothing of others is expected under a key: what the volume's key holders did not write is refused there.
func (b *Bucket) Authentic(key string) bool { return !b.opt.Trust.accepts(key, b.volume.isAuthentic()) }
