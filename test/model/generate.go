package model

import (
	"fmt"
	"math/rand/v2"

	"golang.org/x/sys/unix"
)

// Profile says what a sequence is made of.
type Profile struct {
	// MaxSize bounds the files.
	MaxSize int64
	// Events are drawn in this mixture, per thousand steps.
	Events map[Op]int
	// CompareEvery is the number of steps between two comparisons of the whole tree.
	CompareEvery int
}

// Generator draws steps. It looks at the model of a run, so that most of them mean something.
type Generator struct {
	r *rand.Rand
	p Profile
	n int
}

// NewGenerator draws from a seed.
func NewGenerator(seed uint64, p Profile) *Generator {
	return &Generator{r: rand.New(rand.NewPCG(seed, 0x6d6f64656c)), p: p}
}

// component are the names; few, so that they meet.
var components = []string{"a", "b", "c", "d", "e", "Æ ö", ".h", "with space", "x.conflict", "%2F"}

// weighted is the mixture of calls.
var weighted = []struct {
	op Op
	n  int
}{
	{OpPut, 14}, {OpPatch, 9}, {OpOpen, 9}, {OpClose, 7}, {OpWrite, 16}, {OpRead, 6}, {OpTruncate, 4}, {OpResize, 4},
	{OpFsync, 2}, {OpAllocate, 4}, {OpMap, 2}, {OpCopy, 3}, {OpRename, 13}, {OpUnlink, 6}, {OpMkdir, 7}, {OpRmdir, 3},
	{OpSymlink, 3}, {OpChmod, 5}, {OpUtimes, 5}, {OpTmpfile, 3}, {OpLink, 4}, {OpSetXattr, 6}, {OpDelXattr, 2}, {OpFsyncPath, 1}, {OpFill, 1}, {OpPurge, 1},
}

// Next draws a step.
func (g *Generator) Next(r *Run) Step {
	g.n++
	if g.n%g.p.CompareEvery == 0 {
		return Step{Op: OpCompare}
	}
	k := g.r.IntN(1000)
	for _, op := range []Op{OpSync, OpRemount, OpCrash, OpDrop, OpKill, OpFault, OpOutside} {
		if k -= g.p.Events[op]; k < 0 {
			return g.event(op, r)
		}
	}
	total := 0
	for _, w := range weighted {
		total += w.n
	}
	k = g.r.IntN(total)
	for _, w := range weighted {
		if k -= w.n; k < 0 {
			return g.call(w.op, r)
		}
	}
	return Step{Op: OpCompare} // not reached: the weights add up
}

func (g *Generator) event(op Op, r *Run) Step {
	s := Step{Op: op}
	switch op {
	case OpFault:
		s.Name = pick(g.r, "PutObject", "PutObject", "GetObject", "HeadObject", "CopyObject", "DeleteObject", "PutObjectTagging", "")
		s.Mode, s.Size = uint32(g.r.IntN(6)), 1+g.r.Int64N(3)
	case OpOutside:
		s.Path, s.Size, s.Seed = g.path(r, isKind(unix.S_IFREG)), g.size(), g.r.Uint64()>>24
	}
	return s
}

func (g *Generator) call(op Op, r *Run) Step {
	s := Step{Op: op}
	switch op {
	case OpOpen, OpTmpfile, OpLink, OpClose, OpWrite, OpRead, OpTruncate, OpFsync, OpAllocate:
		g.handle(&s, r)
	case OpPut, OpPatch, OpMap, OpResize, OpCopy:
		g.content(&s, r)
	case OpRename:
		s.Path, s.Path2 = g.path(r, anyKind), g.path(r, anyKind)
		s.Flags = pick(g.r, 0, 0, 0, 0, unix.RENAME_NOREPLACE, unix.RENAME_EXCHANGE)
	case OpUnlink, OpFsyncPath:
		s.Path = g.path(r, anyKind)
	case OpMkdir:
		s.Path, s.Mode = g.path(r, nil), 0o700|g.r.Uint32N(0o100)
	case OpRmdir, OpFill, OpPurge:
		s.Path, s.Size, s.Seed = g.path(r, isKind(unix.S_IFDIR)), 0, 0
		if op == OpFill {
			s.Size = 30 + g.r.Int64N(30)
		}
		if op != OpRmdir {
			s.Seed = g.r.Uint64() >> 24
		}
	case OpSymlink:
		s.Path, s.Name = g.path(r, nil), fmt.Sprintf("nowhere/%d", g.r.Uint64()>>uint(g.r.IntN(60)))
	case OpChmod:
		s.Path, s.Mode = g.pathOrRoot(r), 0o700|g.r.Uint32N(0o100)
	case OpUtimes:
		s.Path, s.Off = g.pathOrRoot(r), g.r.Int64N(2_000_000_000)*1_000_000_000+g.r.Int64N(1_000_000_000)
	case OpSetXattr, OpDelXattr:
		s.Path, s.Name = g.pathOrRoot(r), "user."+pick(g.r, "a", "b", "mime_type")
		if op == OpSetXattr {
			s.Size, s.Seed = g.r.Int64N(120), g.r.Uint64()>>24
			s.Flags = pick(g.r, 0, 0, 0, unix.XATTR_CREATE, unix.XATTR_REPLACE)
		}
	}
	return s
}

