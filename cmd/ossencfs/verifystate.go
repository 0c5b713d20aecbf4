package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"

	"github.com/ossencfs/ossencfs/localfile"
	"github.com/ossencfs/ossencfs/object"
)

// verifyState is how far a verification came that was cut short, so that the next one can go on. It is a file in the state folder.
type verifyState struct {
	What     string           `json:"what"`
	Deep     bool             `json:"deep"`
	After    string           `json:"after"`    // everything up to this key is verified
	Findings []object.Finding `json:"findings"` // up to there

	path string
}

// maxVerifyState bounds in bytes what is read of such a file.
const maxVerifyState = 64 << 20

// openVerifyState names the file for what is verified; nothing is read.
func (p *program) openVerifyState(what string, deep bool) (*verifyState, error) {
	dir, err := p.stateDir()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%v", what, deep))
	return &verifyState{What: what, Deep: deep, path: filepath.Join(dir, "verify", hex.EncodeToString(sum[:8])+".json")}, nil
}

// load reads what was saved. Without a file the verification begins at the front.
func (s *verifyState) load(ctx context.Context) error {
	raw, err := localfile.Read(ctx, s.path, localfile.Own, maxVerifyState)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	var saved verifyState
	if err == nil {
		err = json.Unmarshal(raw, &saved)
	}
	if err == nil && (saved.What != s.What || saved.Deep != s.Deep) {
		err = errors.New("it is of another verification")
	}
	if err != nil {
		return fail(exitFailure, fmt.Errorf("what an earlier verification left in %s: %w", s.path, err), "without --resume it begins at the front")
	}
	s.After, s.Findings = saved.After, saved.Findings
	return nil
}

// save writes the file, whole or not at all.
func (s *verifyState) save() error {
	if err := makePrivateDir(filepath.Dir(s.path)); err != nil {
		return fmt.Errorf("folder of interrupted verifications: %w", err)
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	temporary := s.path + ".new"
	if err := os.WriteFile(temporary, raw, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, s.path)
}

// remove forgets a verification that is done.
func (s *verifyState) remove() error {
	err := os.Remove(s.path)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	return err
}

// addTo adds what the earlier part of a verification found to a report.
func (s *verifyState) addTo(r *object.VerifyReport) {
	for _, f := range s.Findings {
		r.Add(f)
	}
}
