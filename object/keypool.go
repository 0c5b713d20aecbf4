package object

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/ossencfs/ossencfs/cipher"
	"github.com/ossencfs/ossencfs/keys"
)

const (
	poolMost    = 32   // prepared keys that wait at most
	poolShare   = 16   // sealings for which one key is prepared: what is never used costs little of what was
	poolWorkers = 4    // keys that are prepared at the same time
	poolUnused  = 64   // prepared keys of content that is not in the bucket yet; most files come to be, but not all
	poolWraps   = 1024 // envelopes that are remembered, of 1 to 2 KB each: for the upload, and for the same content under other attributes
	poolPause   = 30 * time.Second
)

// keyPool prepares content keys where wrapping one is a request to KMS: drawn and wrapped ahead of the content, so that an upload need
// not wait. It fills itself in the background while it is used, in proportion to what is sealed, and not at all at an idle mount. newKeyPool makes
// it. What is in it is in memory only: after a restart, content is wrapped at its upload.
type keyPool struct {
	prepare func(context.Context) (*ContentKey, map[string]string, error) // nil: wrapping costs no request, nothing is prepared

	ctx    context.Context // ends with close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	closed  bool
	sealed  int           // sealings so far
	ready   []preparedKey // that wait
	workers int           // that prepare one each
	unused  int           // prepared keys that were taken and are not uploaded yet
	until   time.Time     // nothing is prepared before, since KMS failed
	wraps   map[ID]preparedKey
	order   []ID // of wraps, oldest first; some may be gone
}

// preparedKey is a content key with the headers of its envelope, but for those of parts.
type preparedKey struct {
	key      *ContentKey
	headers  map[string]string
	prepared bool // counts in unused
}

// newKeyPool makes the pool of a keyring.
func newKeyPool(ring *keys.Keyring, d cipher.Dialect) *keyPool {
	p := &keyPool{wraps: make(map[ID]preparedKey)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	if ring.Primary().Supports(keys.KMSText) {
		p.prepare = func(ctx context.Context) (*ContentKey, map[string]string, error) {
			return cipher.PrepareContentKey(ctx, ring, d)
		}
	}
	return p
}

// on reports whether wrapping a key is worth preparing.
func (p *keyPool) on() bool { return p != nil && p.prepare != nil }

// NewSealing begins a sealing under a fresh key and with a random generation id. With a KMS key, the key may be one that is wrapped
// already; Put then asks KMS for nothing. It never waits.
func (b *Bucket) NewSealing() (*Sealing, error) {
	p, ok := b.pool.take()
	if !ok {
		return cipher.NewSealing()
	}
	s, err := cipher.NewSealingUnder(p.key)
	if err == nil {
		b.pool.remember(ID(s.GenerationID()), p)
	}
	return s, err
}

// take takes a prepared key where there is one, and has others prepared.
func (p *keyPool) take() (k preparedKey, ok bool) {
	if !p.on() {
		return k, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sealed++
	if n := len(p.ready); n > 0 {
		k, ok = p.ready[0], true
		p.ready = p.ready[1:]
		p.unused++
	}
	p.fillLocked()
	return k, ok
}

// fillLocked starts as many workers as there are keys missing.
func (p *keyPool) fillLocked() {
	for !p.closed && p.workers < poolWorkers && p.lacksLocked() {
		p.workers++
		p.wg.Add(1)
		go p.work()
	}
}

// lacksLocked reports whether another key should be prepared.
func (p *keyPool) lacksLocked() bool {
	coming := len(p.ready) + p.workers
	return coming < min(p.sealed/poolShare, poolMost) && coming+p.unused < poolUnused && !time.Now().Before(p.until)
}

// work prepares one key after the other. When KMS fails it ends, and nothing is prepared for a while.
func (p *keyPool) work() {
	defer p.wg.Done()
	for {
		k, headers, err := p.prepare(p.ctx)
		p.mu.Lock()
		p.workers--
		if err != nil {
			p.until = time.Now().Add(poolPause)
		} else if !p.closed {
			p.ready = append(p.ready, preparedKey{key: k, headers: headers, prepared: true})
		}
		more := err == nil && !p.closed && p.lacksLocked()
		if more {
			p.workers++
		}
		p.mu.Unlock()
		if !more {
			return
		}
	}
}

// remember keeps the envelope of a generation.
func (p *keyPool) remember(generation ID, k preparedKey) {
	if !p.on() || generation.IsZero() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.wraps[generation]; !known {
		p.order = append(p.order, generation)
	}
	p.forgetLocked(generation)
	p.wraps[generation] = k
	for len(p.order) > poolWraps {
		p.forgetLocked(p.order[0])
		p.order = p.order[1:]
	}
}

// envelope is what is remembered of a generation, a copy; nil when nothing is.
func (p *keyPool) envelope(generation ID, k *ContentKey) map[string]string {
	if !p.on() {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if w, ok := p.wraps[generation]; ok && w.key.Equal(k) {
		return maps.Clone(w.headers)
	}
	return nil
}

// uploaded notes that a generation is in the bucket. Its envelope is kept: content that is stored again under other attributes has the same.
func (p *keyPool) uploaded(generation ID) {
	if !p.on() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if w, ok := p.wraps[generation]; ok && w.prepared {
		w.prepared = false
		p.wraps[generation] = w
		p.unused--
	}
	p.fillLocked()
}

// forgetLocked forgets one envelope.
func (p *keyPool) forgetLocked(generation ID) {
	if w, ok := p.wraps[generation]; ok {
		delete(p.wraps, generation)
		if w.prepared {
			p.unused--
		}
	}
}

// close ends what is being prepared and forgets all keys.
func (p *keyPool) close() {
	if p == nil {
		return
	}
	p.cancel()
	p.mu.Lock()
	p.closed, p.ready = true, nil
	clear(p.wraps)
	p.mu.Unlock()
	p.wg.Wait()
}
