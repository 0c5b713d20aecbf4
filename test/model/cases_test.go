package model_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/test/model"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// cases are short sequences that once failed, or that show by hand what each step is for.
var cases = []struct {
	name  string
	steps []model.Step
}{
	{"renamed over while open", []model.Step{
		{Op: model.OpPut, Path: "a", Size: 5000, Seed: 1},
		{Op: model.OpOpen, Path: "a", Slot: 1},
		{Op: model.OpPut, Path: "b", Size: 70, Seed: 2},
		{Op: model.OpRename, Path: "b", Path2: "a"},
		{Op: model.OpWrite, Slot: 1, Off: 4000, Size: 9000, Seed: 3},
		{Op: model.OpSync},
		{Op: model.OpRead, Slot: 1, Size: 20_000},
		{Op: model.OpClose, Slot: 1},
	}},
	{"a file gets its name when it is written", []model.Step{
		{Op: model.OpMkdir, Path: "d", Mode: 0o755},
		{Op: model.OpTmpfile, Path: "d", Slot: 1},
		{Op: model.OpWrite, Slot: 1, Size: 9000, Seed: 1},
		{Op: model.OpTmpfile, Slot: 2, Flags: unix.O_EXCL},
		{Op: model.OpLink, Slot: 1, Path: "a"},
		{Op: model.OpLink, Slot: 1, Path: "b"},
		{Op: model.OpLink, Slot: 1, Path: "a"},
		{Op: model.OpLink, Slot: 2, Path: "b"},
		{Op: model.OpWrite, Slot: 1, Off: 9000, Size: 70, Seed: 2},
		{Op: model.OpUnlink, Path: "a"},
		{Op: model.OpLink, Slot: 1, Path: "a"},
		{Op: model.OpTmpfile, Slot: 3},
		{Op: model.OpWrite, Slot: 3, Size: 5, Seed: 3},
		{Op: model.OpLink, Slot: 3, Path: "a"},
		{Op: model.OpCrash},
		{Op: model.OpDrop},
	}},
	{"exchanged directory and file", []model.Step{
		{Op: model.OpMkdir, Path: "d", Mode: 0o750},
		{Op: model.OpPut, Path: "d/x", Size: 100, Seed: 1},
		{Op: model.OpPut, Path: "f", Size: 200, Seed: 2},
		{Op: model.OpSync},
		{Op: model.OpRename, Path: "d", Path2: "f", Flags: unix.RENAME_EXCHANGE},
		{Op: model.OpCrash},
		{Op: model.OpDrop},
	}},
	{"listing while deleting", []model.Step{
		{Op: model.OpMkdir, Path: "d", Mode: 0o755},
		{Op: model.OpFill, Path: "d", Size: 60, Seed: 9},
		{Op: model.OpSync},
		{Op: model.OpPurge, Path: "d", Seed: 1},
		{Op: model.OpDrop},
	}},
	{"attributes travel with a rename", []model.Step{
		{Op: model.OpPut, Path: "a", Size: 10, Seed: 1},
		{Op: model.OpSetXattr, Path: "a", Name: "user.a", Size: 30, Seed: 2},
		{Op: model.OpChmod, Path: "a", Mode: 0o741},
		{Op: model.OpUtimes, Path: "a", Off: 1_234_567_890_123_456_789},
		{Op: model.OpSync},
		{Op: model.OpRename, Path: "a", Path2: "b"},
		{Op: model.OpDrop},
	}},
	{"extended attributes of a file that is renamed at once", []model.Step{
		{Op: model.OpPut, Path: "a", Size: 10, Seed: 1},
		{Op: model.OpSync},
		{Op: model.OpSetXattr, Path: "a", Name: "user.a", Size: 30, Seed: 2},
		{Op: model.OpRename, Path: "a", Path2: "b"},
		{Op: model.OpDrop},
	}},
	// open with O_TRUNC did not move the time of a file that was empty already, as make's stamp files are.
	{"an empty file truncated by open", []model.Step{
		{Op: model.OpPut, Path: "stamp"},
		{Op: model.OpUtimes, Path: "stamp", Off: 1_234_567_890_123_456_789},
		{Op: model.OpPut, Path: "stamp"},
		{Op: model.OpDrop},
	}},
	// A drain was done while the outcome of a creation was unknown: nobody wanted the name any more and no row told of it. With the cache
	// went the intent, and the removed file came back.
	{"removed while nobody knows whether it is there", []model.Step{
		{Op: model.OpFault, Name: "PutObject", Mode: 2, Size: 9},
		{Op: model.OpPut, Path: "a", Size: 4396, Seed: 1},
		{Op: model.OpTried, Name: "PutObject"},
		{Op: model.OpUnlink, Path: "a"},
		{Op: model.OpDrop},
	}},
	// The same with a file in the place of a directory, whose marker came back and hid it.
	{"a file replaces a directory that nobody knows of", []model.Step{
		{Op: model.OpFault, Name: "PutObject", Mode: 2, Size: 9},
		{Op: model.OpMkdir, Path: "b", Mode: 0o755},
		{Op: model.OpTried, Name: "PutObject"},
		{Op: model.OpRmdir, Path: "b"},
		{Op: model.OpPut, Path: "b", Size: 10, Seed: 2},
		{Op: model.OpDrop},
	}},
	// What a copy left was recorded with size 0, so that the look before its deletion found "another" object and kept it: the
	// deleted file came back.
	{"renamed in the bucket, then removed", []model.Step{
		{Op: model.OpPut, Path: "b", Size: 4396, Seed: 1},
		{Op: model.OpSync},
		{Op: model.OpRename, Path: "b", Path2: "c"},
		{Op: model.OpSync},
		{Op: model.OpUnlink, Path: "c"},
	}},
	// The same before an overwrite made a conflict copy of the file's own old version.
	{"renamed in the bucket, then rewritten", []model.Step{
		{Op: model.OpPut, Path: "b", Size: 4396, Seed: 1},
		{Op: model.OpSync},
		{Op: model.OpRename, Path: "b", Path2: "c"},
		{Op: model.OpSync},
		{Op: model.OpPut, Path: "c", Size: 100, Seed: 2},
	}},
}

