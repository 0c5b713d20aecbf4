package cache

import (
	"context"
	"encoding/binary"
	"sync"

	"github.com/ossencfs/ossencfs/cache/index"
)

const (
	// answerTable has the last calls that changed names or extended attributes, with their outcome.
	answerTable = 'a'
	// maxAnswers is how many. A call that was executed and not answered is in the hands of a process that died; this many
	// others are not executed between the two.
	maxAnswers = 4096
)

// Request is the context of a call of the kernel that may come again in a later life, because its answer was not given. Calls
// that mean the same when they are executed twice need none.
type Request interface {
	context.Context
	// Request is the call's number, unique within a mount and never 0, and whether it comes again.
	Request() (id uint64, again bool)
	// Caller is on whose behalf the kernel asks.
	Caller() Caller
}

// answers remembers executed calls, so that one which comes again is answered and not executed again: it would find that the name
// exists already, or that it is gone.
//
//	answer = seq id ino     8 bytes each, big-endian; under the key seq mod maxAnswers, 2 bytes
type answers struct {
	mu      sync.Mutex // guards the fields below
	seq     uint64
	earlier map[uint64]Ino // what earlier lives answered, by number
}

// load reads what earlier lives left.
func (a *answers) load(tx *index.Tx) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.earlier = make(map[uint64]Ino)
	return tx.ScanRaw(answerTable, nil, func(_, value []byte) bool {
		if len(value) == 24 {
			a.seq = max(a.seq, binary.BigEndian.Uint64(value))
			a.earlier[binary.BigEndian.Uint64(value[8:])] = Ino(binary.BigEndian.Uint64(value[16:]))
		}
		return true
	})
}

// keepAnswer keeps the outcome of a call in the transaction that executes it. ino is what it made, 0 for nothing.
func (c *Cache) keepAnswer(ctx context.Context, tx *index.Tx, ino Ino) error {
	r, ok := ctx.(Request)
	if !ok || !c.survives() {
		return nil
	}
	id, _ := r.Request()
	if id == 0 {
		return nil
	}
	c.answers.mu.Lock()
	c.answers.seq++
	seq := c.answers.seq
	c.answers.mu.Unlock()
	row := binary.BigEndian.AppendUint64(make([]byte, 0, 24), seq)
	row = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(row, id), uint64(ino))
	return tx.PutRaw(answerTable, binary.BigEndian.AppendUint16(nil, uint16(seq%maxAnswers)), row)
}

// answered reports whether an earlier life executed the call, and what it made.
func (c *Cache) answered(ctx context.Context) (ino Ino, done bool) {
	r, ok := ctx.(Request)
	if !ok {
		return 0, false
	}
	id, again := r.Request()
	if !again {
		return 0, false
	}
	c.answers.mu.Lock()
	ino, done = c.answers.earlier[id]
	c.answers.mu.Unlock()
	if done {
		c.replayed.Add(1)
	}
	return ino, done
}

// answeredWith is answered for calls that make an inode; one that is gone since is made again.
func (c *Cache) answeredWith(ctx context.Context) (Stat, bool) {
	ino, done := c.answered(ctx)
	if !done {
		return Stat{}, false
	}
	i, err := c.inode(ino)
	if err != nil || i.Unlinked {
		return Stat{}, false
	}
	return c.statOf(&i), true
}
