package converge

import "container/heap"

// A key waits for changes of other keys, or for the order: that all older content is in the bucket. Very many keys can wait for
// the order, a whole deleted tree behind one slow upload. They stand in a heap by the sequence number of what they wait for, and
// only those whose time has come are looked at. A few scouts among them look whenever the oldest content changes, because the
// rule that ends a deadlock (R10) is applied by the plan of a key that waits.

// New names that wait for older content (rulePublish) stand in a heap of their own. The first few of them look whenever content has
// arrived, and more when the oldest content is in another directory than before, because files of one directory can go together.
const (
	fewNext  = 2
	manyNext = 16
)

// orderHeap has the key with the oldest state first.
type orderHeap []*slot

func (h orderHeap) Len() int           { return len(h) }
func (h orderHeap) Less(i, j int) bool { return h[i].seq < h[j].seq }
func (h orderHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].rank, h[j].rank = i+1, j+1
}

// Push implements heap.Interface.
func (h *orderHeap) Push(x any) {
	s := x.(*slot) //nolint:forcetypeassert // only slots are pushed
	*h = append(*h, s)
	s.rank = len(*h)
}

// Pop implements heap.Interface.
func (h *orderHeap) Pop() any {
	old := *h
	s := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	s.rank = 0
	return s
}

// waitLocked notes what a key waits for. Of those that wait for the order only scouts watch keys: otherwise each change of the
// oldest content would mean a look at all.
func (s *schedule) waitLocked(k *slot, w *waiting) {
	if w.publish {
		k.seq, k.publish, k.looked = w.seq, true, w.planned
		heap.Push(&s.publish, k)
		s.lookLocked(w.keys)
		return
	}
	if w.order {
		k.seq = w.seq
		heap.Push(&s.order, k)
		if len(s.scouts) >= maxScouts {
			return
		}
		s.scouts[k] = struct{}{}
	}
	for _, key := range w.keys {
		if key == k.key {
			continue
		}
		if s.waiters[key] == nil {
			s.waiters[key] = map[*slot]struct{}{}
		}
		s.waiters[key][k] = struct{}{}
		k.wait = append(k.wait, key)
	}
}

// lookLocked lets those look that hold back a new name and wait with theirs, unless they have since content arrived last. So the one
// that can go is found, wherever it stands in the heap.
func (s *schedule) lookLocked(keys []string) {
	for _, key := range keys {
		if k := s.keys[key]; k != nil && k.publish && k.rank > 0 && k.looked < s.arrival {
			s.soonLocked(key, 0)
		}
	}
}

// stopWaitingLocked takes back what waitLocked noted.
func (s *schedule) stopWaitingLocked(k *slot) {
	for _, key := range k.wait {
		delete(s.waiters[key], k)
		if len(s.waiters[key]) == 0 {
			delete(s.waiters, key)
		}
	}
	k.wait = nil
	switch {
	case k.rank > 0 && k.publish:
		heap.Remove(&s.publish, k.rank-1)
	case k.rank > 0:
		heap.Remove(&s.order, k.rank-1)
	}
	k.rank, k.publish = 0, false
	delete(s.scouts, k)
}

// ordered counts the keys that wait for the order, and names some.
func (s *schedule) ordered(some int) (total int, keys []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range []orderHeap{s.order, s.publish} {
		total += len(h)
		for n := 0; n < len(h) && len(keys) < some; n++ {
			keys = append(keys, h[n].key)
		}
	}
	return total, keys
}

// keepScoutsLocked lets the first of those that wait for the order look, when there is no scout.
func (s *schedule) keepScoutsLocked() {
	if len(s.scouts) == 0 && len(s.order) > 0 {
		s.soonLocked(s.order[0].key, 0)
	}
}

// arrived notes that the oldest content may have changed. It reports whether anybody waits for that; release is to be called
// then.
func (s *schedule) arrived() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	s.arrival = s.epoch
	return len(s.order)+len(s.publish) > 0
}

// release makes the keys due that wait for content older than front, the number of the oldest content that is not in the bucket
// yet or of the oldest object that is still to go, and the keys of these two. When it is another than last time, scouts look.
func (s *schedule) release(front uint64, keys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.order) > 0 && s.order[0].seq <= front {
		k, _ := heap.Pop(&s.order).(*slot)
		s.soonLocked(k.key, 0)
	}
	for _, key := range keys {
		if k := s.keys[key]; k != nil && k.rank > 0 {
			s.soonLocked(key, 0)
		}
	}
	look := fewNext
	if dir := parentKey(keys[0]); dir != s.frontDir {
		s.frontDir, look = dir, manyNext
	}
	for n := 0; n < look && len(s.publish) > 0; n++ {
		k, _ := heap.Pop(&s.publish).(*slot)
		k.publish = false
		s.soonLocked(k.key, 0)
	}
	if front == s.front {
		return
	}
	s.front = front
	for k := range s.scouts {
		s.soonLocked(k.key, 0)
	}
}
