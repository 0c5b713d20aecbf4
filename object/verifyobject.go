package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ossencfs/ossencfs/cipher"
	"github.com/ossencfs/ossencfs/oss"
)

// errChanging says that an object was replaced while it was looked at.
var errChanging = errors.New("the object is being changed")

// changingTries is how often an object is looked at that changes meanwhile.
const changingTries = 5

// exam is the look at one object.
type exam struct {
	key, full string
	entry     Entry
	known     Known // zero: nothing is known
	isKnown   bool
	got       oss.Info
	body      io.ReadCloser // of a deep look, else nil
	info      Info
	p         proof
	badTag    bool // there is a tag of ours that is not believed
	outside   bool // it is not what this machine knows
	damaged   bool // its bytes are wrong
}

// visit looks at one key.
func (v *verification) visit(ctx context.Context, n *visit) error {
	if n.mark {
		return v.markLeaf(ctx, n)
	}
	full := v.b.prefix + n.key
	if n.gone {
		return v.object(ctx, n, full)
	}
	v.advance(1, 0)
	switch root, rest := splitHidden(full); {
	case strings.HasPrefix(rest, "volume/") && root == v.b.volume.rootPrefix():
		return v.record(ctx, n.key, full)
	case strings.HasPrefix(rest, "volume/"):
		if is, err := v.nested(ctx, n.key, root, full); is || err != nil {
			return err
		}
	case strings.HasPrefix(rest, "leaf/") && root == v.b.volume.rootPrefix():
		v.leafName(n.key, strings.TrimPrefix(rest, "leaf/"))
		return nil
	case strings.HasPrefix(rest, "lock/") && root == v.b.volume.rootPrefix():
		return nil // it ends by itself
	case strings.HasPrefix(rest, "up/"): // the begin of a file that is being written, without keys and tags
		return v.parked(n, "the begin of a file that was larger than its writer's cache; only a mount with that cache can finish it")
	case strings.HasPrefix(rest, "park/"):
		if err := v.parked(n, parkedBy(strings.TrimPrefix(rest, "park/"))); err != nil {
			return err
		}
	case rest != "" && rest != "canary" && rest != "root/" && (root == v.b.prefix || root == v.b.volume.rootPrefix()):
		v.tell(Finding{Kind: FoundHidden, Key: n.key})
		return nil
	}
	return v.listed(ctx, n, full)
}

// listed looks at an object that the listing shows.
func (v *verification) listed(ctx context.Context, n *visit, full string) error {
	why := v.b.unusable(n.key, n.entry)
	switch {
	case errors.Is(why, ErrSymlink):
		return v.symlink(ctx, n)
	case why == nil && strayName(full):
		why = ErrReserved
	}
	if why != nil {
		v.tell(Finding{Kind: FoundName, Key: n.key, Detail: why.Error()})
	}
	if full[0] == '/' || full[0] == '\\' {
		return nil // no request can name it
	}
	return v.object(ctx, n, full)
}

// symlink reports a link of OSS. Nobody writes one in a volume of ours.
func (v *verification) symlink(ctx context.Context, n *visit) error {
	e := entryOf(n)
	known, _, err := v.known(n.key)
	switch {
	case err != nil:
		return err
	case known.Boxed:
		return v.found(ctx, FoundStripped, n.key, &e, ErrSymlink)
	case !v.b.opt.Trust.accepts(n.key, v.b.volume.isAuthentic()):
		return v.found(ctx, FoundUnauthentic, n.key, &e, ErrSymlink)
	}
	return v.found(ctx, FoundSymlink, n.key, &e, nil)
}

func entryOf(n *visit) Entry {
	return Entry{Key: n.key, Size: n.entry.Size, ETag: n.entry.ETag, Modified: n.entry.LastModified}
}

// object looks at an object until it stands still.
func (v *verification) object(ctx context.Context, n *visit, full string) error {
	for try := 1; ; try++ {
		err := v.examine(ctx, n, full)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errChanging) && try < changingTries:
		default:
			return v.setback(ctx, n.key, err)
		}
	}
}

// examine looks at an object once. What is known of it is asked for before and after the bucket, so that a request of this machine in
// between does not look like somebody else's.
func (v *verification) examine(ctx context.Context, n *visit, full string) error {
	known, isKnown, err := v.known(n.key)
	if err != nil {
		return err
	}
	x := &exam{key: n.key, full: full, known: known, isKnown: isKnown}
	if err := v.open(ctx, x); err != nil && !isGone(err) {
		return err
	} else if err != nil {
		return v.missing(ctx, x)
	}
	if x.body != nil {
		defer x.body.Close()
	}
	if again, _, err := v.known(n.key); err != nil || again != known {
		return errors.Join(err, errChanging)
	}
	x.entry = Entry{Key: n.key, Size: x.got.Size, ETag: x.got.ETag, Modified: x.got.LastModified}
	if x.info, x.p, err = v.b.describe(ctx, n.key, full, x.got); errors.Is(err, ErrSymlink) {
		return v.symlink(ctx, n)
	} else if err != nil {
		return err
	}
	return v.judged(ctx, x)
}

// known asks the memory.
func (v *verification) known(key string) (Known, bool, error) {
	if v.o.Memory == nil {
		return Known{}, false, nil
	}
	return v.o.Memory.Known(key)
}

// open asks for the headers, and for the body of a deep look. An archived object has no body to read, but headers.
func (v *verification) open(ctx context.Context, x *exam) (err error) {
	if v.o.Deep {
		x.body, x.got, err = v.b.oss.Get(ctx, x.full, oss.GetOptions{})
		if err == nil || !errors.Is(err, ErrArchived) {
			return err
		}
		v.tell(Finding{Kind: FoundUnreadable, Key: x.key, Detail: err.Error()})
	}
	x.got, err = v.b.oss.Head(ctx, x.full)
	return err
}

