package cipher

import (
	"bytes"
	"errors"
	"testing"
)

// TestResumeIntake: digests that are resumed behind a checkpoint are those of the whole.
func TestResumeIntake(t *testing.T) {
	for _, c := range []struct {
		name         string
		size, stored int
	}{
		{"nothing stored", 3*LeafSize + 17, 0},
		{"a leaf", 3*LeafSize + 17, LeafSize},
		{"all whole leaves", 3*LeafSize + 17, 3 * LeafSize},
		{"no rest", 2 * LeafSize, 2 * LeafSize},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := NewSealing()
			if err != nil {
				t.Fatal(err)
			}
			text := bytes.Repeat([]byte("0123456789abcdef"), c.size/16+1)[:c.size]
			if err := s.Seal(text, text); err != nil {
				t.Fatal(err)
			}
			leaves, secret, err := s.Checkpoint(int64(c.stored))
			if err != nil {
				t.Fatal(err)
			}
			want := s.Finish()
			i, err := ResumeIntake(s.GenerationID(), leaves, secret, CRC64(0, text[:c.stored]), int64(c.stored))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := i.Write(text[c.stored:]); err != nil {
				t.Fatal(err)
			}
			got := i.Finish()
			if got.Size() != want.Size() || got.CRC64() != want.CRC64() || got.GenerationID() != want.GenerationID() || !got.ContentKey().Equal(want.ContentKey()) {
				t.Errorf("got %v, want %v", got, want)
			}
			if !bytes.Equal(got.Tags().MarshalLeaves(), want.Tags().MarshalLeaves()) {
				t.Error("the leaf tags differ")
			}
			if _, known := got.MD5(); known {
				t.Error("an MD5 is claimed to be known of bytes that were not seen")
			}
		})
	}
}

// TestCheckpointRefuses what is no whole leaf, what was not sealed, and a finished sealing.
func TestCheckpointRefuses(t *testing.T) {
	s, err := NewSealing()
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, LeafSize)
	if err := s.Seal(p, p); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{-1, 1, 2 * LeafSize} {
		if _, _, err := s.Checkpoint(size); err == nil {
			t.Errorf("a checkpoint at %d was made", size)
		}
	}
	s.Finish()
	if _, _, err := s.Checkpoint(LeafSize); !errors.Is(err, ErrFinished) {
		t.Errorf("got %v, want %v", err, ErrFinished)
	}
	if _, err := ResumeIntake([16]byte{}, make([]byte, 16), make([]byte, SealedSecretSize), 0, 0); !errors.Is(err, ErrBadRecord) {
		t.Errorf("got %v, want %v", err, ErrBadRecord)
	}
}
