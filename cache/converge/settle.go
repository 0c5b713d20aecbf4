package converge

import "github.com/ossencfs/ossencfs/cache/index"

// settled is when an inode has been quiet for long enough to be sent: some time after its last change, and not later than
// LateSettle after the key was first seen to wait.
func (p *planner) settled(key string, w *index.Inode) int64 {
	if p.f.Urgent(key) {
		return 0
	}
	quiet := p.f.Settle
	if w.IsDir() {
		quiet = p.f.MarkerSettle
	}
	at := max(w.ChangedAt, w.ClosedAt) + int64(quiet)
	if since := p.f.Since(key); since > 0 {
		at = min(at, since+int64(p.f.LateSettle))
	}
	return at
}

// quiet is when a key that lost its inode may be deleted: a new file of the same name overwrites it, if it comes soon.
func (p *planner) quiet(key string) int64 {
	if p.f.Urgent(key) || isParkKey(key) {
		return 0
	}
	since := p.f.Since(key)
	if since == 0 {
		since = p.f.Now
	}
	return since + int64(p.f.Settle)
}