// outsideCases are cases with another mount.
var outsideCases = []struct {
	name  string
	steps []model.Step
}{
	// The other mount knew the file, but not its new time: what it had known already became a conflict file.
	{"overwritten elsewhere after its time was set", []model.Step{
		{Op: model.OpMkdir, Path: "%2F", Mode: 0o775},
		{Op: model.OpMkdir, Path: "%2F/.h", Mode: 0o750},
		{Op: model.OpMkdir, Path: "%2F/.h/a", Mode: 0o775},
		{Op: model.OpPut, Path: "x.conflict", Size: 1, Seed: 4},
		{Op: model.OpRename, Path: "x.conflict", Path2: "%2F", Flags: unix.RENAME_EXCHANGE},
		{Op: model.OpOutside, Path: "%2F", Size: 1, Seed: 6},
		{Op: model.OpPut, Path: "b", Size: 1, Seed: 7},
		{Op: model.OpOutside, Path: "x.conflict/.h/a/e", Size: 1, Seed: 8},
		{Op: model.OpUtimes, Path: "b"},
		{Op: model.OpOutside, Path: "b", Size: 1, Seed: 10},
	}},
	// An attribute that was set within the second of the other mount's last look was not known there, and dropped by its write.
	{"overwritten elsewhere after an attribute was set", []model.Step{
		{Op: model.OpPut, Path: "b", Size: 1, Seed: 7},
		{Op: model.OpOutside, Path: "b", Size: 1, Seed: 8},
		{Op: model.OpSetXattr, Path: "b", Name: "user.a", Size: 30, Seed: 2},
		{Op: model.OpOutside, Path: "b", Size: 1, Seed: 10},
	}},
	// The marker was asked for again, and its time taken for the directory's.
	{"unlink in a directory whose marker is young", []model.Step{
		{Op: model.OpMkdir, Path: "b", Mode: 0o732},
		{Op: model.OpFill, Path: "b", Size: 43, Seed: 2},
		{Op: model.OpDrop},
		{Op: model.OpUnlink, Path: "b/fill-003"},
	}},
	{"overwritten elsewhere after its mode was set", []model.Step{
		{Op: model.OpPut, Path: "b", Size: 1, Seed: 7},
		{Op: model.OpOutside, Path: "b", Size: 1, Seed: 8},
		{Op: model.OpChmod, Path: "b", Mode: 0o700},
		{Op: model.OpOutside, Path: "b", Size: 1, Seed: 10},
	}},
	{"moved after an entry was made elsewhere", []model.Step{
		{Op: model.OpMkdir, Path: "c", Mode: 0o744},
		{Op: model.OpMkdir, Path: "c/b", Mode: 0o764},
		{Op: model.OpMkdir, Path: "a", Mode: 0o711},
		{Op: model.OpMkdir, Path: "a/e", Mode: 0o701},
		{Op: model.OpMkdir, Path: "c/b/d", Mode: 0o751},
		{Op: model.OpMkdir, Path: "a/e/x", Mode: 0o725},
		{Op: model.OpOutside, Path: "a/e/x/a", Size: 1, Seed: 7},
		{Op: model.OpRename, Path: "a", Path2: "c/b/d/b"},
	}},
}

func TestCases(t *testing.T) {
	for _, c := range outsideCases {
		t.Run(c.name, func(t *testing.T) {
			play(t, testenv.Options{Cache: cache.Options{MetaTTL: time.Millisecond}}, inOrder(c.steps))
		})
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { play(t, testenv.Options{}, inOrder(c.steps)) })
	}
}
