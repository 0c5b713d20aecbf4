package object

import (
	"context"
	"errors"
	"time"

	"github.com/ossencfs/ossencfs/oss"
)

const (
	// attempts is how often a request is sent that does no harm when it is executed twice, firstPause the first time between.
	attempts   = 4
	firstPause = 200 * time.Millisecond
)

// repeat tries again after passing failures: for what reads, and for what is created once or is the same bytes each time.
func (b *Bucket) repeat(ctx context.Context, do func() error) error {
	for pause := firstPause; ; pause *= 2 {
		err := do()
		if err == nil || pause > firstPause<<(attempts-2) || !oss.Retryable(err) {
			return err
		}
		select {
		case <-time.After(max(pause, oss.RetryAfter(err))):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}
