package object

import (
	"errors"
	"slices"
	"strings"
)

// State says what is known of who wrote an object. The cache keeps it, so the numbers do not change.
type State uint8

// The states of an object.
const (
	StateUnknown   State = iota // not looked at yet
	StateAuthentic              // its box proves that this volume's key holders wrote it
	StateForeign                // encrypted in the format of the SDKs, without a box that can be verified; accepted
	StatePlain                  // not encrypted; accepted
	StateRefused                // its content and attributes are not handed out; Info.Refusal says why
	StateSealed                 // written under a volume key that this write-only host does not have
)

var stateNames = [...]string{"unknown", "authentic", "foreign", "plain", "refused", "sealed"}

// String is the word for a state in messages and in the extended attribute user.ossencfs.state.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

// Trusted reports whether content and attributes may be handed out.
func (s State) Trusted() bool { return s == StateAuthentic || s == StateForeign || s == StatePlain }

// Reasons for refusing an object. Test with errors.Is.
var (
	// ErrTampered: the object carries a box of this volume, and box, headers, size or bytes do not fit together.
	ErrTampered = errors.New("the object was changed in the bucket")
	// ErrUnauthentic: the object has no box that can be verified, and this volume does not accept such objects.
	ErrUnauthentic = errors.New("the object is not authentic: it was not written by a key holder of this volume")
	// ErrStripped: this machine knew the object with a box, and now it has none.
	ErrStripped = errors.New("the object has lost its box")
	// ErrMoved: with Trust.Strict, the object stands under another name than its box or tag is bound to.
	ErrMoved = errors.New("the object was moved in the bucket by others")
	// ErrRetired: the object was sealed under a volume key that was retired, so that a former key holder may have written it.
	ErrRetired = errors.New("the object was sealed under a volume key that was retired")
	// ErrWriteOnly: this host has no key for reading (see keys.Bundle).
	ErrWriteOnly = errors.New("this host can write to the volume and not read it")
)

// Trust says which objects without a valid box are accepted. The zero value accepts what the volume does: objects that have none, unless
// the volume was created on an empty prefix (its flag "authentic"). One with the box of another volume is accepted by AcceptForeign only.
type Trust struct {
	AcceptForeign    []string // prefixes of keys below which objects of others are accepted in any volume; "" is everywhere
	RequireAuthentic bool     // refuse them in any volume, except below AcceptForeign
	Strict           bool     // an object must stand under the name that its box or tag is bound to
}

// acceptsAll reports whether somebody decided that objects of others are read at a key.
func (t Trust) acceptsAll(key string) bool {
	return slices.ContainsFunc(t.AcceptForeign, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
}

// accepts reports whether an object of others may be read.
func (t Trust) accepts(key string, authenticVolume bool) bool {
	return t.acceptsAll(key) || !t.RequireAuthentic && !authenticVolume
}

// History is what this machine remembers of the bucket beyond one object: package cache has it.
type History interface {
	// Boxed reports whether a box was ever seen at a key, and the object there was not removed or replaced by this
	// machine since. Such an object is never accepted without one.
	Boxed(key string) bool
	// Retired is told that other volume keys are retired now, as Bucket.RetiredVolumes lists them. It must return at once.
	Retired()
}

// NoticeKind is a kind of Notice.
type NoticeKind string

// The kinds of notices.
const (
	NoticeTampered   NoticeKind = "tampered"   // an object that is refused because it was changed
	NoticeRefused    NoticeKind = "refused"    // an object of others that is refused
	NoticeAttributes NoticeKind = "attributes" // plain headers that differ from the box: ignored
	NoticeTag        NoticeKind = "tag"        // an attribute tag without a valid MAC: ignored
	NoticeMarker     NoticeKind = "marker"     // a directory's marker without a valid box: its attributes are ignored
	NoticeLeaf       NoticeKind = "leaf"       // a leaf-tag object that is lost or wrong: more is read instead
	NoticeRecord     NoticeKind = "record"     // a volume record that is not authentic, or of another volume: ignored
	NoticeVolumeKey  NoticeKind = "volume-key" // a volume key that this machine did not know, and a known one vouches for
	NoticeRollback   NoticeKind = "rollback"   // an older version of an object has come back
	NoticeVanished   NoticeKind = "vanished"   // an object that was not deleted here is gone
	NoticeLost       NoticeKind = "lost"       // a version of this machine was overwritten by somebody who had not seen it
)

// Notice tells that the bucket held something that this machine did not believe.
type Notice struct {
	Kind NoticeKind
	Key  string // relative key
	Err  error
}
