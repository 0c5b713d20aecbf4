package body

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
)

// sealRange appends the content of [from, to) to e's stream and file. What is sealed is written while the next step is read.
func (s *Store) sealRange(ctx context.Context, b *body, e *edit, from, to int64, background bool) error {
	d, err := s.files.get(e.row.file)
	if err != nil {
		return err
	}
	defer s.files.put(d)
	w := s.newStepWriter(d)
	for off := from; off < to && err == nil; off += stepSize {
		if err = ctx.Err(); err != nil {
			break
		}
		buf := s.buffer(int(min(stepSize, to-off)))
		if err = s.sealStep(b, e, buf, off, background); err != nil {
			s.recycle(buf)
			break
		}
		w.steps <- step{buf, off}
		if w.failed.Load() {
			break
		}
		s.registerFile(e.row.file, b.ino, off+int64(len(buf)))
	}
	return errors.Join(err, w.end())
}

// sealStep seals the content at off into buf.
func (s *Store) sealStep(b *body, e *edit, buf []byte, off int64, background bool) error {
	b.mu.RLock()
	err := s.readLocked(b, buf, off)
	stop := background && b.yield
	b.mu.RUnlock()
	if err != nil {
		return fmt.Errorf("inode %d: seal at %d: %w", b.ino, off, err)
	}
	if stop {
		return errYield
	}
	return e.stream.Seal(buf, buf)
}

// step is ciphertext on its way to a file.
type step struct {
	buf []byte
	off int64
}

// stepWriter writes steps in a goroutine of its own; end waits for it.
type stepWriter struct {
	steps  chan step
	failed atomic.Bool
	err    error // set before done is closed
	done   chan struct{}
}

func (s *Store) newStepWriter(d *diskFile) *stepWriter {
	w := &stepWriter{steps: make(chan step, 2), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for st := range w.steps {
			if w.err == nil {
				w.err = d.writeAt(st.buf, st.off)
				w.failed.Store(w.err != nil)
			}
			s.recycle(st.buf)
		}
	}()
	return w
}

// end waits until all steps are written.
func (w *stepWriter) end() error {
	close(w.steps)
	<-w.done
	return w.err
}
