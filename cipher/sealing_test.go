package cipher

import (
	"bytes"
	"crypto/md5"
	"errors"
	"hash/crc64"
	"math/rand/v2"
	"sync"
	"testing"
)

func TestCRC64(t *testing.T) {
	if got := CRC64(0, []byte("123456789")); got != 0x995dc9bbdf1939fa {
		t.Errorf("check value: got %x", got)
	}
	if got := CRC64(CRC64(0, []byte("1234")), []byte("56789")); got != 0x995dc9bbdf1939fa {
		t.Errorf("continued: got %x", got)
	}
}

func TestCRC64Combine(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	data := make([]byte, 1<<20)
	_, _ = random.Read(data)
	whole := CRC64(0, data)
	for _, cut := range []int{0, 1, 7, 8, 15, 4096, 102400, len(data) - 1, len(data)} {
		a, b := CRC64(0, data[:cut]), CRC64(0, data[cut:])
		if got := CRC64Combine(a, b, int64(len(data)-cut)); got != whole {
			t.Errorf("cut at %d: got %x, want %x", cut, got, whole)
		}
	}
	// A length of many bits, against zeros appended one MiB at a time.
	zeros := make([]byte, 1<<20)
	appended := whole
	for range 5 {
		appended = crc64.Update(appended, crc64.MakeTable(crc64.ECMA), zeros)
	}
	all := crc64.Checksum(make([]byte, 5<<20), crc64.MakeTable(crc64.ECMA))
	if got := CRC64Combine(whole, all, 5<<20); got != appended {
		t.Errorf("5 MiB of zeros: got %x, want %x", got, appended)
	}
}

// mustSealing begins a sealing.
func mustSealing(t *testing.T) *Sealing {
	t.Helper()
	s, err := NewSealing()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealingStreams(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	plain := make([]byte, 1<<20+77)
	for i := range plain {
		plain[i] = byte(random.Uint32())
	}
	s := mustSealing(t)
	var sealed []byte
	for rest := plain; len(rest) > 0; {
		n := min(random.IntN(300_000), len(rest))
		dst := make([]byte, n)
		if err := s.Seal(dst, rest[:n]); err != nil {
			t.Fatal(err)
		}
		sealed, rest = append(sealed, dst...), rest[n:]
		if s.Size() != int64(len(sealed)) {
			t.Fatalf("size %d, want %d", s.Size(), len(sealed))
		}
		back := bytes.Clone(sealed)
		s.ContentKey().XORKeyStreamAt(back, back, 0)
		if !bytes.Equal(back, plain[:len(back)]) {
			t.Fatal("what was sealed so far opens wrong")
		}
	}
	done := s.Finish()
	if done != s.Finish() {
		t.Error("Finish gives another result the second time")
	}
	if done.Size() != int64(len(plain)) || done.CRC64() != CRC64(0, sealed) || md5Of(done) != md5.Sum(sealed) {
		t.Error("size or digests are not those of the ciphertext")
	}
	if done.GenerationID() != s.GenerationID() || done.GenerationID() == [16]byte{} {
		t.Error("generation id is missing or changed")
	}
	if err := s.Seal(make([]byte, 1), make([]byte, 1)); !errors.Is(err, ErrFinished) {
		t.Errorf("Seal after Finish: %v, want ErrFinished", err)
	}
}

func TestSealingRefusesShortOutput(t *testing.T) {
	s := mustSealing(t)
	if err := s.Seal(make([]byte, 3), make([]byte, 4)); err == nil || s.Size() != 0 {
		t.Errorf("got %v and size %d, want an error and nothing sealed", err, s.Size())
	}
}

func TestKeySealsOnce(t *testing.T) {
	k := mustKey(t)
	var wins sync.Map
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if _, err := NewSealingUnder(k); err == nil {
				wins.Store(i, true)
			} else if !errors.Is(err, ErrKeyUsed) {
				t.Errorf("got %v, want ErrKeyUsed", err)
			}
		})
	}
	wg.Wait()
	n := 0
	wins.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d sealings under one key, want 1", n)
	}
}

