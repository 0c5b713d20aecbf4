package body

import "context"

// readAhead learns from a read at off how the file is read, and fetches what will come next.
func (r *remote) readAhead(off, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := chunkOf(off)
	near := off >= r.next-chunkSize && off <= r.next+chunkSize
	r.next = off + n
	if !near || off == 0 && r.window == 0 {
		r.window, r.ahead = chunkSize, c
		if n > 0 && off%chunkSize+n <= chunkSize {
			return // a single chunk: read asks for it
		}
	} else {
		r.window = min(r.window*2, r.s.ahead64)
	}
	r.ahead = max(r.ahead, c)
	limit := min(chunkOf(off+n-1)+1+r.window/chunkSize, r.chunks())
	if limit-r.ahead < r.window/chunkSize/2 && limit < r.chunks() {
		return // enough is under way
	}
	step := min(max(r.window/8, chunkSize), maxGet) / chunkSize
	for c := r.ahead; c < limit; c += step {
		r.ensureLocked(c, min(c+step, limit))
	}
	r.ahead = max(r.ahead, limit)
}

// makeRoom makes room for n chunks: other content goes first, then the file's own earliest chunks behind its reader. When
// nothing can go the chunks are taken over the limit, since a reader must not wait for writers.
func (r *remote) makeRoom(ctx context.Context, n int64) {
	want := n * chunkSize
	if r.s.space.over(want) <= 0 || r.hasRoom(want) {
		return
	}
	r.giveBack(r.s.space.over(want))
	r.s.ahead(ctx, want)
}

// hasRoom reports whether room for n bytes of chunks is counted already.
func (r *remote) hasRoom(n int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reserved >= n
}

// giveBack throws away chunks of at least n bytes, those that came first before others, but none that the reader is at.
func (r *remote) giveBack(n int64) {
	r.punch.Lock()
	defer r.punch.Unlock()
	f, err := r.s.files.get(r.file)
	if err != nil {
		return
	}
	defer r.s.files.put(f)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kept || r.claims > 0 {
		return
	}
	var keep []int64
	for i, c := range r.order {
		if n <= 0 {
			keep = append(keep, r.order[i:]...)
			break
		}
		if near := c >= chunkOf(r.next)-1 && c <= r.ahead; near || r.wanted[c] > 0 {
			keep = append(keep, c)
			continue
		}
		off, k := r.span(c)
		delete(r.have, c)
		f.punch(off, chunkSize)
		r.s.growRemote(r.file, -k)
		n -= k
	}
	r.order = keep
}
