package main

import (
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"math"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/localfile"
	"github.com/ossencfs/ossencfs/object"
)

// maxLog is the size in bytes at which a log is put aside as FILE.1, over an older one.
const maxLog = 8 << 20

// logAhead is the room that a log takes beforehand, in bytes.
const logAhead = 256 << 10

// logFile is the log of a background mount. Standard output and error go there too, so that a crash leaves its trace.
type logFile struct {
	path  string
	limit int64

	mu    sync.Mutex // mu guards the fields below
	file  *os.File
	size  int64
	stdio bool // standard output and error go here too
}

// openLog opens a log for appending.
func openLog(path string) (*logFile, error) {
	l := &logFile{path: path, limit: maxLog}
	if err := l.open(); err != nil {
		return nil, fmt.Errorf("log file: %w", err)
	}
	return l, nil
}

func (l *logFile) open() error {
	f, err := localfile.OpenLog(l.path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	if l.file, l.size = f, info.Size(); !info.Mode().IsRegular() {
		l.limit = math.MaxInt64 // what is no file is not put aside
		return nil
	}
	// So a disk that is full by then has room for what there is to say about it. Where that cannot be had the log does without.
	_ = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, l.size, logAhead)
	return nil
}

// Write appends one line. When the log is full it begins a new one; when that fails it goes on with the old one.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size+int64(len(p)) > l.limit && l.size > 0 {
		l.rotateLocked()
	}
	n, err := l.file.Write(p)
	l.size += int64(n)
	return n, err
}

func (l *logFile) rotateLocked() {
	old := l.file
	if os.Rename(l.path, l.path+".1") != nil || l.open() != nil {
		return
	}
	old.Close()
	if l.stdio {
		_ = l.takeStdioLocked() // a crash would be told in the old log then
	}
}

// takeStdio points standard output and error at the log.
func (l *logFile) takeStdio() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stdio = true
	return l.takeStdioLocked()
}

func (l *logFile) takeStdioLocked() error {
	for fd := 1; fd <= 2; fd++ {
		if err := unix.Dup3(int(l.file.Fd()), fd, 0); err != nil {
			return fmt.Errorf("redirect to the log: %w", err)
		}
	}
	return nil
}

// newLogger writes lines at or above a level, the same line once a minute at most.
func newLogger(w io.Writer, level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelWarn // the words were checked before
	}
	return slog.New(newOnceHandler(slog.NewTextHandler(w, &slog.HandlerOptions{Level: l})))
}

// logRequest writes a line about a request that has ended.
func logRequest(logger *slog.Logger, a *object.Attempt) {
	attrs := []any{"operation", a.Op, "key", a.Key, "status", a.Status, "bytes", a.Bytes, "took", a.Took.Round(time.Microsecond), "request", a.RequestID}
	if a.Err != nil {
		attrs = append(attrs, "error", a.Err)
	}
	logger.Debug("request", attrs...)
}

// logKMS logs the requests to KMS as those to the bucket.
func logKMS(logger *slog.Logger, ring *keys.Keyring) {
	for _, master := range ring.All() {
		k, ok := master.(*keys.KMS)
		if !ok {
			continue
		}
		k.OnCall(func(action string, took time.Duration, err error) {
			attrs := []any{"operation", action, "key", k.ID(), "took", took.Round(time.Microsecond)}
			if err != nil {
				attrs = append(attrs, "error", err)
			}
			logger.Debug("request", attrs...)
		})
	}
}

// takeLibraryLog sends what libraries print with package log to our log.
func takeLibraryLog(logger *slog.Logger) {
	stdlog.SetFlags(0)
	stdlog.SetOutput(libraryLog{logger})
}

// libraryLog cuts the lines of libraries: net/http quotes up to 64 KiB of a server that talks when it is not asked.
type libraryLog struct{ logger *slog.Logger }

// maxLibraryLine bounds such a line in bytes.
const maxLibraryLine = 200

// Write implements io.Writer; package log calls it once for each line.
func (l libraryLog) Write(p []byte) (int, error) {
	line := strings.TrimSpace(string(p[:min(len(p), maxLibraryLine)]))
	l.logger.Warn("from a library", "text", strings.ToValidUTF8(line, "?"))
	return len(p), nil
}
