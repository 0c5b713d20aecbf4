package emulator

// Moment is when a watcher is told of a request.
type Moment int

// The moments of a request: it is about to be executed (its body is not read yet), and it was executed, successfully or not,
// before the client hears of it.
const (
	Before Moment = iota
	After
)

// Step is one moment of one request.
type Step struct {
	Moment      Moment
	Operation   string // OSS's or KMS's name of the operation
	Bucket, Key string
	Err         error // what it will be answered with, at After
}

// Watch calls fn at both moments of every request that is authentic, instead of who was set before; nil ends it. fn is called by
// many requests at the same time, and the request waits for it.
func (s *Server) Watch(fn func(Step)) {
	if fn == nil {
		s.watcher.Store(nil)
		return
	}
	s.watcher.Store(&fn)
}

// perform runs the handler between the two moments.
func (c *call) perform() error {
	watcher := c.s.watcher.Load()
	if watcher == nil {
		return c.run(c)
	}
	step := Step{Operation: c.op, Bucket: c.bucket, Key: c.key}
	(*watcher)(step)
	step.Moment, step.Err = After, c.run(c)
	(*watcher)(step)
	return step.Err
}
