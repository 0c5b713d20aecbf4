package converge

import "github.com/ossencfs/ossencfs/cache/index"

// Kind is what a plan says to do.
type Kind uint8

// The kinds of actions.
const (
	Nothing Kind = iota // the key is as it should be
	Wait                // not now: at Action.At, or when one of Action.Keys changes
	Forget              // the intent has served its time: remove it and plan again
	Look                // HEAD the key: what became of the request?
	Send                // write the intent and send the request
	Resend              // send the same request again
	Fetch               // content that is needed for a PUT has to come into the local cache first
	Seal                // content that was committed but is still being written has to be sealed, so that it can be sent
)

var kindNames = [...]string{"nothing", "wait", "forget", "look", "send", "resend", "fetch", "seal"}

// String is the name of the kind in log lines.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Action is what to do next about a key. The request of a Send may be for another key: one that has to move first.
type Action struct {
	Kind    Kind
	Pend    index.Pend // Send, Resend: the request. Look: the intent whose outcome is asked for. Ids of a Send are still zero
	Ino     index.Ino  // Fetch, Seal: of what
	At      int64      // Wait: not before then; 0: only when Keys change
	Keys    []string   // Wait: what it depends on
	Order   bool       // Wait: depends on content that has to be in the bucket first
	Seq     uint64     // Wait with Order: all content committed before this number has to be
	Publish bool       // Wait: content under a new name waits for older content
	Settle  bool       // Wait: for quiet
	Open    bool       // Wait: for others that are being written, not for ever
	Verify  bool       // Send, Resend: rule O asks for a look at the key first
}

var nothing = Action{Kind: Nothing}

// waitFor waits for other keys.
func waitFor(keys ...string) Action { return Action{Kind: Wait, Keys: keys} }

// waitUntil waits for a moment.
func waitUntil(at int64) Action { return Action{Kind: Wait, At: at} }

// acts reports whether something is to be done now.
func (a *Action) acts() bool { return a.Kind != Nothing && a.Kind != Wait }

// sameEffect reports whether repeating the request of p is what the action wants.
func (a *Action) sameEffect(p *index.Pend) bool {
	q := &a.Pend
	if a.Kind != Send || q.Key != p.Key || q.Op != p.Op {
		return false
	}
	if p.Op == index.Delete {
		return true
	}
	return q.Ino == p.Ino && q.Gen == p.Gen && q.AttrVer == p.AttrVer && q.XattrVer == p.XattrVer &&
		q.Src == p.Src && q.SrcETag == p.SrcETag
}
