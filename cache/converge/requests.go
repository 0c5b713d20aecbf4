package converge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/cache/killpoint"
	"github.com/ossencfs/ossencfs/object"
)

// flight is a request from its intent to its answer.
type flight struct {
	pend   index.Pend
	inode  index.Inode // whose attributes are sent, as it was when the intent was written
	body   Sealed      // Put
	sealed *object.Sealed
	size   int64          // Copy: of the source, which the answer does not tell
	keep   *object.Others // Put: what others said of the object that it takes the place of
	limit  time.Duration  // how long an answer is waited for
}

// send begins the request that a plan asks for, or repeats one whose outcome is unknown, with the same bytes and the same id. The
// plan is made again in the transaction of the intent: when it differs nothing is done, and the next look at the key sees why.
func (c *Converger) send(key string, a *Action) (settled bool, err error) {
	fl := &flight{pend: a.Pend, limit: callTime}
	if err := c.open(fl); err != nil {
		return false, err
	}
	defer fl.close()
	release, err := c.slot(fl)
	if err != nil {
		return false, err
	}
	defer release()
	if err := c.lock(&a.Pend); err != nil {
		return false, err
	}
	defer c.unlock(a.Pend.Key)
	var seen *object.Info
	if a.Verify {
		var ok bool
		if a.Kind == Resend {
			seen, ok, err = c.recheck(&a.Pend)
		} else {
			seen, ok, err = c.verify(a.Pend.Key)
		}
		if err != nil || !ok {
			return false, err
		}
	}
	if fl.keep, err = c.kept(&a.Pend, seen); err != nil {
		return false, err
	}
	f := c.facts()
	begun := false
	killpoint.At(killpoint.Planned)
	err = c.o.DB.UpdateSync(func(tx *index.Tx) error {
		now, err := Plan(tx, key, f)
		if err != nil || !agrees(a, &now) {
			return err
		}
		again := now.Kind == Resend
		fl.pend = now.Pend
		if err := c.describe(tx, fl, again); err != nil {
			return err
		}
		if !again {
			fl.pend.Upload = index.ID(c.newUpload(fl))
			saw(&fl.pend, seen)
		}
		begun = true
		return c.begin(tx, fl, again)
	})
	if err != nil || !begun {
		c.land(fl.pend.Key, begun)
		return false, err
	}
	if a.Kind == Resend {
		c.counts.retries.Add(1)
	}
	killpoint.At(killpoint.Intended)
	return c.fly(key, fl)
}

// agrees reports whether a plan in the transaction of the intent asks for what was prepared.
func agrees(a, now *Action) bool {
	switch {
	case now.Kind != a.Kind:
		return false
	case a.Kind == Resend:
		return now.Pend.Upload == a.Pend.Upload && now.Pend.Void == a.Pend.Void && (a.Verify || !now.Verify)
	}
	return now.sameEffect(&a.Pend) && now.Pend.Ino == a.Pend.Ino && now.Pend.IfAbsent == a.Pend.IfAbsent && (a.Verify || !now.Verify)
}

// land notes that no request for a key is under way any more.
func (c *Converger) land(key string, begun bool) {
	if !begun {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flying, key)
}

// verify is rule O: before something is overwritten, deleted or replaced, the key is looked at. It returns false when the key was
// not as recorded; the outside version has been imported then.
func (c *Converger) verify(key string) (found *object.Info, ok bool, err error) {
	ctx, cancel := context.WithTimeout(c.ctx, callTime)
	defer cancel()
	found, err = c.head(ctx, key)
	if err = ignoreAlien(err); err != nil {
		return nil, false, err
	}
	agrees := false
	err = c.o.DB.View(func(tx *index.Tx) error {
		h, recorded, err := tx.Object(key)
		agrees = recorded == (found != nil) && (!recorded || same(&h, found))
		return err
	})
	if err != nil || agrees {
		return found, agrees, err
	}
	return found, false, c.importKey(ctx, key, found)
}

