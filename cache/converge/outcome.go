package converge

import (
	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// begin writes the intent of a request (R2). It must be durable before the request leaves. until is when an answer can be
// waited for no longer plus L. A repeated request keeps the fence of its unanswered attempts.
func begin(tx Tx, p index.Pend, until int64, again bool) (index.Pend, error) {
	if again && !p.Void {
		p.Fence = max(p.Fence, p.Until)
	}
	p.Until = until
	p.Attempts++
	p.Answered, p.Error, p.Void = false, false, false
	if err := tx.PutPend(p); err != nil {
		return p, err
	}
	return p, markDirectory(tx, &p)
}

// markDirectory lets a directory keep the marker that it gets because its last child goes, and notes that its times are in a request: later changes
// of its entries need another one.
func markDirectory(tx Tx, p *index.Pend) error {
	if p.Op != index.Put {
		return nil
	}
	dir, ok, err := tx.Inode(p.Ino)
	if err != nil || !ok || !dir.IsDir() || dir.Marker && !dir.Moving {
		return err
	}
	dir.Marker, dir.Moving = true, false
	return tx.PutInode(dir)
}

// answered records a request that was executed: what was sent (R3), not what the inode is by now. The key stays closed as long
// as earlier attempts without an answer may still be executed.
func answered(tx Tx, p index.Pend, info object.Info, now int64) error {
	if p.Op == index.Copy { // its answer does not tell the size; the source stays as it is until the intent is gone (R6)
		src, ok, err := tx.Object(p.Src)
		if err != nil {
			return err
		}
		if ok {
			info.Size = src.Size
		}
	}
	if err := record(tx, &p, &info); err != nil {
		return err
	}
	if p.Fence <= now {
		return tx.DeletePend(p.Key)
	}
	p.Answered, p.Error, p.Multipart = true, false, nil
	return tx.PutPend(p)
}

// record writes what an executed request left under its key.
func record(tx Tx, p *index.Pend, info *object.Info) error {
	if p.Op == index.Delete {
		return tx.DeleteObject(p.Key)
	}
	o := index.Object{Key: p.Key, Generation: p.Generation, State: p.State, Reason: p.Reason}
	if p.Op == index.Copy { // its box is that of the source
		src, _, err := tx.Object(p.Src)
		if err != nil {
			return err
		}
		o.Volume = src.Volume
	}
	if p.Op == index.Tag {
		old, ok, err := tx.Object(p.Key)
		if err != nil {
			return err
		}
		if ok {
			o = old
		}
	} else {
		if info.State != object.StateUnknown {
			o.State, o.Reason = info.State, object.ReasonOf(info.Refusal)
		}
		o.ETag, o.Size = info.ETag, info.Size
		o.Modified = index.TimeSeen(info)
	}
	if p.Op != index.Tag {
		o.Sent = p.Upload
		if len(p.Over) > 0 {
			o.Base = p.Over[0]
		}
	}
	o.Ino, o.Gen, o.AttrVer, o.XattrVer, o.Upload = p.Ino, p.Gen, p.AttrVer, p.XattrVer, p.Upload
	if err := leftMeanwhile(tx, &o); err != nil {
		return err
	}
	if err := tx.PutObject(o); err != nil {
		return err
	}
	return tx.SentGen(p.Ino, p.Gen)
}

// leftMeanwhile numbers a row whose inode went away while the request was under way: it is garbage.
func leftMeanwhile(tx Tx, o *index.Object) error {
	i, exists, err := tx.Inode(o.Ino)
	if err != nil {
		return err
	}
	if p, pending, err := tx.Pend(o.Key); err != nil || pending && p.GoneSeq != 0 && p.Ino == o.Ino {
		o.GoneSeq = p.GoneSeq
		return err
	}
	if exists && !i.Unlinked {
		if path, linked := tx.Path(o.Ino); linked && path != o.Key && o.GoneSeq == 0 {
			o.GoneSeq = i.PathSeq // parked, or renamed meanwhile
		}
		return nil
	}
	o.GoneSeq, err = tx.NextSeq()
	return err
}

// failed notes that the outcome of a request is unknown: until now+late it may still be executed. final forbids the same
// request again, because its answer would mean nothing.
func failed(tx Tx, p index.Pend, until int64, final bool) error {
	p.Until = until
	p.Error = final
	return tx.PutPend(p)
}

// refused notes that the last attempt had no effect, and will have none. When no earlier one can have had any either, the request is void:
// the key is closed no longer. Otherwise its outcome is as unknown as before, and not for longer.
func refused(tx Tx, p index.Pend) error {
	p.Void, p.Until = p.Fence == 0, p.Fence
	return tx.PutPend(p)
}

// finding is what a look at a key tells about the request whose outcome was unknown.
type finding int

const (
	foundDone    finding = iota // the request was executed
	foundNotDone                // the key is as it was before
	foundOther                  // somebody else wrote or deleted the object
)

// looked decides what a HEAD that was sent after the deadline means (R4), and closes the intent. found is nil for 404. An upload in parts that
// was not completed stays as a void request, so that it can go on where it was.
func looked(tx Tx, p index.Pend, found *object.Info) (finding, error) {
	h, recorded, err := tx.Object(p.Key)
	if err != nil {
		return foundOther, err
	}
	f := judge(&p, &h, recorded, found)
	if f == foundDone {
		if found == nil {
			found = new(object.Info)
		}
		if err := record(tx, &p, found); err != nil {
			return f, err
		}
	}
	if f == foundNotDone && len(p.Multipart) > 0 {
		p.Void, p.Error, p.Until, p.Fence = true, false, 0, 0
		return f, tx.PutPend(p)
	}
	return f, tx.DeletePend(p.Key)
}

// rejudge decides what a HEAD before a repetition means: some time has passed since the look before the first attempt. Unlike judge it counts
// the same content with other attributes as somebody else's. found is nil for 404.
func rejudge(v View, p *index.Pend, found *object.Info) (finding, error) {
	h, recorded, err := v.Object(p.Key)
	f := judge(p, &h, recorded, found)
	if f == foundNotDone && !unchanged(&h, recorded, found) {
		f = foundOther
	}
	return f, err
}

// rechecked notes that a request was executed, or that somebody else was there, as rejudge found. What was executed counts at once, while
// earlier attempts keep the key closed. Otherwise it is not repeated, and the look after its time decides.
func rechecked(tx Tx, p index.Pend, f finding, found *object.Info, now int64) error {
	if f != foundDone {
		p.Error = true
		return tx.PutPend(p)
	}
	if found == nil {
		found = new(object.Info)
	}
	p.Fence = max(p.Fence, p.Until)
	return answered(tx, p, *found, now)
}

// judge compares what was found with what was sent and with what is recorded.
func judge(p *index.Pend, h *index.Object, recorded bool, found *object.Info) finding {
	switch {
	case found == nil && p.Op == index.Delete:
		return foundDone
	case found == nil && !recorded:
		return foundNotDone
	case found == nil:
		return foundOther
	case p.Op != index.Delete && found.Upload == object.ID(p.Upload):
		return foundDone
	case recorded && (same(h, found) || h.ETag == found.ETag && found.Anew(object.ID(h.Generation))):
		return foundNotDone
	case p.Op == index.Put && p.Generation != h.Generation && p.Generation != (index.ID{}) && found.Anew(object.ID(p.Generation)):
		return foundDone // and rewrapped since
	case p.Op == index.Copy && found.State == object.StateRefused && found.ETag == p.SrcETag:
		return foundDone // nothing that a refused object says is believed, its upload id included
	}
	return foundOther
}

// unchanged is the look of rule O: is the object under a key what is recorded? found is nil for 404.
func unchanged(h *index.Object, recorded bool, found *object.Info) bool {
	if found == nil || !recorded {
		return found == nil && !recorded
	}
	return same(h, found)
}

// same reports whether an object is the one that is recorded. A row of a listing knows no upload id, and that of a refused object is
// not believed. The ETag is looked at as well: our tag may have come to an object that somebody else had just written. The same content
// under another upload id, which changed attributes leave behind as well as rewrapping, is not the same: what replaces it has to know them.
func same(h *index.Object, found *object.Info) bool {
	if h.ETag != found.ETag || h.Size != found.Size {
		return false
	}
	return h.Upload == (index.ID{}) || h.State == object.StateRefused || found.Upload == object.ID(h.Upload)
}

// rearm makes an intent that a stopped program left behind unknown again: its clock is gone, so it is given a whole life anew.
func rearm(tx Tx, p index.Pend, until int64) error {
	switch {
	case p.Void:
		return nil // and still is
	case p.Answered:
		p.Fence = until
	default:
		p.Until = until
		p.Fence = max(p.Fence, until)
	}
	return tx.PutPend(p)
}
