package index

import (
	"errors"
	"maps"
	"slices"

	"github.com/ossencfs/ossencfs/object"
)

// errZeros says that a row has fields that it would be written without.
var errZeros = errors.New("zeros at the end of the row")

// encodeInode is the row of an inode. secret is the sealed form of Target and Xattrs, empty when there are none.
func encodeInode(i *Inode, secret []byte) []byte {
	e := newEncoder(128 + len(i.Name) + len(secret))
	e.uint(uint64(i.Parent))
	e.str(i.Name)
	e.flags(i.Unlinked, i.Sealed, i.AttrKnown, i.Complete, i.Marker, i.Occupied, i.Refers, i.Synced)
	e.uint(uint64(i.Mode))
	e.uint(uint64(i.UID))
	e.uint(uint64(i.GID))
	e.uint(uint64(i.Rdev))
	e.int(i.Size)
	e.int(i.Atime)
	e.int(i.Mtime - i.Atime)
	e.int(i.Ctime - i.Mtime)
	e.int(i.ChangedAt - i.Ctime)
	e.int(i.ClosedAt - i.Ctime)
	e.int(i.ListedAt)
	e.uint(i.Gen)
	e.uint(i.CachedGen)
	e.uint(i.AttrVer)
	e.uint(i.XattrVer)
	e.uint(i.PathSeq)
	e.uint(i.CommitSeq)
	e.bytes(secret)
	if i.Unproven != 0 || i.Tight != 0 || i.Origin != (ID{}) || i.Moves != 0 || i.Holes != 0 {
		e.uint(uint64(i.Unproven))
		e.uint(i.Tight)
	}
	if i.Origin != (ID{}) || i.Moves != 0 || i.Holes != 0 {
		e.id(i.Origin)
	}
	if i.Moves != 0 || i.Holes != 0 {
		e.uint(i.Moves)
		e.flags(i.Moving)
	}
	if i.Holes != 0 {
		e.int(i.Holes)
	}
	return e.b
}

// decodeInode reads what encodeInode writes; secret is still sealed and belongs to row.
func decodeInode(ino Ino, row []byte) (i Inode, secret []byte, err error) {
	d := newDecoder(row)
	i.Ino = ino
	i.Parent = Ino(d.uint())
	i.Name = d.str()
	d.flags(&i.Unlinked, &i.Sealed, &i.AttrKnown, &i.Complete, &i.Marker, &i.Occupied, &i.Refers, &i.Synced)
	i.Mode, i.UID, i.GID, i.Rdev = d.uint32(), d.uint32(), d.uint32(), d.uint32()
	i.Size = d.int()
	i.Atime = d.int()
	i.Mtime = i.Atime + d.int()
	i.Ctime = i.Mtime + d.int()
	i.ChangedAt = i.Ctime + d.int()
	i.ClosedAt = i.Ctime + d.int()
	i.ListedAt = d.int()
	i.Gen, i.CachedGen, i.AttrVer, i.XattrVer = d.uint(), d.uint(), d.uint(), d.uint()
	i.PathSeq, i.CommitSeq = d.uint(), d.uint()
	secret = d.raw()
	if d.more() {
		d.later(&i)
	}
	return i, secret, d.end()
}

// later reads the fields that came to the row of an inode later; it has none of them when they are zero.
func (d *decoder) later(i *Inode) {
	i.Unproven, i.Tight = object.Fields(d.uint8()), d.uint()
	zeros := i.Unproven == 0 && i.Tight == 0
	if d.more() {
		i.Origin = d.id()
		zeros = i.Origin == (ID{})
	}
	if d.more() {
		i.Moves = d.uint()
		d.flags(&i.Moving)
		zeros = i.Moves == 0
	}
	if d.more() {
		i.Holes = d.int()
		zeros = i.Holes <= 0
	}
	if zeros {
		d.fail(errZeros)
	}
}

// encodeSecret is the plain form of what is sealed within an inode.
func encodeSecret(target string, xattrs map[string][]byte) []byte {
	e := newEncoder(64 + len(target))
	e.str(target)
	e.uint(uint64(len(xattrs)))
	for _, name := range slices.Sorted(maps.Keys(xattrs)) {
		e.str(name)
		e.bytes(xattrs[name])
	}
	return e.b
}

