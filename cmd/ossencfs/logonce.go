package main

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// repeatAfter is how long the same line is not logged again. The kernel repeats a read that failed, and programs do: one
// line says which file and why.
const repeatAfter = time.Minute

// maxRecent bounds the lines that are remembered.
const maxRecent = 1024

// onceHandler leaves out lines that were logged a moment ago.
type onceHandler struct {
	slog.Handler
	recent *recentLines
	prefix string // of attributes that WithAttrs added
}

// recentLines are the lines of the last moment.
type recentLines struct {
	mu   sync.Mutex // mu guards the field below
	seen map[string]time.Time
}

// newOnceHandler wraps a handler.
func newOnceHandler(h slog.Handler) *onceHandler {
	return &onceHandler{Handler: h, recent: &recentLines{seen: map[string]time.Time{}}}
}

// Handle implements slog.Handler.
func (h *onceHandler) Handle(ctx context.Context, r slog.Record) error {
	var line strings.Builder
	line.WriteString(h.prefix + r.Level.String() + " " + r.Message)
	r.Attrs(func(a slog.Attr) bool {
		line.WriteString(" " + a.String())
		return true
	})
	if h.recent.again(line.String(), r.Time) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *onceHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	prefix := h.prefix
	for _, a := range attrs {
		prefix += a.String() + " "
	}
	return &onceHandler{Handler: h.Handler.WithAttrs(attrs), recent: h.recent, prefix: prefix}
}

// WithGroup implements slog.Handler.
func (h *onceHandler) WithGroup(name string) slog.Handler {
	return &onceHandler{Handler: h.Handler.WithGroup(name), recent: h.recent, prefix: h.prefix + name + "."}
}

// again reports whether a line was there within repeatAfter, and notes it.
func (r *recentLines) again(line string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, ok := r.seen[line]; ok && now.Sub(last) < repeatAfter {
		return true
	}
	if len(r.seen) >= maxRecent {
		for old, at := range r.seen {
			if now.Sub(at) >= repeatAfter {
				delete(r.seen, old)
			}
		}
	}
	if len(r.seen) < maxRecent {
		r.seen[line] = now
	}
	return false
}
