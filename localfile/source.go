package localfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Source is a file whose content is passed on: of any kind that can be read, a named pipe and a terminal included.
type Source struct {
	io.Reader             // an io.ReaderAt, too, when it is a regular file
	Info      fs.FileInfo // of the open file
	file      *os.File
	release   func() bool
}

// OpenSource opens a source. It waits for a writer of a named pipe, and for what any pipe or terminal holds, until ctx ends.
func OpenSource(ctx context.Context, path string) (*Source, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0) //nolint:gosec // the user names the file
	if err != nil {
		return nil, explain(path, err)
	}
	s := &Source{file: f, Reader: f, release: func() bool { return true }}
	if s.Info, err = f.Stat(); err == nil {
		err = s.prepare(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), s.Close())
	}
	return s, nil
}

// prepare makes the reading wait as that of an ordinary descriptor does.
func (s *Source) prepare(ctx context.Context) error {
	if s.Info.Mode().IsRegular() || s.Info.IsDir() {
		return blocking(s.file)
	}
	s.Reader, s.release = interruptible(ctx, s.file)
	if s.Info.Mode().Type() != fs.ModeNamedPipe {
		return nil
	}
	// Opened without waiting, a named pipe that had no writer yet reads as one that was written to the end.
	conn, err := s.file.SyscallConn()
	if err != nil {
		return err //nolint:wrapcheck // the caller adds the path
	}
	err = conn.Read(func(fd uintptr) bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0) //nolint:gosec // a descriptor fits
		return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
	})
	return endOf(ctx, err)
}

// Close closes the file.
func (s *Source) Close() error {
	s.release()
	return s.file.Close() //nolint:wrapcheck // it names the path
}