// isGone reports whether there is no such object.
func isGone(err error) bool {
	return errors.Is(err, ErrNotFound) && !errors.Is(err, ErrNoSuchBucket)
}

// missing reports an object that is known and not there. One that is gone since it was listed is nobody's business.
func (v *verification) missing(ctx context.Context, x *exam) error {
	again, _, err := v.known(x.key)
	switch {
	case err != nil || again != x.known:
		return errors.Join(err, errChanging)
	case !x.isKnown || x.known.Busy:
		return nil
	}
	return v.found(ctx, FoundVanished, x.key, nil, nil)
}

// judged reports what the headers tell and goes on to tags and content.
func (v *verification) judged(ctx context.Context, x *exam) error {
	v.seenPlain(x.got.Meta)
	switch x.info.State {
	case StateRefused:
		return v.found(ctx, kindOfRefusal(x.key, x.info.Refusal), x.key, &x.entry, x.info.Refusal)
	case StateForeign, StatePlain:
		if x.known.Boxed {
			return v.found(ctx, FoundStripped, x.key, &x.entry, nil)
		}
		if err := v.foreign(ctx, x); err != nil {
			return err
		}
	case StateAuthentic:
		if x.p.differs {
			v.tell(Finding{Kind: FoundAttributes, Key: x.key, Detail: errPlainDiffers.Error()})
		}
	default:
	}
	for _, step := range []func(context.Context, *exam) (bool, error){v.tags, v.remembered} {
		if wrong, err := step(ctx, x); err != nil || wrong {
			return err
		}
	}
	if err := v.content(ctx, x); err != nil {
		return err
	}
	if !x.outside || x.damaged {
		return nil
	}
	// The tags came after the headers: a change of attributes of this machine in between is no change by others.
	if again, _, err := v.known(x.key); err != nil || again != x.known {
		return errors.Join(err, errChanging)
	}
	v.tell(Finding{Kind: FoundOutside, Key: x.key})
	return nil
}

// foreign reports an accepted object of others.
func (v *verification) foreign(ctx context.Context, x *exam) error {
	if _, boxed := x.got.Meta[cipher.BoxHeader]; boxed && v.b.volume.empty() {
		v.noRecord.Do(func() {
			v.tell(Finding{Kind: FoundRecord, Key: volumeDir,
				Detail: fmt.Sprintf("objects as %q have boxes, but there is no volume record to verify them by", x.key)})
		})
	}
	kind := FoundForeign
	if x.info.State == StatePlain {
		kind = FoundPlain
	} else if _, err := cipher.ParseEnvelope(x.got.Meta); err != nil {
		return v.found(ctx, FoundUndecryptable, x.key, &x.entry, err)
	}
	return v.found(ctx, kind, x.key, &x.entry, nil)
}

// tags verifies the attribute tag, and with it whether the object may have its name.
func (v *verification) tags(ctx context.Context, x *exam) (misplaced bool, err error) {
	bound := false
	var wrong error
	tags, err := v.b.tagsOn(ctx, x.full, "", x.got, x.p)
	if isGone(err) {
		return false, errChanging
	}
	if err != nil {
		return false, err
	}
	if tags != nil {
		found := v.b.checkTags(x.full, tags, &x.info)
		if bound = found.bound(); bound && x.p.box != nil {
			x.info.Upload = found.valid[len(found.valid)-1].upload
		}
		for _, t := range found.valid {
			v.b.heard(t, &x.info)
		}
		wrong = found.err
	}
	if wrong == nil && x.p.box != nil && x.info.Unproven != 0 {
		wrong = errNoTag
	}
	if wrong != nil {
		x.badTag = true
		if err := v.tagAgain(ctx, x, wrong); err != nil {
			return false, err
		}
	}
	if !x.p.moved || bound {
		return false, nil
	}
	if v.b.misplaced(x.key, x.p, bound) {
		return true, v.found(ctx, FoundMisplaced, x.key, &x.entry, ErrMoved)
	}
	v.tell(Finding{Kind: FoundMoved, Key: x.key})
	return false, nil
}

// tagAgain reports a tag that is not ours, unless it belongs to a newer version than the headers.
func (v *verification) tagAgain(ctx context.Context, x *exam, why error) error {
	now, err := v.b.oss.Head(ctx, x.full)
	switch {
	case isGone(err) || err == nil && now.ETag != x.got.ETag:
		return errChanging
	case err != nil:
		return err
	}
	return v.found(ctx, FoundTag, x.key, &x.entry, why)
}

// remembered compares an object of ours with what is known of it. back: it is an older version, or has older attributes.
func (v *verification) remembered(ctx context.Context, x *exam) (back bool, err error) {
	same := x.known.ETag == x.got.ETag
	if v.o.Memory == nil || x.p.box == nil || x.known.Busy || x.isKnown && same && (x.badTag || x.known.Upload == x.info.Upload) {
		return false, nil
	}
	if back, err = v.o.Memory.Superseded(x.info.Upload); err != nil {
		return false, err
	}
	switch {
	case back:
		why := fmt.Errorf("upload %s was replaced by %s", x.info.Upload, x.known.Upload)
		return true, v.found(ctx, FoundRolledBack, x.key, &x.entry, why)
	case x.isKnown && x.known.Upload != ID{}:
		x.outside = true
	}
	return false, nil
}
