package object

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ossencfs/ossencfs/oss"
)

// Lock objects keep two hosts from replacing or removing one key at the same moment (docs/FORMAT.md, section 15). A lock is created with
// x-oss-forbid-overwrite, says who made it and how long it counts, and is removed by its holder. When it ends is decided by the server's
// clock alone: its Last-Modified and the Date of the answer that shows it.
//
// OSS cannot delete on condition. So a lock that has ended is not removed to be taken: the successor creates an object whose name contains the token
// of the one that ended, which exactly one can, looks whether that one is still in place, and removes all of them, the first one first, when he
// is done. Whoever deletes does so long before his lock ends, so that no DELETE of his can meet the lock of another one.

const (
	lockDir  = Hidden + "lock/" // below the root prefix of the volume: lockDir HASH [ "." TOKEN ]
	metaLock = metaPrefix + "ossencfs-lock"

	// MaxLockLife bounds what is believed of a lock.
	MaxLockLife = time.Hour
	// lockMargin is for times of the server in whole seconds.
	lockMargin = 2 * time.Second
	// maxEnded is how many locks that ended are followed. Each took somebody who died, or who meant to be in the way.
	maxEnded = 256
)

// Failures of locks. Test with errors.Is.
var (
	// ErrLocked: another host is replacing or removing the object.
	ErrLocked = errors.New("another host has locked it")
	// ErrNoLocks: in a bucket with versioning nothing can be created on condition, so there are no locks.
	ErrNoLocks = errors.New("there are no locks in a bucket with versioning")
)

// Lock is one that this process has taken.
type Lock struct {
	token ID
	life  time.Duration
	names []string // full keys of lock objects: those that ended and were followed, and the own one
}

// own is the lock object that counts.
func (l *Lock) own() string { return l.names[len(l.names)-1] }

// lockState is what a lock object says.
type lockState struct {
	token ID
	ended bool
	mark  ID // stands for the token where that was met before: no two locks of ours have the same
}

// lockName is the first lock object of a full key: the same for every prefix that is mounted.
func (b *Bucket) lockName(full string) string {
	sum := sha256.Sum256([]byte(full))
	return b.volume.rootPrefix() + lockDir + hex.EncodeToString(sum[:16])
}

// TakeLock takes the lock of a key for at most life, counted from before the call. It fails with ErrLocked while another host has it.
func (b *Bucket) TakeLock(ctx context.Context, key string, life time.Duration) (*Lock, error) {
	full, err := b.writable(key)
	if err != nil {
		return nil, err
	}
	l := &Lock{token: NewID(), life: min(life, MaxLockLife)}
	base := b.lockName(full)
	name := base
	var ended []ID
	for len(ended) < maxEnded {
		taken, there, err := b.placeLock(ctx, l, name)
		if err != nil {
			return nil, fmt.Errorf("lock %.100q: %w", key, err)
		}
		l.names = append(l.names, name)
		if taken {
			if err := b.confirmLock(ctx, l, ended); err != nil {
				return nil, fmt.Errorf("lock %.100q: %w", key, err)
			}
			return l, nil
		}
		if !there.ended {
			break
		}
		ended = append(ended, there.token)
		name = there.next(base, l.names)
	}
	if len(ended) == maxEnded {
		return nil, fmt.Errorf("lock %.100q: %w: %d locks that ended are in the way, %q and what begins like it can be removed", key, ErrLocked, maxEnded, base)
	}
	return nil, fmt.Errorf("lock %.100q: %w", key, ErrLocked)
}

// next is the name of the lock that follows one that ended. Its token names it, unless that leads back to one of those before: somebody made a circle of
// them, or objects that are no locks.
func (s lockState) next(base string, before []string) string {
	name, mark := base+"."+s.token.String(), s.mark
	for slices.Contains(before, name) {
		name = base + "." + mark.String()
		mark = markOf(name, time.Time{})
	}
	return name
}

// markOf is the same for all who look at an object.
func markOf(name string, modified time.Time) (mark ID) {
	sum := sha256.Sum256(fmt.Appendf(nil, "ossencfs lock v1\x00%s\x00%d", name, modified.Unix()))
	copy(mark[:], sum[:])
	return mark
}

