package model

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Op is what a step does.
type Op string

// The calls. Those with a slot use or make a descriptor that stays open over later steps.
const (
	OpOpen      Op = "Open"      // Path, Slot, Flags
	OpTmpfile   Op = "Tmpfile"   // Path of a directory, Slot, Flags
	OpLink      Op = "Link"      // Slot, Path: give the file of a descriptor a name
	OpClose     Op = "Close"     // Slot
	OpWrite     Op = "Write"     // Slot, Off, Size, Seed
	OpRead      Op = "Read"      // Slot, Off, Size
	OpTruncate  Op = "Truncate"  // Slot, Size
	OpFsync     Op = "Fsync"     // Slot
	OpAllocate  Op = "Allocate"  // Slot, Flags (mode), Off, Size
	OpPut       Op = "Put"       // Path, Size, Seed: create or replace the content in one open
	OpPatch     Op = "Patch"     // Path, Off, Size, Seed: open, write, close
	OpMap       Op = "Map"       // Path, Off, Size, Seed: write through a shared mapping
	OpCopy      Op = "Copy"      // Path, Off to Path2, Off2, Size
	OpResize    Op = "Resize"    // Path, Size
	OpRename    Op = "Rename"    // Path to Path2, Flags
	OpUnlink    Op = "Unlink"    // Path
	OpMkdir     Op = "Mkdir"     // Path, Mode
	OpRmdir     Op = "Rmdir"     // Path
	OpSymlink   Op = "Symlink"   // Path, Name (target)
	OpChmod     Op = "Chmod"     // Path, Mode
	OpUtimes    Op = "Utimes"    // Path, Off (nanoseconds)
	OpSetXattr  Op = "SetXattr"  // Path, Name, Size, Seed, Flags
	OpDelXattr  Op = "DelXattr"  // Path, Name
	OpPurge     Op = "Purge"     // Path, Seed: delete entries while they are listed
	OpFill      Op = "Fill"      // Path, Size: make so many small files, for Purge
	OpFsyncPath Op = "FsyncPath" // Path of a file or directory
)

// The events; the host carries them out.
const (
	OpSync    Op = "Sync"    // the bucket has everything
	OpRemount Op = "Remount" // with uploads, and the same cache
	OpCrash   Op = "Crash"   // without uploads, and the same cache
	OpDrop    Op = "Drop"    // with uploads, and an empty cache
	OpKill    Op = "Kill"    // SIGKILL; descriptors are open
	OpFault   Op = "Fault"   // Name (operation), Mode (which), Size (how often)
	OpTried   Op = "Tried"   // Name (operation): the bucket is asked for everything, until it has met such a request
	OpOutside Op = "Outside" // Path, Size, Seed: another mount replaces a file that is quiet
	OpCompare Op = "Compare" // the whole tree
)

// Step is one call or event. Fields that an operation does not use are zero.
type Step struct {
	Op          Op
	Path, Path2 string
	Name        string
	Slot        int
	Flags       int
	Mode        uint32
	Off, Off2   int64
	Size        int64
	Seed        uint64
}

// GoString is the step as a line of a named case.
func (s Step) GoString() string {
	var b strings.Builder
	fmt.Fprintf(&b, "{Op: Op%s", s.Op)
	text := func(name, v string) {
		if v != "" {
			fmt.Fprintf(&b, ", %s: %q", name, v)
		}
	}
	number := func(name string, v int64, format string) {
		if v != 0 {
			fmt.Fprintf(&b, ", %s: "+format, name, v)
		}
	}
	text("Path", s.Path)
	text("Path2", s.Path2)
	text("Name", s.Name)
	number("Slot", int64(s.Slot), "%d")
	number("Flags", int64(s.Flags), "%#x")
	number("Mode", int64(s.Mode), "%#o")
	number("Off", s.Off, "%d")
	number("Off2", s.Off2, "%d")
	number("Size", s.Size, "%d")
	if s.Seed != 0 {
		fmt.Fprintf(&b, ", Seed: %#x", s.Seed)
	}
	b.WriteString("}")
	return b.String()
}

// GoCase prints steps as a case for cases_test.go.
func GoCase(name string, steps []Step) string {
	var b strings.Builder
	fmt.Fprintf(&b, "{%q, []model.Step{\n", name)
	for _, s := range steps {
		fmt.Fprintf(&b, "\t%s,\n", strings.Replace(s.GoString(), "Op: Op", "Op: model.Op", 1))
	}
	b.WriteString("}},")
	return b.String()
}

// content is what a step writes: no two seeds agree anywhere for long.
func content(seed uint64, n int64) []byte {
	p := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24), byte(seed >> 32), byte(seed >> 40)})
	_, _ = r.Read(p) // never fails
	return p
}
