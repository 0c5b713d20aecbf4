package cache

import "errors"

// empty removes what others deleted in directories of which the bucket shows nothing: neither a marker nor anything below. That
// takes no request. What is ours in them stays, and they with it.
func (l *lister) empty() error {
	for _, dir := range l.hull {
		key, err := l.c.dirKey(dir)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		below := &lister{c: l.c, dir: dir, key: key, look: l.look, seed: l.seed}
		if err = below.absent(); err == nil {
			err = below.empty()
		}
		if err != nil && !errors.Is(err, errMoved) {
			return err
		}
		if err := l.removeGone([]Ino{dir}); err != nil {
			return err
		}
	}
	return nil
}