// pathOrRoot is a path for a change of attributes, which the mount point has as well.
func (g *Generator) pathOrRoot(r *Run) string {
	if g.r.IntN(20) == 0 {
		return ""
	}
	return g.path(r, anyKind)
}

func (g *Generator) handle(s *Step, r *Run) {
	s.Slot = g.r.IntN(slots)
	have := int64(0)
	if h := r.open[s.Slot]; h != nil {
		have = int64(len(h.file.data))
	}
	switch s.Op {
	case OpOpen:
		s.Path = g.path(r, isKind(unix.S_IFREG))
		s.Flags = pick(g.r, 0, 0, unix.O_CREAT, unix.O_CREAT, unix.O_APPEND, unix.O_CREAT|unix.O_EXCL, unix.O_TRUNC, unix.O_CREAT|unix.O_TRUNC)
	case OpTmpfile:
		s.Path, s.Flags = g.path(r, isKind(unix.S_IFDIR)), pick(g.r, 0, 0, 0, unix.O_EXCL)
	case OpLink:
		s.Path = g.path(r, nil)
	case OpWrite:
		s.Off, s.Size, s.Seed = g.offset(have), g.size(), g.r.Uint64()>>24
	case OpRead:
		s.Off, s.Size = g.offset(have), g.size()
	case OpTruncate:
		s.Size = g.offset(have)
	case OpAllocate:
		s.Off, s.Size = g.offset(have), g.size()
		s.Flags = pick(g.r, 0, unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE,
			unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_ZERO_RANGE, unix.FALLOC_FL_ZERO_RANGE|unix.FALLOC_FL_KEEP_SIZE)
	}
}

func (g *Generator) content(s *Step, r *Run) {
	s.Path = g.path(r, isKind(unix.S_IFREG))
	have := int64(0)
	if n, err := r.tree.find(s.Path); err == nil {
		have = int64(len(n.data))
	}
	s.Off, s.Size, s.Seed = g.offset(have), g.size(), g.r.Uint64()>>24
	switch s.Op {
	case OpPut:
		s.Off = 0
	case OpResize:
		s.Size, s.Off, s.Seed = g.offset(have), 0, 0
	case OpCopy:
		s.Path2, s.Off2, s.Seed = g.path(r, isKind(unix.S_IFREG)), g.offset(have), 0
	}
}

// size is small, about a block, or large.
func (g *Generator) size() int64 {
	switch g.r.IntN(10) {
	case 0:
		return 1 + g.r.Int64N(16)
	case 1, 2:
		return 4096 + g.r.Int64N(3) - 1
	case 3:
		return 1 + g.r.Int64N(g.p.MaxSize/2)
	default:
		return 1 + g.r.Int64N(9000)
	}
}

// offset is within a file, at its edges, or behind it.
func (g *Generator) offset(have int64) int64 {
	var off int64
	switch g.r.IntN(6) {
	case 0:
		off = 0
	case 1:
		off = have
	case 2:
		off = have + g.r.Int64N(70_000)
	case 3:
		off = g.r.Int64N(have/4096+1) * 4096
	default:
		off = g.r.Int64N(have + 1)
	}
	return min(off, g.p.MaxSize/2)
}

func isKind(kind uint32) func(*node) bool { return func(n *node) bool { return n.kind == kind } }

func anyKind(*node) bool { return true }

// path is mostly one that has the wanted kind, at times any.
func (g *Generator) path(r *Run, want func(*node) bool) string {
	var dirs, fit []string
	dirs = append(dirs, "")
	r.tree.walk(func(path string, n *node) {
		if n.isDir() {
			dirs = append(dirs, path)
		}
		if want != nil && want(n) {
			fit = append(fit, path)
		}
	})
	if len(fit) > 0 && g.r.IntN(4) > 0 {
		return pick(g.r, fit...)
	}
	dir := pick(g.r, dirs...)
	if depth(dir) >= 3 {
		dir = ""
	}
	return join(dir, pick(g.r, components...))
}

func depth(p string) (n int) {
	for _, c := range p {
		if c == '/' {
			n++
		}
	}
	return n
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }
