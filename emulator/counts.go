package emulator

import (
	"sync"
	"sync/atomic"
)

// counters count requests by operation, and body bytes.
type counters struct {
	ops      sync.Map // operation name to *atomic.Int64
	bytesIn  atomic.Int64
	bytesOut atomic.Int64
}

func (c *counters) add(op string) {
	n, ok := c.ops.Load(op)
	if !ok {
		n, _ = c.ops.LoadOrStore(op, &atomic.Int64{})
	}
	n.(*atomic.Int64).Add(1)
}

func (c *counters) in(n int64)  { c.bytesIn.Add(n) }
func (c *counters) out(n int64) { c.bytesOut.Add(n) }

// Requests returns how often each operation was asked for since the start or the last reset, by OSS's and
// KMS's names; refused and faulted requests count too.
func (s *Server) Requests() map[string]int {
	m := map[string]int{}
	s.count.ops.Range(func(op, n any) bool {
		if n := n.(*atomic.Int64).Load(); n > 0 {
			m[op.(string)] = int(n)
		}
		return true
	})
	return m
}

// ResetRequests sets all counts to zero.
func (s *Server) ResetRequests() {
	s.count.ops.Range(func(_, n any) bool {
		n.(*atomic.Int64).Store(0)
		return true
	})
	s.count.bytesIn.Store(0)
	s.count.bytesOut.Store(0)
}

// Bytes is how much content moved, in bytes: request bodies in, response bodies out.
type Bytes struct {
	In  int64 `json:"in"`
	Out int64 `json:"out"`
}

// Bytes returns how much content moved since the start or the last reset.
func (s *Server) Bytes() Bytes { return Bytes{s.count.bytesIn.Load(), s.count.bytesOut.Load()} }
