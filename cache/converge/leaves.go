package converge

import (
	"context"
	"errors"
	"time"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// Large objects have leaf tags in an object of their own. The index notes in the transaction that records a request which of these
// nothing needs any more. They are removed from here, one at a time, and forgotten when they are gone: a crash in between repeats
// the removal.
const (
	leafEvery = time.Second
	leafBatch = 100
)

// dropLeaves removes leaf-tag objects until the converger is closed.
func (c *Converger) dropLeaves() {
	tick := time.NewTicker(leafEvery)
	defer tick.Stop()
	var pause time.Duration
	var next time.Time
	for {
		select {
		case <-c.stop:
			return
		case <-tick.C:
		}
		if time.Now().Before(next) {
			continue
		}
		err := c.dropSome()
		if err == nil || errors.Is(err, index.ErrClosed) || errors.Is(err, errStopped) {
			pause = 0
			continue
		}
		pause = min(maxPause, max(leafEvery, 2*pause))
		next = time.Now().Add(pause)
		c.log.Info("leaf tags of removed files have to wait", "error", err, "again", pause)
	}
}

// dropSome removes a batch of leaf-tag objects.
func (c *Converger) dropSome() error {
	var list []index.ID
	err := c.o.DB.View(func(tx *index.Tx) (err error) {
		list, err = tx.UnusedLeaves(leafBatch)
		return err
	})
	for _, id := range list {
		if err == nil && c.isStopped() {
			return errStopped
		}
		if err == nil {
			err = c.dropLeaf(id)
		}
	}
	return err
}

// dropLeaf removes the leaf-tag object of a generation, unless a key has got the generation again.
func (c *Converger) dropLeaf(id index.ID) error {
	needed := false
	err := c.o.DB.View(func(tx *index.Tx) (err error) {
		needed, err = tx.LeafNeeded(id)
		return err
	})
	if err == nil && !needed {
		ctx, cancel := context.WithTimeout(c.ctx, callTime)
		defer cancel()
		if err = c.o.Store.DropLeaf(ctx, object.ID(id)); err == nil {
			c.counts.leaves.Add(1)
		}
	}
	if err != nil {
		return err
	}
	return c.o.DB.Update(func(tx *index.Tx) error { return tx.LeafRemoved(id) })
}
