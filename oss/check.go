package oss

import (
	"context"
	"errors"
)

// Check sends one cheap request, a listing of at most one key below Config.CheckPrefix, and says what would stop a
// mount: ErrNoSuchBucket, ErrWrongEndpoint, ErrCredentials, ErrDenied, ErrClock or ErrUnreachable; ErrThrottled and
// ErrUnavailable when the server answers but does not work just now. It takes seconds, not minutes: a failed
// connection is tried once more only.
func (c *Client) Check(ctx context.Context) error {
	r := request{op: "ListObjectsV2", method: "GET", repeat: true, quick: true}
	_, err := c.list(ctx, ListOptions{Prefix: c.cfg.CheckPrefix, Max: 1}, r)
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	e.Op = "Check"
	switch {
	case e.kind == ErrUnavailable && e.Status == 0 && ctx.Err() == nil:
		e.kind = ErrUnreachable
	case e.Status/100 == 2 && e.kind == ErrUnavailable:
		e.kind = ErrWrongEndpoint // something answered, but not with a listing of OSS
	}
	return e
}
