package localfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// ErrTooLarge says that a file has more bytes than its role allows.
var ErrTooLarge = errors.New("the file is too large")

// Read is the content of a file of at most limit bytes, opened as Open does. What has been read is left in no other memory than the
// result, which is the caller's to wipe. The end of ctx ends the waiting for a pipe.
func Read(ctx context.Context, path string, role Role, limit int64) ([]byte, error) {
	f, err := Open(path, role)
	if err != nil {
		return nil, err
	}
	text, err := ReadOpen(ctx, f, limit)
	return text, errors.Join(err, f.Close())
}

// ReadOpen is Read for a file that Open opened; it does not close it.
func ReadOpen(ctx context.Context, f *os.File, limit int64) ([]byte, error) {
	r, release := interruptible(ctx, f)
	defer release()
	text, err := readAll(r, limit)
	switch {
	case err != nil:
		clear(text)
		return nil, fmt.Errorf("read %s: %w", f.Name(), err)
	case int64(len(text)) > limit:
		clear(text)
		return nil, fmt.Errorf("read %s: more than %d bytes: %w", f.Name(), limit, ErrTooLarge)
	case len(text) == 0 && isPipe(f):
		return nil, &Refused{Path: f.Name(), Why: "is a pipe with nothing in it", Mend: "what is in a pipe can be read once; give a file when it is needed again"}
	}
	return text, nil
}

// readAll reads up to one byte more than limit, and wipes the smaller buffers that it goes through.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	text := make([]byte, 0, min(limit+1, 4<<10))
	for {
		if len(text) == cap(text) {
			if int64(len(text)) > limit {
				return text, nil
			}
			larger := make([]byte, len(text), min(limit+1, 2*int64(cap(text))))
			copy(larger, text)
			clear(text)
			text = larger
		}
		n, err := r.Read(text[len(text):cap(text)])
		text = text[:len(text)+n]
		if errors.Is(err, io.EOF) {
			return text, nil
		}
		if err != nil {
			return text, err //nolint:wrapcheck // the caller adds the path
		}
	}
}

// interruptible reads from a file until ctx ends, even while it waits for the other end of a pipe or for a terminal.
func interruptible(ctx context.Context, f *os.File) (r io.Reader, release func() bool) {
	release = context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) }) // a regular file has none, and needs none
	return readerFunc(func(p []byte) (int, error) {
		n, err := f.Read(p)
		return n, endOf(ctx, err)
	}), release
}

type readerFunc func(p []byte) (int, error)

// Read implements io.Reader.
func (read readerFunc) Read(p []byte) (int, error) { return read(p) }

// endOf is the reason for a deadline that the end of ctx has set.
func endOf(ctx context.Context, err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