// placeLock creates a lock object, or reads the one that is there. A lost answer is decided by the token.
func (b *Bucket) placeLock(ctx context.Context, l *Lock, name string) (taken bool, there lockState, err error) {
	got, err := b.putLock(ctx, l, name, true)
	if err == nil && got.VersionID != "" {
		return false, there, errors.Join(ErrNoLocks, b.oss.RemoveVersion(ctx, name, got.VersionID))
	}
	if err == nil {
		return true, there, nil
	}
	there, headErr := b.readLock(ctx, name)
	switch {
	case headErr == nil && there.token == l.token:
		return true, there, nil
	case headErr == nil && errors.Is(err, oss.ErrExists):
		return false, there, nil
	case isGone(headErr) && errors.Is(err, oss.ErrExists):
		return false, there, nil // released meanwhile: the next attempt finds it free
	case errors.Is(err, oss.ErrExists):
		err = headErr
	}
	return false, there, err
}

// putLock writes a lock object.
func (b *Bucket) putLock(ctx context.Context, l *Lock, name string, create bool) (oss.Info, error) {
	return b.oss.Put(ctx, name, nil, 0, oss.PutOptions{
		Meta: map[string]string{metaLock: formatLock(l.token, l.life)}, ForbidOverwrite: create,
	})
}

// confirmLock looks whether the locks that ended are all in place still: else somebody else has followed them, and is done. Where they are
// not, the lock is given back.
func (b *Bucket) confirmLock(ctx context.Context, l *Lock, ended []ID) error {
	for n, token := range ended {
		there, err := b.readLock(ctx, l.names[n])
		if err == nil && there.token == token && there.ended {
			continue
		}
		if err == nil || isGone(err) {
			err = ErrLocked
		}
		return errors.Join(err, b.oss.Delete(ctx, l.own()))
	}
	return nil
}

// readLock reads a lock object. One that is none of ours counts as long as any lock can.
func (b *Bucket) readLock(ctx context.Context, name string) (lockState, error) {
	got, err := b.oss.Head(ctx, name)
	if isGone(err) {
		return b.readLink(ctx, name, err)
	}
	if err != nil {
		return lockState{}, err
	}
	token, life, err := parseLock(got.Meta[metaLock])
	if err != nil {
		life = MaxLockLife
	}
	end := got.LastModified.Add(life + life/50 + lockMargin) // clocks run differently
	return lockState{token: token, ended: !got.LastModified.IsZero() && !got.Date.IsZero() && got.Date.After(end), mark: markOf(name, got.LastModified)}, nil
}

// readLink is readLock where there is nothing, or a symbolic link of OSS to nothing: it keeps a lock from being created and was never one.
func (b *Bucket) readLink(ctx context.Context, name string, gone error) (lockState, error) {
	page, err := b.oss.List(ctx, oss.ListOptions{Prefix: name, Max: 1})
	if err != nil {
		return lockState{}, err
	}
	if len(page.Objects) == 0 || page.Objects[0].Key != name || page.Objects[0].Type != "Symlink" {
		return lockState{}, gone
	}
	mark := markOf(name, page.Objects[0].LastModified)
	return lockState{token: mark, ended: true, mark: mark}, nil
}

// RenewLock has a lock count from now on.
func (b *Bucket) RenewLock(ctx context.Context, l *Lock) error {
	_, err := b.putLock(ctx, l, l.own(), false)
	return err
}

// ReleaseLock removes a lock. When that fails, what is left ends by itself.
func (b *Bucket) ReleaseLock(ctx context.Context, l *Lock) error {
	for _, name := range l.names {
		if err := b.oss.Delete(ctx, name); err != nil {
			return fmt.Errorf("release lock: %w", err)
		}
	}
	return nil
}

// formatLock is the header of a lock object.
func formatLock(token ID, life time.Duration) string {
	return token.String() + "." + strconv.FormatInt(life.Milliseconds(), 10)
}

// parseLock reads what formatLock writes.
func parseLock(s string) (token ID, life time.Duration, err error) {
	first, ms, found := strings.Cut(s, ".")
	if !found {
		return ID{}, 0, fmt.Errorf("lock %.100q: %w", s, ErrInvalid)
	}
	if token, err = ParseID(first); err != nil {
		return ID{}, 0, err
	}
	n, err := strconv.ParseUint(ms, 10, 32)
	if err != nil || time.Duration(n)*time.Millisecond > MaxLockLife {
		return ID{}, 0, fmt.Errorf("lock for %.100q ms: %w", ms, ErrInvalid)
	}
	return token, time.Duration(n) * time.Millisecond, nil
}