// recheck is the look before a repetition. It returns false when that is not to be sent: the request was executed, or somebody else was
// there.
func (c *Converger) recheck(sent *index.Pend) (found *object.Info, ok bool, err error) {
	ctx, cancel := context.WithTimeout(c.ctx, callTime)
	defer cancel()
	found, err = c.head(ctx, sent.Key)
	if err = ignoreAlien(err); err != nil {
		return nil, false, err
	}
	f := foundOther
	err = c.o.DB.View(func(tx *index.Tx) error {
		f, err = rejudge(tx, sent, found)
		return err
	})
	switch {
	case err != nil:
		return found, false, err
	case f == foundNotDone:
		return found, true, nil
	case sent.Void:
		return found, false, c.forgetIntent(sent) // what is wanted now begins with a look of its own
	case f == foundDone:
		if err := c.uncoverUnknown(sent, found); err != nil {
			return found, false, err
		}
	}
	err = c.o.DB.Update(func(tx *index.Tx) error {
		p, pending, err := tx.Pend(sent.Key)
		if err != nil || !pending || p.Upload != sent.Upload || p.Answered || p.Error {
			return err
		}
		return rechecked(tx, p, f, found, c.now())
	})
	if err == nil && f == foundDone {
		c.recovered(sent.Key)
		c.ended(*sent, true)
	}
	return found, false, err
}

// open opens the body of a PUT.
func (c *Converger) open(fl *flight) error {
	if fl.pend.Op != index.Put {
		return nil
	}
	var err error
	if fl.body, fl.sealed, err = c.o.Bodies.OpenSealed(fl.pend.Ino, fl.pend.Gen); err != nil {
		return fmt.Errorf("open sealed body: %w", err)
	}
	fl.limit += time.Duration(fl.sealed.Size()/slowestUpload) * time.Second
	return nil
}

func (fl *flight) close() {
	if fl.body != nil {
		_ = fl.body.Close() // it was only read
	}
}

// errBusy says that as many uploads of a kind are under way as are allowed.
var errBusy = errors.New("too many large uploads at a time")

// uploads are the slots of one kind of uploads.
type uploads struct {
	key   string // in place of a key, for those that wait for a slot
	slots chan struct{}
}

func newUploads(kind string, n int) uploads {
	return uploads{key: "\x00" + kind, slots: make(chan struct{}, n)}
}

// slot takes a slot for an upload that is not small. It does not wait: a worker that waits is missing for small files.
func (c *Converger) slot(fl *flight) (release func(), err error) {
	var kind *uploads
	switch {
	case fl.sealed == nil || fl.sealed.Size() <= smallBody:
		return func() {}, nil
	case fl.sealed.Size() <= largeBody:
		kind = &c.bulky
	default:
		kind = &c.large
	}
	select {
	case kind.slots <- struct{}{}:
		return func() {
			<-kind.slots
			c.queue.changed(kind.key)
		}, nil
	default:
		return nil, errBusy
	}
}

// describe takes the attributes that are sent, and the generation of the content they belong to. What is PUT is authentic; a copy
// and a tag leave an object as trustworthy as it was. Repeated, a request is what it was.
func (c *Converger) describe(tx *index.Tx, fl *flight, again bool) error {
	p := &fl.pend
	switch p.Op {
	case index.Delete:
		return nil
	case index.Put:
		if err := c.describePut(tx, fl, again); err != nil {
			return err
		}
	case index.Copy:
		src, _, err := tx.Object(p.Src)
		if err != nil {
			return err
		}
		p.Generation, p.State, p.Reason = src.Generation, src.State, src.Reason
		fl.size = src.Size
	case index.Tag:
		h, _, err := tx.Object(p.Key)
		if err != nil {
			return err
		}
		p.Generation, p.State, p.Reason = h.Generation, h.State, h.Reason
	}
	var ok bool
	var err error
	if fl.inode, ok, err = tx.Inode(p.Ino); err == nil && !ok {
		err = fmt.Errorf("inode %d is not in the index", p.Ino)
	}
	if err == nil && p.Op == index.Put && fl.inode.Prove(c.o.UID, c.o.GID, time.Now().UnixNano()) {
		err = tx.PutInode(fl.inode)
	}
	return err
}

// describePut chooses the generation of what is PUT: that of the sealed body, or a new one where the bucket has the body already, so that no
// tag from before, which somebody may put back, is about it. Large bodies keep theirs, by which their leaf tags are stored, and so do empty files,
// of which nothing else tells whether they are the same.
func (c *Converger) describePut(tx *index.Tx, fl *flight, again bool) error {
	p := &fl.pend
	p.State = object.StateAuthentic
	if again {
		return nil
	}
	p.Generation = fl.sealed.GenerationID()
	if fl.sealed.Tags().Separate() || fl.sealed.Size() == 0 && !index.IsDirKey(p.Key) {
		return nil
	}
	rows, err := tx.ObjectsOf(p.Ino)
	for _, h := range rows {
		if h.Gen == p.Gen {
			p.Generation = index.ID(object.NewID())
		}
	}
	return err
}