func TestSealedMarshal(t *testing.T) {
	s := mustSealing(t)
	if err := s.Seal(make([]byte, 9), []byte("some text")); err != nil {
		t.Fatal(err)
	}
	done := s.Finish()
	record, secret := done.Marshal()
	if bytes.Contains(record, done.key.key[:]) || bytes.Contains(record, done.key.iv[:]) {
		t.Fatal("the open record holds the key")
	}
	if len(secret) != SealedSecretSize || int64(len(record)) != SealedRecordSize(9) || bytes.Contains(record, done.tags.mac[:]) {
		t.Fatalf("record of %d and secret of %d bytes", len(record), len(secret))
	}
	back, err := UnmarshalSealed(record, secret)
	if err != nil {
		t.Fatal(err)
	}
	if !back.key.Equal(done.key) || back.size != 9 || back.crc != done.crc || back.md5 != done.md5 ||
		back.generation != done.generation || !back.Tags().Equal(done.Tags()) {
		t.Errorf("got %v, want %v", back, done)
	}
	if _, err := NewSealingUnder(back.ContentKey()); !errors.Is(err, ErrKeyUsed) {
		t.Errorf("stored key seals again: %v", err)
	}
	for name, bad := range map[string][]byte{
		"empty": nil, "short": record[1:], "long": append(bytes.Clone(record), 0), "no tags": record[:sealedLen],
		"two tags": append(bytes.Clone(record), make([]byte, TagSize)...),
		"version":  append([]byte{9}, record[1:]...), "negative size": append([]byte{1, 0x80}, record[2:]...),
	} {
		if _, err := UnmarshalSealed(bad, secret); !errors.Is(err, ErrBadRecord) {
			t.Errorf("%s: got %v, want ErrBadRecord", name, err)
		}
	}
	if _, err := UnmarshalSealed(record, secret[1:]); !errors.Is(err, ErrBadRecord) {
		t.Errorf("short secret: got %v, want ErrBadRecord", err)
	}
}

func TestIntakeMatchesSealing(t *testing.T) {
	s := mustSealing(t)
	sealed := make([]byte, 200_000)
	if err := s.Seal(sealed, make([]byte, len(sealed))); err != nil {
		t.Fatal(err)
	}
	want := s.Finish()
	in, err := NewIntake(want.ContentKey())
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range [][]byte{sealed[:10], sealed[10:150_000], sealed[150_000:]} {
		if n, err := in.Write(part); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	got := in.Finish()
	if got.CRC64() != want.CRC64() || md5Of(got) != md5Of(want) || got.Size() != want.Size() || got.ContentKey() != want.ContentKey() {
		t.Errorf("got %v, want %v", got, want)
	}
	if _, err := in.Write([]byte{1}); !errors.Is(err, ErrFinished) {
		t.Errorf("Write after Finish: %v", err)
	}
	// One generation never has two sets of tags.
	if got.GenerationID() == want.GenerationID() || got.GenerationID() == [16]byte{} || got.Tags().mac == want.Tags().mac {
		t.Error("intake shares generation id or MAC key with the sealing of the same bytes")
	}
	if err := got.Tags().VerifyLeaf(0, sealed); err != nil {
		t.Errorf("tags of the intake: %v", err)
	}
	if _, err := NewIntake(nil); err == nil {
		t.Error("intake without a key")
	}
}

func TestSmall(t *testing.T) {
	k := mustKey(t)
	plain := []byte("user.comment=secret")
	sealed, err := SealSmall(k, "xattr", plain)
	if err != nil {
		t.Fatal(err)
	}
	again, err := SealSmall(k, "xattr", plain)
	if err != nil || bytes.Equal(sealed, again) {
		t.Error("the nonce repeats")
	}
	if len(sealed) != len(plain)+SmallOverhead || bytes.Contains(sealed, plain) {
		t.Errorf("got %d bytes", len(sealed))
	}
	if got, err := OpenSmall(k, "xattr", sealed); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("got %q, %v", got, err)
	}
	damaged := bytes.Clone(sealed)
	damaged[15] ^= 1
	for name, try := range map[string]func() ([]byte, error){
		"label":   func() ([]byte, error) { return OpenSmall(k, "other", sealed) },
		"key":     func() ([]byte, error) { return OpenSmall(mustKey(t), "xattr", sealed) },
		"damaged": func() ([]byte, error) { return OpenSmall(k, "xattr", damaged) },
		"short":   func() ([]byte, error) { return OpenSmall(k, "xattr", sealed[:11]) },
		"empty":   func() ([]byte, error) { return OpenSmall(k, "xattr", nil) },
	} {
		if _, err := try(); !errors.Is(err, ErrSmall) {
			t.Errorf("%s: got %v, want ErrSmall", name, err)
		}
	}
}

func md5Of(s *Sealed) [16]byte {
	sum, _ := s.MD5()
	return sum
}

// Only what may go up in a single PUT has an MD5.
func TestMD5OfLargeBodies(t *testing.T) {
	for _, c := range []struct {
		size  int64
		known bool
	}{{MaxMD5, true}, {MaxMD5 + 1, false}} {
		s, err := NewSealing()
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 1<<20)
		var all []byte
		for left := c.size; left > 0; {
			n := min(left, int64(len(buf)))
			if err := s.Seal(buf[:n], buf[:n]); err != nil {
				t.Fatal(err)
			}
			all = append(all, buf[:n]...)
			left -= n
		}
		sum, known := s.Finish().MD5()
		if known != c.known || known && sum != md5.Sum(all) {
			t.Errorf("%d bytes: MD5 known %v, want %v", c.size, known, c.known)
		}
		if s.Finish().CRC64() != CRC64(0, all) {
			t.Errorf("%d bytes: CRC-64 differs", c.size)
		}
	}
}
