package converge

import "github.com/ossencfs/ossencfs/cache/index"

// markerPatience is how much longer a directory may wait for quiet than a file. A directory waits until programs are quiet
// everywhere: rsync and tar set the times of all directories at their very end, and a marker that went up before would go up
// twice. Without it nothing is missing in the bucket but mode and times of the directory, or the name of an empty one.
const markerPatience = 10

// settled is when an inode has been quiet for long enough to be sent: some time after its last change, and not later than
// LateSettle after the key was first seen to wait.
func (p *planner) settled(key string, w *index.Inode) int64 {
	if p.f.Urgent(key) {
		return 0
	}
	quiet, longest, last := p.f.Settle, p.f.LateSettle, max(w.ChangedAt, w.ClosedAt)
	if w.IsDir() {
		quiet, longest, last = p.f.MarkerSettle, markerPatience*p.f.LateSettle, max(last, p.f.Changed)
	}
	at := last + int64(quiet)
	if since := p.f.Since(key); since > 0 {
		at = min(at, since+int64(longest))
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