// newUpload is the id of a new request.
func (c *Converger) newUpload(fl *flight) object.ID {
	if fl.sealed == nil {
		return object.NewID()
	}
	return c.o.Store.NewUpload(fl.pend.Key, object.ID(fl.pend.Generation), fl.sealed.Size())
}

// putGeneration is the generation that a PUT asks for; zero: that of its body.
func (fl *flight) putGeneration() object.ID {
	if fl.pend.Generation == fl.sealed.GenerationID() {
		return object.ID{}
	}
	return object.ID(fl.pend.Generation)
}

// begin writes the intent and marks the key as having a request under way.
func (c *Converger) begin(tx *index.Tx, fl *flight, again bool) error {
	p, err := begin(tx, fl.pend, c.now()+int64(fl.limit)+int64(c.o.Late), again)
	if err != nil {
		return err
	}
	fl.pend = p
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flying[p.Key] = struct{}{}
	return nil
}

// fly sends the request and records its outcome. settled says that the key it was sent on behalf of needs nothing any more.
func (c *Converger) fly(key string, fl *flight) (settled bool, err error) {
	ctx, cancel := context.WithTimeout(c.ctx, fl.limit)
	defer cancel()
	c.abortBegun(ctx, fl.pend.Key)
	lockCtx, stop := c.underLock(ctx, &fl.pend)
	info, sendErr := c.request(lockCtx, fl)
	stop()
	killpoint.At(killpoint.Answered)
	if sendErr == nil {
		if err := c.uncover(&fl.pend, info.Version); err != nil {
			sendErr = &unsettled{err}
		}
	}
	final := sendErr != nil && meansNothingTwice(&fl.pend, sendErr)
	now := c.now()
	c.queue.mark(key)
	err = c.o.DB.Update(func(tx *index.Tx) error {
		p, ok, err := tx.Pend(fl.pend.Key)
		if err != nil || !ok {
			return err
		}
		if sendErr != nil && fl.sealed != nil && fl.sealed.Size() >= object.MinPart && len(p.Multipart) == 0 {
			c.noteBegun(p.Key)
		}
		if sendErr != nil && (fl.pend.Key == key || isParkKey(fl.pend.Key)) && hadNoEffect(sendErr) {
			return refused(tx, p)
		}
		if sendErr != nil {
			return failed(tx, p, now+int64(c.o.Late), final)
		}
		if err := answered(tx, p, info, now); err != nil {
			return err
		}
		if settled, err = tx.Settled(key); err != nil || !settled {
			return err
		}
		return tx.Dequeue(key)
	})
	killpoint.At(killpoint.Recorded)
	c.land(fl.pend.Key, true)
	if sendErr == nil {
		c.counts.done(fl)
		c.recovered(fl.pend.Key)
	} else {
		c.failedLocally(fl.pend.Key, fmt.Errorf("%s: %w", fl.pend.Op, sendErr))
	}
	c.attempted(key, &fl.pend)
	if fl.pend.Key != key {
		c.queue.soon(fl.pend.Key, 0)
	}
	c.ended(fl.pend, sendErr == nil && err == nil)
	if err == nil && (final || errors.Is(sendErr, object.ErrRetired)) {
		err = c.checkRefused(ctx, fl, sendErr)
	}
	return settled && err == nil, err
}

// checkRefused looks at once what is behind an answer that means nothing, or the same, when the request is repeated.
func (c *Converger) checkRefused(ctx context.Context, fl *flight, refusal error) error {
	switch {
	case errors.Is(refusal, object.ErrRetired):
		return c.o.Importer.Retired(ctx, fl.pend.Ino)
	case fl.pend.Op == index.Copy && !errors.Is(refusal, object.ErrExists):
		return c.checkSource(fl.pend.Src)
	}
	return c.checkCreated(ctx, fl.pend)
}

