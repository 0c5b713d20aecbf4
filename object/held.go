package object

import (
	"io"

	"github.com/ossencfs/ossencfs/cipher"
)

// Content proves ciphertext that is here already, by the tags in the box of an object. That an object has the same generation does not: former
// holders of a volume key can have given it to other bytes. It is not safe for concurrent use.
type Content struct {
	tags *cipher.Tags
	held uint64
}

// Compare reads ciphertext to its end and notes under a number, which is not 0, that it is the object's. ErrTampered: it is not.
func (c *Content) Compare(r io.Reader, number uint64) error {
	err := c.tags.Verify(r)
	if err == nil {
		c.held = number
	}
	return err
}

// Holds reports whether what was compared under a number is the object's content.
func (c *Content) Holds(number uint64) bool { return c != nil && number != 0 && c.held == number }
