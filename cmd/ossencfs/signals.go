package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// signals are the requests to end that come from outside: Ctrl-C, systemd, shutdown. The first asks for an orderly end,
// the second for a quick one.
type signals struct {
	first  context.Context
	second context.Context
	stop   func()
}

// catchSignals begins to listen. SIGHUP is ignored, so that a mount outlives its terminal. orders tells how many signals the
// supervisor got, nil when there is none; the same one may have come to both processes, as a terminal and systemd send it.
func catchSignals(orders <-chan int) *signals {
	ch := make(chan os.Signal, 2)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	signal.Ignore(syscall.SIGHUP)
	first, cancelFirst := context.WithCancel(context.Background())
	second, cancelSecond := context.WithCancel(context.Background())
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for direct, ordered := 0, 0; max(direct, ordered) < 2; {
			select {
			case <-ch:
				direct++
			case ordered = <-orders:
			case <-done:
				return
			}
			if max(direct, ordered) > 0 {
				cancelFirst()
			}
			if max(direct, ordered) > 1 {
				cancelSecond()
			}
		}
	}()
	return &signals{first: first, second: second, stop: func() {
		signal.Stop(ch)
		close(done)
		<-ended
		cancelFirst()
		cancelSecond()
	}}
}

// firstOr ends with the first signal or with ctx.
func (s *signals) firstOr(ctx context.Context) context.Context { return either(ctx, s.first) }

// either is a that also ends when b does.
func either(a, b context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(a)
	context.AfterFunc(b, func() { cancel(context.Cause(b)) })
	return ctx
}
