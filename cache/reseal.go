package cache

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// Pauses between attempts to seal a file after its close could not.
const (
	resealFirst = 2 * time.Second
	resealMost  = time.Minute
)

// resealer tries again to seal files that could not be sealed at their close, for example because the disk was full. Their bytes
// are safe meanwhile, but nothing can be uploaded.
type resealer struct {
	ctx  context.Context // ends with the cache
	work *workers

	mu   sync.Mutex // guards the field below
	list map[Ino]bool
}

func newResealer(ctx context.Context, work *workers) *resealer {
	return &resealer{ctx: ctx, work: work, list: make(map[Ino]bool)}
}

// add begins to try, unless it is tried already.
func (r *resealer) add(ino Ino, seal func(context.Context, Ino) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.list[ino] {
		return
	}
	r.list[ino] = true // also when nothing is started any more: Close seals what is listed
	r.work.run(func() { r.try(ino, seal) })
}

func (r *resealer) try(ino Ino, seal func(context.Context, Ino) error) {
	for pause := resealFirst; ; pause = min(2*pause, resealMost) {
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-r.ctx.Done():
			timer.Stop()
			return
		}
		if seal(r.ctx, ino) == nil {
			r.mu.Lock()
			delete(r.list, ino)
			r.mu.Unlock()
			return
		}
	}
}

// left lists what is not sealed.
func (r *resealer) left() []Ino {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.list))
}
