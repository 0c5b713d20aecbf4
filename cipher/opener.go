package cipher

import (
	"container/list"
	"context"
	"crypto/sha256"
	"io"
	"sync"

	"github.com/ossencfs/ossencfs/keys"
)

// Opener opens envelopes with one keyring and remembers the latest content keys in memory, so that reading one object in
// many ranges does not cost two requests to KMS, or two RSA operations, each time. It is safe for concurrent use.
type Opener struct {
	ring *keys.Keyring
	max  int

	mu    sync.Mutex // guards the fields below
	byID  map[[32]byte]*list.Element
	order *list.List // of *opened, latest use first
}

// opened is one remembered key.
type opened struct {
	id  [32]byte
	key *ContentKey
}

// NewOpener remembers at most max keys (some 700 bytes each); 0 or less remembers none.
func NewOpener(ring *keys.Keyring, max int) *Opener {
	return &Opener{ring: ring, max: max, byID: map[[32]byte]*list.Element{}, order: list.New()}
}

// Open returns the envelope's content key, remembered or unwrapped as Envelope.Open does. Failures are not remembered.
func (o *Opener) Open(ctx context.Context, e *Envelope) (*ContentKey, error) {
	id := e.identity()
	if k := o.remembered(id); k != nil {
		return k, nil
	}
	k, err := e.Open(ctx, o.ring)
	if err != nil {
		return nil, err
	}
	o.remember(id, k)
	return k, nil
}

// Forget drops all remembered keys.
func (o *Opener) Forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.byID)
	o.order.Init()
}

// remembered returns a key and moves it to the front.
func (o *Opener) remembered(id [32]byte) *ContentKey {
	o.mu.Lock()
	defer o.mu.Unlock()
	element, ok := o.byID[id]
	if !ok {
		return nil
	}
	o.order.MoveToFront(element)
	return element.Value.(*opened).key //nolint:forcetypeassert // nothing else is put in
}

// remember adds a key and drops the one whose last use is the longest ago.
func (o *Opener) remember(id [32]byte, k *ContentKey) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.byID[id]; ok || o.max <= 0 {
		return
	}
	o.byID[id] = o.order.PushFront(&opened{id: id, key: k})
	for o.order.Len() > o.max {
		last := o.order.Remove(o.order.Back()).(*opened) //nolint:forcetypeassert // nothing else is put in
		delete(o.byID, last.id)
	}
}

// identity is a digest of all that decides which key Open returns.
func (e *Envelope) identity() [32]byte {
	h := sha256.New()
	for i := range e.sets {
		s := &e.sets[i]
		for _, text := range []string{string(s.dialect), s.key, s.start, s.cekAlg, s.wrapAlg, s.matText} {
			_, _ = io.WriteString(h, text)
			_, _ = h.Write([]byte{0}) // no header's value holds it
		}
	}
	return [32]byte(h.Sum(nil))
}
