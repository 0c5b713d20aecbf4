package cache

import (
	"fmt"
	"io"
	"log/slog"
	"testing"

	"github.com/ossencfs/ossencfs/object"
)

// TestTakenNamesAreBounded: who fills a bucket with symbolic links does not decide how much memory the names of them take.
func TestTakenNamesAreBounded(t *testing.T) {
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	listing := func(dir Ino) *leftOut {
		var found leftOut
		for n := range maxTaken + 1 {
			found.add(fmt.Sprintf("%d/%d", dir, n), object.ErrSymlink)
		}
		return &found
	}
	var l leftOuts
	const fit = maxTakenAll / maxTaken
	for dir := Ino(1); dir <= fit+1; dir++ {
		l.note(dir, "", listing(dir), logger)
	}
	l.note(1, "", listing(1), logger) // a second listing takes the place of the first
	if !l.taken(1, "1/0") || l.taken(1, fmt.Sprintf("1/%d", maxTaken)) {
		t.Errorf("of one directory, not the first %d names are remembered", maxTaken)
	}
	if l.taken(fit+1, fmt.Sprintf("%d/0", fit+1)) || l.names != maxTakenAll {
		t.Errorf("%d names are remembered, at most %d should be", l.names, maxTakenAll)
	}
	if want := (fit + 1) * (maxTaken + 1); l.count() != want {
		t.Errorf("%d objects count as left out, want %d", l.count(), want)
	}

	l.forget(1)
	l.note(fit+1, "", listing(fit+1), logger)
	if !l.taken(fit+1, fmt.Sprintf("%d/0", fit+1)) {
		t.Error("the room of a directory that is gone is not used again")
	}
	for dir := Ino(1); dir <= fit+1; dir++ {
		l.note(dir, "", &leftOut{}, logger)
	}
	if l.count() != 0 || l.names != 0 || len(l.dirs) != 0 {
		t.Errorf("after empty listings %d objects, %d names and %d directories are left", l.count(), l.names, len(l.dirs))
	}
}
