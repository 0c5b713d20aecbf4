package testenv

import (
	"sync/atomic"
	"time"

	"github.com/ossencfs/ossencfs/emulator"
)

// Clock is an emulator's clock that stands until it is moved, so that tests decide which objects are of the same second.
type Clock struct {
	begun time.Time
	moved atomic.Int64
}

// NewClock is a clock that stands at the time of now.
func NewClock() *Clock { return &Clock{begun: time.Now()} }

// Advance moves the clock on. Requests are refused when it is more than 15 minutes away from the clients'.
func (c *Clock) Advance(d time.Duration) { c.moved.Add(int64(d)) }

// Use is for Options.Emulator.
func (c *Clock) Use(o *emulator.Options) {
	o.Now = func() time.Time { return c.begun.Add(time.Duration(c.moved.Load())) }
}
