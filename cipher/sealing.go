package cipher

import (
	"crypto/md5" //nolint:gosec // OSS's Content-MD5: a guard against rot, not against attackers
	"crypto/rand"
	"errors"
	"fmt"
	"hash"
	"sync"
)

// ErrFinished: Seal or Write after Finish.
var ErrFinished = errors.New("sealing is finished")

// parallelDigest is the number of bytes from which MD5 and CRC are computed side by side.
const parallelDigest = 128 << 10

// Sealing seals one content front to back under a fresh key. INVARIANT: the position only grows, so no position is
// ever sealed twice. It is safe for concurrent use, though the order of concurrent calls is then left to chance.
type Sealing struct {
	key        *ContentKey
	generation [16]byte

	mu      sync.Mutex // guards the fields below
	size    int64
	digests digests
	sealed  *Sealed // after Finish
}

// NewSealing begins a sealing under a fresh key, with a fresh MAC key and a random generation id.
func NewSealing() (*Sealing, error) {
	k, err := NewContentKey()
	if err != nil {
		return nil, err
	}
	return NewSealingUnder(k)
}

// NewSealingUnder begins a sealing under a key of NewContentKey or PrepareContentKey that has not sealed yet: ErrKeyUsed
// otherwise, also for every key that came from storage or from an object.
func NewSealingUnder(k *ContentKey) (*Sealing, error) {
	if !k.claim() {
		return nil, ErrKeyUsed
	}
	generation, err := newGeneration()
	if err != nil {
		return nil, err
	}
	digests, err := newDigests()
	if err != nil {
		return nil, err
	}
	return &Sealing{key: k, generation: generation, digests: digests}, nil
}

// Seal encrypts src, which follows what was sealed before, into dst, of which the first len(src) bytes are written. dst may
// be src. The only errors are ErrFinished and a dst that is too short; nothing is sealed then.
func (s *Sealing) Seal(dst, src []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sealed != nil {
		return ErrFinished
	}
	if len(dst) < len(src) {
		return fmt.Errorf("seal %d bytes into %d", len(src), len(dst))
	}
	dst = dst[:len(src)]
	s.key.XORKeyStreamAt(dst, src, s.size)
	s.size += int64(len(src))
	s.digests.write(dst)
	return nil
}

// Size is the number of bytes sealed so far: the high-water mark.
func (s *Sealing) Size() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size
}

// ContentKey opens what was sealed so far.
func (s *Sealing) ContentKey() *ContentKey { return s.key }

// GenerationID is the random id that the finished Sealed will have.
func (s *Sealing) GenerationID() [16]byte { return s.generation }

// Finish ends the sealing and returns its result, the same at each call.
func (s *Sealing) Finish() *Sealed {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sealed == nil {
		s.sealed = s.digests.sealed(s.key, s.size, s.generation)
	}
	return s.sealed
}

// Intake digests ciphertext that was sealed elsewhere (downloaded), so that it can be kept and sent again as it is. That makes
// it a generation of its own, with an id and a MAC key of its own, so that no generation ever has two sets of tags. It is an
// io.Writer and not safe for concurrent use.
type Intake struct {
	key        *ContentKey
	generation [16]byte
	size       int64
	digests    digests
	sealed     *Sealed
}

// NewIntake begins the intake of a body under its key.
func NewIntake(k *ContentKey) (*Intake, error) {
	if k == nil {
		return nil, errors.New("intake without a content key")
	}
	generation, err := newGeneration()
	if err != nil {
		return nil, err
	}
	digests, err := newDigests()
	if err != nil {
		return nil, err
	}
	return &Intake{key: k, generation: generation, digests: digests}, nil
}

// Write takes ciphertext; its only error is ErrFinished.
func (i *Intake) Write(ciphertext []byte) (int, error) {
	if i.sealed != nil {
		return 0, ErrFinished
	}
	i.size += int64(len(ciphertext))
	i.digests.write(ciphertext)
	return len(ciphertext), nil
}

// Finish ends the intake and returns its result, the same at each call.
func (i *Intake) Finish() *Sealed {
	if i.sealed == nil {
		i.sealed = i.digests.sealed(i.key, i.size, i.generation)
	}
	return i.sealed
}

// MaxMD5 is the size in bytes up to which the MD5 of a body is computed. A single PUT needs it; larger bodies go up in parts,
// and MD5 would be the slowest step of writing them.
const MaxMD5 = 64 << 20

// digests are the sums over ciphertext, and its tags.
type digests struct {
	crc  uint64
	md5  hash.Hash
	tags *tagger
	size int64

	partly bool // the begin is not in md5
}

// newDigests returns those of nothing.
func newDigests() (digests, error) {
	tags, err := newTagger()
	return digests{md5: md5.New(), tags: tags}, err //nolint:gosec // see the import
}

// write continues sums and tags, side by side when it is worth it.
func (d *digests) write(p []byte) {
	d.size += int64(len(p))
	wantMD5 := d.size <= MaxMD5 && !d.partly
	if len(p) < parallelDigest {
		if wantMD5 {
			_, _ = d.md5.Write(p)
		}
		d.crc = CRC64(d.crc, p)
		d.tags.write(p)
		return
	}
	var wg sync.WaitGroup
	if wantMD5 {
		wg.Go(func() { _, _ = d.md5.Write(p) })
	}
	wg.Go(func() { d.tags.write(p) })
	d.crc = CRC64(d.crc, p)
	wg.Wait()
}

// sealed makes the result.
func (d *digests) sealed(k *ContentKey, size int64, generation [16]byte) *Sealed {
	s := &Sealed{key: k, size: size, crc: d.crc, generation: generation, tags: d.tags.finish()}
	if size <= MaxMD5 && !d.partly {
		d.md5.Sum(s.md5[:0])
	}
	return s
}

// newGeneration draws a generation id.
func newGeneration() (id [16]byte, err error) {
	if _, err = rand.Read(id[:]); err != nil {
		return id, fmt.Errorf("draw generation id: %w", err)
	}
	return id, nil
}
