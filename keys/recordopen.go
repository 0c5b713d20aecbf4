package keys

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
)

// try is one attempt to open a record.
type try struct {
	key   MasterKey
	slot  Slot
	toil  toil
	first bool // of this key
}

// kms reports whether it is a call of KMS.
func (t try) kms() bool { return t.slot.Type == slotKMS }

// tries lists what to try: slots that name one of the ring's keys first, then slots of KMS that may be the same key's under another name. Where many are
// to be guessed for an alias, KMS is asked once what it stands for.
func (e *Effort) tries(ctx context.Context, r *Record, ring *Keyring, expected bool) []try {
	var named, guessed []try
	for _, k := range ring.All() {
		maker, ok := k.(slotKey)
		if !ok {
			continue
		}
		first := true
		for _, s := range r.Slots {
			if s.Type != maker.slotType() {
				continue
			}
			t := try{key: k, slot: s, first: first}
			first = false
			if s.Key == k.ID() {
				named = append(named, t)
				continue
			}
			own, isKMS := k.(*KMS)
			if !isKMS {
				continue
			}
			t.toil = guessCall
			switch e.likeness(ctx, own, r, s.Key, expected) {
			case sameKey:
				named = append(named, t)
			case perhapsSame:
				guessed = append(guessed, t)
			case otherKey:
			}
		}
	}
	return append(named, guessed...)
}

// likeness is what the name of a slot says about whether it is a KMS key's own.
type likeness int

const (
	sameKey likeness = iota
	perhapsSame
	otherKey // whose slots are not ours, though the account may use it, too
)

// likeness compares a slot's name with a KMS key: KMS knows a key by its id, by its ARN and by aliases.
func (e *Effort) likeness(ctx context.Context, k *KMS, r *Record, name string, expected bool) likeness {
	own, other := plainKeyID(k.keyID), plainKeyID(strings.TrimPrefix(name, slotKMS+":"))
	switch {
	case own == other, e.hasOpened(k, name):
		return sameKey
	case isAlias(other):
		return perhapsSame
	case !isAlias(own):
		return otherKey
	}
	id, known := k.trueID.Load().(string)
	if !known {
		id, known = e.resolve(ctx, k, r, expected)
	}
	switch {
	case known && id == other:
		return sameKey
	case known:
		return otherKey
	}
	return perhapsSame
}

// hasOpened reports whether the key opened a slot of this name in another record.
func (e *Effort) hasOpened(k *KMS, name string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	named := func(s Slot) bool { return s.Key == name }
	return slices.ContainsFunc(slices.Collect(maps.Values(e.known)), func(o knownKey) bool {
		return o.genuine && o.by == k.ID() && slices.ContainsFunc(slices.Collect(maps.Values(o.slots)), named)
	})
}

// maxGuesses is how many slots are tried for an alias without asking what it stands for.
const maxGuesses = 4

// resolve asks KMS what an alias stands for, once, where many slots would have to be guessed and none is named as the key.
func (e *Effort) resolve(ctx context.Context, k *KMS, r *Record, expected bool) (id string, ok bool) {
	n := 0
	for _, s := range r.Slots {
		if s.Type != slotKMS {
			continue
		}
		if n++; plainKeyID(strings.TrimPrefix(s.Key, slotKMS+":")) == plainKeyID(k.keyID) || e.hasOpened(k, s.Key) {
			return "", false
		}
	}
	e.mu.Lock()
	vain := e.unresolved[k.ID()]
	e.mu.Unlock()
	if n <= maxGuesses || vain || !e.may(guessCall, expected) {
		return "", false
	}
	id, err := k.ownID(ctx)
	if err == nil {
		return id, true
	}
	e.spend(guessCall, expected)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.unresolved == nil {
		e.unresolved = make(map[string]bool)
	}
	e.unresolved[k.ID()] = true
	return "", false
}

// plainKeyID is the id of a KMS key, or "alias/NAME", without what an ARN puts in front (acs:kms:REGION:ACCOUNT:key/ID).
func plainKeyID(id string) string {
	if strings.HasPrefix(id, "acs:") {
		id = id[strings.LastIndexByte(id, ':')+1:]
	}
	return strings.TrimPrefix(id, "key/")
}

func isAlias(id string) bool { return strings.HasPrefix(id, "alias/") }

// same reports whether two slots are one.
func (s Slot) same(other Slot) bool {
	return s.Type == other.Type && s.Key == other.Key && s.Unbound == other.Unbound && s.Time == other.Time && s.Memory == other.Memory &&
		s.Threads == other.Threads && bytes.Equal(s.Wrapped, other.Wrapped) && bytes.Equal(s.MAC, other.MAC) && bytes.Equal(s.Salt, other.Salt)
}

// Open is Effort.Open for a record by itself, which is expected.
func (r *Record) Open(ctx context.Context, ring *Keyring) (*VolumeKey, error) {
	return new(Effort).Open(ctx, r, ring, true)
}

// OpenRecovery is Effort.OpenRecovery for a record by itself, which is expected.
func (r *Record) OpenRecovery(code string) (*VolumeKey, error) {
	return new(Effort).OpenRecovery(r, code, true)
}

// MadeBy reports whether a holder of a volume key that is open made this record of it.
func (r *Record) MadeBy(v *VolumeKey) bool {
	return r.belongs(v) == nil && r.authentic(v, r.encode())
}
