package body

import (
	"fmt"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// home is one key of the bucket that is recorded with the content of a generation.
type home struct {
	key, etag  string
	generation index.ID
	settled    bool  // no unanswered write can change it
	refused    error // why its content cannot be had; nil: it can
}

// untrusted marks errors of the Remote that say that an object is refused.
func untrusted(err error) error {
	if err == nil || object.ReasonOf(err) == object.ReasonNone {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUntrusted, err)
}

// findHome looks for the best home of a generation: one without an unanswered write, the inode's own path first.
func findHome(tx *index.Tx, ino index.Ino, gen uint64) (home, bool, error) {
	objs, err := tx.ObjectsOf(ino)
	if err != nil {
		return home{}, false, err
	}
	path, linked := tx.Path(ino)
	var best home
	score := -1
	for _, o := range objs {
		if o.Gen != gen {
			continue
		}
		settled, err := isSettled(tx, o.Key)
		if err != nil {
			return home{}, false, err
		}
		sc := 0
		if settled {
			sc += 2
		}
		if linked && o.Key == path {
			sc++
		}
		if sc > score {
			score, best = sc, home{key: o.Key, etag: o.ETag, generation: o.Generation, settled: settled}
			switch o.State {
			case object.StateRefused:
				best.refused = untrusted(o.Reason.Err())
			case object.StateSealed:
				best.refused = object.ErrWriteOnly
			}
		}
	}
	return best, score >= 0, nil
}

// isSettled reports whether no request is under way, or may still be executed, that changes the key.
func isSettled(tx *index.Tx, key string) (bool, error) {
	p, ok, err := tx.Pend(key)
	return err == nil && (!ok || p.Answered || p.Void), err
}

// lookHome is findHome in a transaction of its own. Without a home the content is lost: ErrDamaged.
func (s *Store) lookHome(ino index.Ino, gen uint64) (home, error) {
	var h home
	var ok bool
	err := s.db.View(func(tx *index.Tx) (err error) {
		h, ok, err = findHome(tx, ino, gen)
		return err
	})
	if err == nil && !ok {
		err = fmt.Errorf("inode %d: content is neither in the cache nor in the bucket: %w", ino, ErrDamaged)
	}
	return h, err
}
