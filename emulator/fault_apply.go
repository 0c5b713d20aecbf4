package emulator

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strconv"
	"time"
)

// apply carries a call out under the fault.
func (f *firing) apply(c *call) {
	ctx, cancel := context.WithCancel(c.r.Context())
	defer cancel()
	stop := context.AfterFunc(c.s.life, cancel)
	defer stop()
	if !f.pass(ctx) || !pause(ctx, f.Delay) {
		dropConn(c.w)
		return
	}
	w := &faultWriter{ResponseWriter: c.w, ctx: ctx, rate: f.Throttle, limit: -1, corrupt: f.CorruptBody, gentle: f.Truncate, wrongCRC: f.WrongCRC}
	c.body = &faultReader{r: c.body, ctx: ctx, rate: f.Throttle, limit: -1, drop: w.drop}
	c.damageStore = f.CorruptStored
	c.w = w
	if f.QosDelayMs > 0 {
		c.set("x-oss-qos-delay-time", strconv.Itoa(f.QosDelayMs))
	}
	switch {
	case f.LateBy > 0:
		f.late(c, w)
		return
	case f.Status != 0 || f.Code != "":
		c.fail(f.refusal())
		return
	case f.ResetAfterBytes != 0 && uploads(c.op):
		c.body.(*faultReader).limit = max(f.ResetAfterBytes, 0)
	case f.ResetAfterBytes != 0:
		w.limit = max(f.ResetAfterBytes, 0)
	}
	if f.LoseResponse {
		c.w = newSilentWriter()
		c.execute()
		w.drop()
		return
	}
	c.execute()
	if f.ResetAfterBytes != 0 {
		w.drop() // shorter bodies are reset at their end
	}
}

// uploads says whether an operation's own body is content.
func uploads(op string) bool { return op == "PutObject" || op == "UploadPart" || op == "AppendObject" }

func (f *firing) refusal() *apiError {
	status, code, ec := f.Status, f.Code, f.EC
	if status == 0 {
		status = http.StatusServiceUnavailable
	}
	if code == "" {
		code = map[int]string{
			http.StatusForbidden: "AccessDenied", http.StatusNotFound: "NoSuchKey", http.StatusConflict: "FileAlreadyExists",
			http.StatusPreconditionFailed: "PreconditionFailed", http.StatusTooManyRequests: "QpsLimitExceeded",
			http.StatusInternalServerError: "InternalError", http.StatusServiceUnavailable: "ServiceUnavailable",
		}[status]
	}
	if code == "" {
		code = "InjectedFault"
	}
	if ec == "" {
		ec = ecInjected
	}
	return refuse(status, code, ec, "A fault was asked for.")
}

// late takes the whole request in, drops the connection, and executes it later; Close does not wait for
// the time, only for an execution that has begun.
func (f *firing) late(c *call, w *faultWriter) {
	if err := c.verify(); err != nil {
		c.fail(err)
		return
	}
	got, err := c.s.store.receive(c.body, c.r.ContentLength, c.s.opt.MaxPutSize, false)
	if err != nil {
		w.drop()
		return
	}
	w.drop()
	r := c.r.Clone(c.s.life)
	again := &bodyReader{rest: got.body}
	r.Body = again
	c.r, c.body, c.w = r, again, newSilentWriter()
	c.s.wg.Go(func() {
		defer got.drop()
		defer again.Close()
		if !pause(c.s.life, f.LateBy) {
			return
		}
		if err := c.perform(); err != nil {
			c.s.opt.Logger.Debug("late execution was refused", "op", c.op, "key", c.key, "err", err)
		}
	})
}

// pass waits at the barrier; false when the wait was cut short.
func (f *firing) pass(ctx context.Context) bool {
	if f.Barrier <= 1 {
		return true
	}
	f.owner.mu.Lock()
	open := f.open
	if open == nil {
		f.owner.mu.Unlock()
		return true
	}
	if f.waiting++; f.waiting >= f.Barrier {
		f.waiting = 0
		f.open = make(chan struct{})
		close(open)
	}
	f.owner.mu.Unlock()
	select {
	case <-open:
		return true
	case <-ctx.Done():
		f.owner.mu.Lock()
		defer f.owner.mu.Unlock()
		if f.open == open {
			f.waiting--
		}
		return false
	}
}

// pause waits for d; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// dropConn resets the connection of a response.
func dropConn(w http.ResponseWriter) { endConn(w, true) }

// endConn ends the connection of a response, in order or by a reset.
func endConn(w http.ResponseWriter, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return // dropped before
	}
	raw := conn
	if t, ok := conn.(*tls.Conn); ok {
		raw = t.NetConn()
	}
	if t, ok := raw.(*net.TCPConn); ok && reset {
		// Best effort: without it the peer sees an ordinary end.
		_ = t.SetLinger(0)
	}
	_ = raw.Close()
}