func decodeSecret(plain []byte) (target string, xattrs map[string][]byte, err error) {
	d := newDecoder(plain)
	target = d.str()
	n := d.uint()
	if n > uint64(len(d.b)) {
		return "", nil, errors.New("more attributes than bytes")
	}
	if n > 0 {
		xattrs = make(map[string][]byte, n)
	}
	for range n {
		name := d.str()
		value := d.bytes()
		if value == nil {
			value = []byte{}
		}
		xattrs[name] = value
	}
	return target, xattrs, d.end()
}

func encodeObject(o *Object) []byte {
	e := newEncoder(96 + len(o.ETag))
	e.uint(uint64(o.Ino))
	e.uint(o.Gen)
	e.uint(o.AttrVer)
	e.uint(o.XattrVer)
	e.id(o.Upload)
	e.id(o.Generation)
	e.str(o.ETag)
	e.int(o.Size)
	e.int(o.Modified)
	e.uint(o.GoneSeq)
	e.uint(uint64(o.State))
	e.uint(uint64(o.Reason))
	if o.Sent != (ID{}) || o.Volume != (ID{}) {
		e.id(o.Sent)
		e.id(o.Base)
	}
	if o.Volume != (ID{}) {
		e.id(o.Volume)
	}
	return e.b
}

func decodeObject(key string, row []byte) (Object, error) {
	d := newDecoder(row)
	o := Object{Key: key, Ino: Ino(d.uint()), Gen: d.uint(), AttrVer: d.uint(), XattrVer: d.uint()}
	o.Upload, o.Generation = d.id(), d.id()
	o.ETag = d.str()
	o.Size, o.Modified = d.int(), d.int()
	o.GoneSeq = d.uint()
	o.State, o.Reason = object.State(d.uint8()), object.Reason(d.uint8())
	if d.more() {
		o.Sent, o.Base = d.id(), d.id()
		zeros := o.Sent == (ID{})
		if d.more() {
			o.Volume = d.id()
			zeros = o.Volume == (ID{})
		}
		if zeros {
			d.fail(errZeros)
		}
	}
	return o, d.end()
}

func encodePend(p *Pend) []byte {
	e := newEncoder(128 + len(p.Src) + len(p.SrcETag) + len(p.Multipart))
	e.uint(uint64(p.Op))
	e.flags(p.IfAbsent, p.Error, p.Answered, p.Void)
	e.uint(uint64(p.Ino))
	e.uint(p.Gen)
	e.uint(p.AttrVer)
	e.uint(p.XattrVer)
	e.id(p.Upload)
	e.id(p.Generation)
	e.uint(uint64(p.State))
	e.uint(uint64(p.Reason))
	e.str(p.Src)
	e.str(p.SrcETag)
	e.int(p.Until)
	e.int(p.Fence)
	e.int(int64(p.Attempts))
	e.bytes(p.Multipart)
	if p.Covers != "" || len(p.Over) > 0 || p.GoneSeq != 0 {
		e.str(p.Covers)
		e.uint(uint64(len(p.Over)))
		for _, id := range p.Over {
			e.id(id)
		}
	}
	if p.GoneSeq != 0 {
		e.uint(p.GoneSeq)
	}
	return e.b
}

func decodePend(key string, row []byte) (Pend, error) {
	d := newDecoder(row)
	op := d.uint()
	if d.err == nil && (op < uint64(Put) || op > uint64(Tag)) {
		return Pend{}, errors.New("unknown kind of request")
	}
	p := Pend{Key: key, Op: Op(op)}
	d.flags(&p.IfAbsent, &p.Error, &p.Answered, &p.Void)
	p.Ino, p.Gen, p.AttrVer, p.XattrVer = Ino(d.uint()), d.uint(), d.uint(), d.uint()
	p.Upload, p.Generation = d.id(), d.id()
	p.State, p.Reason = object.State(d.uint8()), object.Reason(d.uint8())
	p.Src, p.SrcETag = d.str(), d.str()
	p.Until, p.Fence = d.int(), d.int()
	p.Attempts = int(d.int())
	p.Multipart = d.bytes()
	if d.more() {
		p.Covers = d.str()
		n := d.uint()
		if n > uint64(len(d.b)) || n == 0 && p.Covers == "" && !d.more() {
			d.fail(errShort)
		}
		for range min(n, uint64(len(d.b))) {
			id := d.id()
			if d.err != nil {
				break
			}
			p.Over = append(p.Over, id)
		}
		if d.more() {
			if p.GoneSeq = d.uint(); p.GoneSeq == 0 {
				d.fail(errShort)
			}
		}
	}
	return p, d.end()
}
