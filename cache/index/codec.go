package index

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Rows begin with a version byte. Integers are varints, signed ones zig-zag; strings carry their length.
//
//	row    = version field* ; the fields of one version never change, a new version appends
//	string = length bytes
const rowVersion = 1

var errShort = errors.New("row ends early")

// encoder appends fields to a row.
type encoder struct{ b []byte }

func newEncoder(capacity int) *encoder {
	e := &encoder{b: make([]byte, 0, capacity)}
	e.b = append(e.b, rowVersion)
	return e
}

func (e *encoder) uint(v uint64)   { e.b = binary.AppendUvarint(e.b, v) }
func (e *encoder) int(v int64)     { e.b = binary.AppendVarint(e.b, v) }
func (e *encoder) str(s string)    { e.uint(uint64(len(s))); e.b = append(e.b, s...) }
func (e *encoder) bytes(s []byte)  { e.uint(uint64(len(s))); e.b = append(e.b, s...) }
func (e *encoder) id(id ID)        { e.b = append(e.b, id[:]...) }
func (e *encoder) flags(f ...bool) { e.uint(packFlags(f)) }

func packFlags(f []bool) uint64 {
	var v uint64
	for n, set := range f {
		if set {
			v |= 1 << n
		}
	}
	return v
}

// decoder takes fields from a row; the first mistake sticks.
type decoder struct {
	b   []byte
	err error
}

func newDecoder(row []byte) *decoder {
	d := &decoder{b: row}
	if len(row) == 0 {
		d.err = errShort
		return d
	}
	if row[0] != rowVersion {
		d.err = fmt.Errorf("row version %d is not known", row[0])
		return d
	}
	d.b = row[1:]
	return d
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.b = nil
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail(errShort)
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) uint32() uint32 {
	v := d.uint()
	if v > 1<<32-1 {
		d.fail(errors.New("number is too large"))
		return 0
	}
	return uint32(v)
}

func (d *decoder) uint8() uint8 {
	v := d.uint()
	if v > 1<<8-1 {
		d.fail(errors.New("number is too large"))
		return 0
	}
	return uint8(v)
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail(errShort)
		return 0
	}
	d.b = d.b[n:]
	return v
}

// raw takes a string without copying it.
func (d *decoder) raw() []byte {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.fail(errShort)
		return nil
	}
	s := d.b[:n]
	d.b = d.b[n:]
	return s
}

func (d *decoder) str() string { return string(d.raw()) }

func (d *decoder) bytes() []byte {
	if s := d.raw(); len(s) > 0 {
		return append([]byte(nil), s...)
	}
	return nil
}

func (d *decoder) id() (id ID) {
	if len(d.b) < len(id) {
		d.fail(errShort)
		return id
	}
	copy(id[:], d.b)
	d.b = d.b[len(id):]
	return id
}

func (d *decoder) flags(to ...*bool) {
	v := d.uint()
	for n, f := range to {
		*f = v&(1<<n) != 0
	}
	if v>>len(to) != 0 {
		d.fail(errors.New("unknown flag"))
	}
}

// more reports whether there are fields that were appended later.
func (d *decoder) more() bool { return d.err == nil && len(d.b) > 0 }

// end reports the first mistake, or bytes that are left over.
func (d *decoder) end() error {
	if d.err == nil && len(d.b) > 0 {
		d.err = fmt.Errorf("%d bytes after the end of the row", len(d.b))
	}
	return d.err
}
