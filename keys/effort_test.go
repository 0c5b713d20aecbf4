package keys

import (
	"errors"
	"fmt"
	"testing"
)

// withForeign is a record with slots of other KMS keys around one of this.
func withForeign(t *testing.T, s *kmsServer, ca string, v *VolumeKey, own *KMS, n int) *Record {
	t.Helper()
	var all []MasterKey
	for i := range n {
		all = append(all, s.client(t, ca, func(c *KMSConfig) { c.KeyID = fmt.Sprint("of-others-", i) }))
	}
	r := recordFor(t, v, append(all, own)...)
	for i := range n { // this account may not use these keys
		r.Slots[i].Wrapped = []byte("of others")
	}
	return mustParse(t, mustMarshal(t, r, v))
}

// TestSlotsOfOthers: a slot under another name of our key is found among many. An alias is looked up once; a name that opened before comes first.
func TestSlotsOfOthers(t *testing.T) {
	s, ca := newKMSServer(t)
	named := func(id string) *KMS { return s.client(t, ca, func(c *KMSConfig) { c.KeyID = id }) }
	for name, c := range map[string]struct {
		slot, key   string
		first, then int64 // calls for the first record, and for the next one
	}{
		"id by its alias":    {"key-1", "alias/1", 2, 1},
		"id by its ARN":      {"key-1", "acs:kms:cn-hangzhou:1:key/key-1", 1, 1},
		"ARN by its id":      {"acs:kms:cn-hangzhou:1:key/key-1", "key-1", 1, 1},
		"ARN by its alias":   {"acs:kms:cn-hangzhou:1:key/key-1", "alias/1", 2, 1},
		"alias by its ARN":   {"alias/1", "acs:kms:cn-hangzhou:1:alias/1", 2, 1},
		"alias by the id":    {"alias/1", "key-1", 1, 1},
		"alias by its other": {"alias/1", "alias/other-1", 2, 1},
	} {
		e, key := new(Effort), named(c.key)
		for n, want := range []int64{c.first, c.then} {
			v := newVolume(t)
			before := key.Calls()
			got, err := e.Open(t.Context(), withForeign(t, s, ca, v, named(c.slot), 40), NewKeyring(key), false)
			if err != nil || got.secret != v.secret {
				t.Errorf("%s, record %d: %v", name, n, err)
			}
			if calls := key.Calls() - before; calls != want {
				t.Errorf("%s, record %d: %d calls, want %d", name, n, calls, want)
			}
		}
	}
}

// TestSilentKMS: KMS that gives no answer is asked once for all records, until it is asked to try again; that is not counted.
func TestSilentKMS(t *testing.T) {
	s, ca := newKMSServer(t)
	key := s.client(t, ca, nil)
	e, ring := new(Effort), NewKeyring(key)
	for range maxVain + 2 {
		e.Retry()
		v := newVolume(t)
		r := mustParse(t, mustMarshal(t, recordFor(t, v, s.client(t, ca, nil)), v))
		before := key.Calls()
		s.refuse = []refusal{{200, "", "no JSON"}}
		for range 3 {
			if _, err := e.Open(t.Context(), r, ring, false); !errors.Is(err, ErrKMSUnreachable) {
				t.Errorf("got %v, want ErrKMSUnreachable", err)
			}
		}
		if n := key.Calls() - before; n != 1 {
			t.Errorf("%d calls, want 1", n)
		}
	}
	e.Retry()
	v := newVolume(t)
	if _, err := e.Open(t.Context(), mustParse(t, mustMarshal(t, recordFor(t, v, key), v)), ring, false); err != nil {
		t.Errorf("it answers again: %v", err)
	}
}

// TestEffortEnds: what is tried in vain ends, for records that nobody vouches for sooner, and slots that bear the key's name have a share of their
// own. What opens is not counted.
func TestEffortEnds(t *testing.T) {
	s, ca := newKMSServer(t)
	key := s.client(t, ca, nil)
	var e *Effort
	ring := NewKeyring(key)
	junk := func(name string) *Record {
		v := newVolume(t)
		r := recordFor(t, v, s.client(t, ca, func(c *KMSConfig) { c.KeyID = name }))
		r.Slots[0].Wrapped = []byte("of others")
		return mustParse(t, mustMarshal(t, r, v))
	}
	open := func(r *Record, expected bool) error {
		_, err := e.Open(t.Context(), r, ring, expected)
		return err
	}
	for _, c := range []struct {
		name     string
		expected bool
		most     int
	}{{"key-1", false, maxVain}, {"alias/others", false, maxVain}, {"key-1", true, maxExpected}, {"alias/others", true, maxExpected}} {
		before := key.Calls()
		e = new(Effort)
		for n := range c.most + 3 {
			if err := open(junk(c.name), c.expected); errors.Is(err, ErrEffort) != (n >= c.most) {
				t.Errorf("%+v, record %d: got %v", c, n, err)
			}
			if n == c.most-2 {
				v := newVolume(t)
				if err := open(mustParse(t, mustMarshal(t, recordFor(t, v, key), v)), c.expected); err != nil {
					t.Errorf("%+v: a genuine one: %v", c, err)
				}
			}
		}
		if n := key.Calls() - before; n != int64(c.most)+2 { // making and opening the genuine one
			t.Errorf("%+v: %d calls", c, n)
		}
	}
}

// TestCodeEffortEnds is TestEffortEnds for recovery codes. The code's slot is looked for in the place where it was in the record before.
func TestCodeEffortEnds(t *testing.T) {
	cheapRecovery(t)
	codes := make([]string, maxRecovery)
	for n := range codes {
		var err error
		if codes[n], err = NewRecoveryCode(); err != nil {
			t.Fatal(err)
		}
	}
	record := func() *Record {
		v := newVolume(t)
		r := NewRecord(v, here)
		for _, code := range codes {
			if err := r.AddRecoveryCode(v, code); err != nil {
				t.Fatal(err)
			}
		}
		return mustParse(t, mustMarshal(t, r, v))
	}
	for n, code := range codes {
		e := new(Effort)
		for range 20 {
			if _, err := e.OpenRecovery(record(), code, false); err != nil {
				t.Errorf("code %d of many records: %v", n, err)
			}
		}
	}
	other, err := NewRecoveryCode()
	if err != nil {
		t.Fatal(err)
	}
	for expected, most := range map[bool]int{false: maxVain, true: maxExpectedCode} {
		e := new(Effort)
		for n := range most/maxRecovery + 3 {
			if _, err := e.OpenRecovery(record(), other, expected); errors.Is(err, ErrEffort) != (n >= most/maxRecovery) {
				t.Errorf("record %d, expected %v: got %v", n, expected, err)
			}
		}
	}
}
