package body

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/ossencfs/ossencfs/cache/index"
)

var modelSeeds = flag.Uint64("body.seeds", 4, "random sequences that TestModel runs")

// model runs random calls against a store and a []byte for each file.
type model struct {
	*env
	r      *rand.Rand
	inos   []index.Ino
	files  [][]byte
	images map[string][]byte // by content key: the ciphertext that any image of the disk held
	failAt atomic.Int32      // number of writes to the disk until one fails; 0: never
}

// checkHoles: no block that holds data counts as a hole.
func (m *model) checkHoles(i int) {
	m.t.Helper()
	in, _, err := m.db.Inode(m.inos[i])
	if err != nil {
		m.t.Fatal(err)
	}
	blank := int64(0)
	for at := 0; at < len(m.files[i]); at += blockSize {
		if len(bytes.Trim(m.files[i][at:min(at+blockSize, len(m.files[i]))], "\x00")) == 0 {
			blank += blockSize
		}
	}
	if in.Holes < 0 || in.Holes > blank {
		m.t.Fatalf("%d bytes of holes, in a file of %d bytes of which %d are in blocks of zeros", in.Holes, len(m.files[i]), blank)
	}
}

// Whatever the calls, their order, crashes between them and disk errors within them: content is what the model says, and no
// image of the disk ever holds different ciphertext at one position under one key.
func TestModel(t *testing.T) {
	for seed := range *modelSeeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := &model{r: rand.New(rand.NewPCG(seed, 1)), images: map[string][]byte{}}
			e := newEnv(t, Options{SmallMax: 8 << 10, Limit: 16 << 20, fault: m.fault})
			m.env = e
			for i := range 4 {
				m.inos, m.files = append(m.inos, e.file(fmt.Sprint("f", i))), append(m.files, nil)
			}
			for step := range 250 {
				i := m.r.IntN(len(m.inos))
				what := m.step(i)
				if t.Failed() {
					t.Fatalf("seed %d step %d: %s of %d", seed, step, what, i)
				}
				got, err := e.tryReadAll(m.inos[i])
				if err != nil || !bytes.Equal(got, m.files[i]) {
					t.Fatalf("seed %d step %d: after %s of %d: %d bytes, want %d, differ at %d: %v",
						seed, step, what, i, len(got), len(m.files[i]), differ(got, m.files[i]), err)
				}
				m.checkHoles(i)
				m.lookAtDisk()
			}
			m.failAt.Store(0)
			e.close()
			e.open()
			for i, ino := range m.inos {
				e.want(ino, m.files[i])
			}
		})
	}
}

// fault is Options.fault: it fails the write that failAt counts down to.
func (m *model) fault() error {
	if m.failAt.Load() > 0 && m.failAt.Add(-1) == 0 {
		return syscall.ENOSPC
	}
	return nil
}

// step makes one call on file i and changes the model alike.
func (m *model) step(i int) string {
	ctx, ino, size := context.Background(), m.inos[i], int64(len(m.files[i]))
	if m.r.IntN(10) == 0 {
		m.failAt.Store(1 + m.r.Int32N(3))
	}
	defer func() { m.failAt.Store(0) }()
	failed := func(err error) bool {
		if err != nil && !errors.Is(err, ErrNoSpace) {
			m.t.Error(err)
		}
		return err != nil
	}
	switch k := m.r.IntN(100); {
	case k < 25: // append
		p := random(m.r.Uint64(), 1+m.r.IntN([]int{100, 5000, 90_000}[m.r.IntN(3)]))
		if size < 1<<20 && !failed(m.s.Write(ctx, ino, size, p)) {
			m.files[i] = append(m.files[i], p...)
		}
		return "append"
	case k < 50: // anywhere
		off := m.r.Int64N(size + 70_000)
		p := random(m.r.Uint64(), 1+m.r.IntN([]int{10, 4096, 140_000}[m.r.IntN(3)]))
		if !failed(m.s.Write(ctx, ino, off, p)) {
			m.files[i] = grow(m.files[i], off+int64(len(p)))
			copy(m.files[i][off:], p)
		}
		return fmt.Sprintf("write %d at %d of %d", len(p), off, size)
	case k < 58:
		to := m.r.Int64N(size + 50_000)
		if m.r.IntN(4) == 0 {
			to = 0
		}
		if !failed(m.s.Truncate(ctx, ino, to)) {
			m.files[i] = grow(m.files[i], to)[:to]
		}
		return fmt.Sprintf("truncate %d to %d", size, to)
	case k < 66:
		off, n := m.r.Int64N(size+10), 1+m.r.Int64N(150_000)
		if !failed(m.s.PunchHole(ctx, ino, off, n)) && off < size {
			clear(m.files[i][off:min(off+n, size)])
		}
		return fmt.Sprintf("punch %d at %d of %d", n, off, size)
	case k < 80:
		failed(m.s.Seal(ctx, ino))
		return "seal"
	case k < 86:
		m.failAt.Store(0)
		m.seal(ino)
		if err := m.s.Fetch(ctx, ino); err != nil {
			m.t.Error(err)
		}
		m.upload(ino, fmt.Sprint("f", i))
		return "upload"
	case k < 90:
		m.failAt.Store(0)
		m.evictAll()
		return "evict"
	case k < 93:
		failed(m.s.Fsync(ctx, ino))
		return "fsync"
	case k < 95:
		failed(m.s.collect(ctx))
		return "collect"
	case k < 98:
		m.crash()
		return "crash"
	default:
		m.failAt.Store(0)
		m.close()
		m.open()
		return "reopen"
	}
}