// checkCreated looks whether a creation that found its name taken was taken by an earlier attempt of itself. Then its effect counts
// at once, while the key stays closed until no attempt can be executed any more. Otherwise the look after that time decides.
func (c *Converger) checkCreated(ctx context.Context, sent index.Pend) error {
	found, err := c.head(ctx, sent.Key)
	if errors.Is(err, errAlien) {
		c.failedLocally(sent.Key, err) // nobody need wait until the look after the deadline finds it, too
	}
	if err != nil || found == nil || found.Upload != object.ID(sent.Upload) {
		return nil //nolint:nilerr // the look after the deadline comes in any case
	}
	err = c.o.DB.Update(func(tx *index.Tx) error {
		p, ok, err := tx.Pend(sent.Key)
		if err != nil || !ok || p.Upload != sent.Upload || p.Answered {
			return err
		}
		p.Fence = max(p.Fence, p.Until)
		return answered(tx, p, *found, c.now())
	})
	if err == nil {
		c.recovered(sent.Key)
		c.ended(sent, true)
	}
	return err
}

// meansNothingTwice reports whether the answer of a repetition would not tell what became of the first attempt: a copy that finds its
// source gone or its target taken, and a creation that finds its name taken, perhaps by itself.
func meansNothingTwice(p *index.Pend, err error) bool {
	switch p.Op {
	case index.Copy:
		return errors.Is(err, object.ErrNotFound) || errors.Is(err, object.ErrPrecondition) || errors.Is(err, object.ErrExists)
	case index.Put:
		return p.IfAbsent && errors.Is(err, object.ErrExists)
	default:
		return false
	}
}

// hadNoEffect reports whether an error proves that the bucket is as it was. What a condition or a missing object refused proves nothing:
// another copy of the request may have brought that about on its way.
func hadNoEffect(err error) bool {
	return object.NoEffect(err) && !errors.Is(err, object.ErrNotFound) && !errors.Is(err, object.ErrPrecondition) && !errors.Is(err, object.ErrExists)
}

// request is the one attempt.
func (c *Converger) request(ctx context.Context, fl *flight) (object.Info, error) {
	p := &fl.pend
	attr := attrOf(&fl.inode)
	switch p.Op {
	case index.Put:
		return c.o.Store.Put(ctx, object.PutRequest{
			Key: p.Key, Body: fl.body, Stage: stageOf(fl.body), Sealed: fl.sealed, Attr: attr, Upload: object.ID(p.Upload), IfAbsent: p.IfAbsent, Over: overOf(p), Keep: fl.keep,
			Origin: object.ID(fl.inode.Origin), Generation: fl.putGeneration(), Multipart: p.Multipart, SaveMultipart: func(state []byte) error { return c.saveMultipart(p.Key, p.Upload, state) },
			Progress: func(n int64) { c.counts.bytes.Add(n) },
		})
	case index.Copy:
		info, err := c.o.Store.Copy(ctx, object.CopyRequest{
			Src: p.Src, SrcETag: p.SrcETag, Dst: p.Key, Attr: attr, Generation: object.ID(p.Generation), Upload: object.ID(p.Upload), IfAbsent: p.IfAbsent, Over: overOf(p),
			Unproven: fl.inode.Unproven,
		})
		info.Size = fl.size
		return info, err
	case index.Tag:
		attr.Xattrs = nil
		return object.Info{}, c.o.Store.SetAttr(ctx, object.TagRequest{Key: p.Key, Attr: attr, Generation: object.ID(p.Generation), Upload: object.ID(p.Upload), Over: overOf(p),
			Unproven: fl.inode.Unproven})
	case index.Delete:
		version, err := c.o.Store.Remove(ctx, p.Key)
		return object.Info{Version: version}, err
	default:
		return object.Info{}, fmt.Errorf("request of unknown kind %d", p.Op)
	}
}

// stageOf is where the begin of a body is, when it left the cache before its end was known.
func stageOf(body Sealed) *object.Stage {
	if s, ok := body.(interface{ Stage() *object.Stage }); ok {
		return s.Stage()
	}
	return nil
}

// attrOf is what is uploaded of an inode's attributes.
func attrOf(i *index.Inode) object.Attr {
	return object.Attr{Mode: i.Mode, UID: i.UID, GID: i.GID, Rdev: i.Rdev, Mtime: i.Mtime, Xattrs: i.Xattrs}
}

// saveMultipart keeps the state of a large upload, so that the next attempt goes on where this one ended.
func (c *Converger) saveMultipart(key string, upload index.ID, state []byte) error {
	err := c.o.DB.UpdateSync(func(tx *index.Tx) error {
		p, ok, err := tx.Pend(key)
		if err != nil {
			return err
		}
		if !ok || p.Upload != upload {
			return fmt.Errorf("the request for %q is no longer wanted", key)
		}
		p.Multipart = state
		return tx.PutPend(p)
	})
	killpoint.At(killpoint.Parted)
	return err
}
