package cache

import (
	"errors"
	"log/slog"
	"sync"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// errClash says that an object has the name of a directory: "a" beside "a/b".
var errClash = errors.New("a directory has its name")

// leftOut counts the objects of one directory that cannot be shown, and keeps the first for the log.
type leftOut struct {
	count  int
	key    string
	reason error
	taken  map[string]struct{} // keys that nothing of ours can have meanwhile; at most maxTaken
}

// Bounds on the names that are remembered as taken, in one directory and in all: others are found so when they are uploaded.
const (
	maxTaken    = 10_000
	maxTakenAll = 100_000
)

func (l *leftOut) add(key string, reason error) {
	if l.count++; l.count == 1 {
		l.key, l.reason = key, reason
	}
	if !errors.Is(reason, object.ErrSymlink) || len(l.taken) >= maxTaken {
		return
	}
	if l.taken == nil {
		l.taken = make(map[string]struct{})
	}
	l.taken[key] = struct{}{}
}

// leftOuts is what was left out of all directories. The zero value is ready to use.
type leftOuts struct {
	mu    sync.Mutex // guards the fields below
	dirs  map[Ino]leftOut
	total int
	names int // keys in all taken; at most maxTakenAll
}

// note takes the result of a listing, and logs it when it is another one than the last time.
func (l *leftOuts) note(dir Ino, path string, found *leftOut, logger *slog.Logger) {
	l.mu.Lock()
	old := l.dirs[dir].count
	l.drop(dir)
	if found.count != 0 {
		l.keep(dir, *found)
	}
	l.mu.Unlock()
	if found.count != 0 && found.count != old {
		logger.Warn("objects that cannot be shown are left out", "directory", path, "count", found.count, "first", found.key, "reason", found.reason)
	}
}

// forget ends the count of a directory that is gone.
func (l *leftOuts) forget(dir Ino) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(dir)
}

// keep takes what was left out of a directory that has no entry. Names beyond the bound are not remembered: a bucket of others must not
// decide how much memory a mount takes.
func (l *leftOuts) keep(dir Ino, found leftOut) {
	if l.names+len(found.taken) > maxTakenAll {
		found.taken = nil
	}
	if l.dirs == nil {
		l.dirs = make(map[Ino]leftOut)
	}
	l.dirs[dir] = found
	l.total += found.count
	l.names += len(found.taken)
}

// drop removes a directory's entry, if it has one.
func (l *leftOuts) drop(dir Ino) {
	old := l.dirs[dir]
	l.total -= old.count
	l.names -= len(old.taken)
	delete(l.dirs, dir)
}

// taken reports whether the last listing of a directory showed an object under a key that is never shown, nor written over.
func (l *leftOuts) taken(dir Ino, key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, taken := l.dirs[dir].taken[key]
	return taken
}

// count is how many objects are left out in the directories that were listed.
func (l *leftOuts) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

// isDirAt reports whether a name is a directory's.
func isDirAt(tx *index.Tx, parent Ino, name string) (bool, error) {
	ino, ok, err := tx.Child(parent, name)
	if err != nil || !ok {
		return false, err
	}
	i, ok, err := tx.Inode(ino)
	return ok && isDir(&i), err
}

// giveWay takes a file from a name that the bucket shows as a directory too: the directory is shown, since all that is in it would be out of
// reach otherwise. A file that is not in the bucket yet stays until it is; then the directory's objects are left out.
func (l *lister) giveWay(tx *index.Tx, key, name string) (free bool, err error) {
	ino, taken, err := tx.Child(l.dir, name)
	if err != nil || !taken {
		return err == nil, err
	}
	i, ok, err := tx.Inode(ino)
	if err != nil || !ok || isDir(&i) {
		return false, err
	}
	o, recorded, err := tx.Object(l.key + name)
	if err != nil {
		return false, err
	}
	mine, err := l.ours(tx, l.key+name)
	if err != nil {
		return false, err
	}
	if mine || !recorded || !l.c.cleanAt(&i, &o) {
		l.left.add(key, errFileStays)
		return false, nil
	}
	l.left.add(o.Key, errClash)
	if err := tx.SawGone(o.Key); err != nil {
		return false, err
	}
	return true, l.c.dropImported(tx, &i, &l.note)
}

// errFileStays says that a directory has the name of a file that was changed here.
var errFileStays = errors.New("a file that is not uploaded yet has its name")

// occupied notes that somebody keeps content under the key of a directory's marker: the marker stays here.
func (c *Cache) occupied(tx *index.Tx, i *index.Inode, key string, note *news) error {
	if err := c.outlive(tx, i, key, note); err != nil {
		return err
	}
	if _, recorded, err := tx.Object(key); err != nil {
		return err
	} else if recorded {
		if err := tx.SawGone(key); err != nil {
			return err
		}
	}
	i.Occupied, i.AttrKnown = true, true
	return tx.PutInode(*i)
}