// grow returns p with at least n bytes.
func grow(p []byte, n int64) []byte {
	if int64(len(p)) < n {
		p = append(p, make([]byte, n-int64(len(p)))...)
	}
	return p
}

// lookAtDisk reads the ciphertext of all bases, the part of their files behind their ends included, and compares it with
// what earlier images held under the same keys.
func (m *model) lookAtDisk() {
	m.t.Helper()
	for i := 0; i < len(m.inos); i++ {
		ino := m.inos[i]
		var rec record
		err := m.db.View(func(tx *index.Tx) (err error) {
			rec, _, err = readRecord(tx, ino)
			return err
		})
		if err != nil {
			m.t.Fatal(err)
		}
		if len(rec.base.secret) == 0 || !rec.base.local() {
			continue
		}
		secret, err := m.db.OpenSecret(labelContent, rec.base.secret)
		if err != nil {
			m.t.Fatal(err)
		}
		image, err := m.imageOf(rec.base)
		if errors.Is(err, os.ErrNotExist) {
			i-- // the seal after a crash has just replaced it
			continue
		}
		if err != nil {
			m.t.Fatal(err)
		}
		key := hex.EncodeToString(secret)
		old := m.images[key]
		n := min(len(old), len(image))
		if d := differ(old[:n], image[:n]); d < n {
			m.t.Fatalf("inode %d: position %d was sealed twice under one key", ino, d)
		}
		if len(image) > len(old) {
			m.images[key] = bytes.Clone(image)
		}
	}
}

func (m *model) imageOf(row baseRow) ([]byte, error) {
	if row.file != 0 {
		return os.ReadFile(m.s.files.path(row.file))
	}
	var image []byte
	for i, p := range row.pieces {
		n := p.n
		if i == len(row.pieces)-1 {
			n = p.cap // behind p.n is what a failed write may have left
		}
		f, err := os.Open(m.s.segs.files.path(uint64(p.seg)))
		if err != nil {
			return nil, err
		}
		b := make([]byte, n)
		got, err := f.ReadAt(b, p.off)
		_ = f.Close()
		if err != nil && (!errors.Is(err, io.EOF) || got < int(p.n)) {
			return nil, err
		}
		image = append(image, b[:p.n]...)
		image = append(image, bytes.TrimRight(b[p.n:], "\x00")...)
	}
	return image, nil
}

// No byte of content is on the disk in the clear: not in streams, working copies, sealed bodies, the index or what a crash
// leaves, nor what was fetched of an object that is not encrypted.
func TestNoPlaintextOnDisk(t *testing.T) {
	canary := []byte("CANARY-7d1f0a-in-the-clear")
	page := bytes.Repeat(canary, 4096/len(canary)+1)
	big := bytes.Repeat(page, 300)
	e := newEnv(t, Options{})
	look := func(when string) {
		t.Helper()
		err := filepath.WalkDir(e.dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			p, err := os.ReadFile(path)
			if err == nil && bytes.Contains(p, canary) {
				t.Errorf("%s: plaintext in %s", when, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	small, large, link := e.file("small"), e.file("large"), e.file("link")
	e.write(small, 0, page)
	e.write(large, 0, big)
	look("streams")
	e.write(small, 10, page)
	e.write(large, 100_001, page)
	look("working copies")
	e.crash()
	look("crash")
	e.seal(small)
	e.seal(large)
	err := e.db.Update(func(tx *index.Tx) error {
		in, _, err := tx.Inode(link)
		if err == nil {
			err = e.s.WriteSmall(tx, &in, canary)
		}
		if err == nil {
			err = tx.PutInode(in)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	look("sealed")
	for _, size := range []int{len(page), len(big)} {
		ino := e.foreign(fmt.Sprint("plain", size), big[:size], true)
		e.want(ino, big[:size])
	}
	partly := e.foreign("partly", append(bytes.Clone(big), big...), true)
	if _, err := e.s.Read(context.Background(), partly, 0, make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	look("fetched")
	e.close()
	look("closed")
	e.open()
}
