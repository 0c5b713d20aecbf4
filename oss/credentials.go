package oss

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// Credentials are an access key, with a token when they are temporary.
type Credentials struct {
	ID      string    // access key id
	Secret  string    // access key secret; never printed
	Token   string    // STS token; empty for a lasting key
	Expires time.Time // when to ask the provider again at the latest; zero: when OSS refuses them
}

// String names the key without its secrets.
func (c Credentials) String() string { return "access key " + c.ID }

// GoString is String, so that %#v shows no secret.
func (c Credentials) GoString() string { return c.String() }

// same reports whether two sets would sign alike.
func (c *Credentials) same(o *Credentials) bool {
	return c.ID == o.ID && c.Secret == o.Secret && c.Token == o.Token
}

// Provider gives the present credentials. It is asked when the last ones are about to expire or were refused, never
// twice at the same time by one Client. Its errors must not contain secrets.
type Provider interface {
	Credentials(ctx context.Context) (Credentials, error)
}

// ErrNoCredentials is returned by a provider whose source is absent, so that a Chain goes on to the next one.
var ErrNoCredentials = errors.New("no credentials here")

const (
	// renewBefore is how long before their end credentials are renewed.
	renewBefore = 3 * time.Minute
	// renewTimeout bounds one question to a provider.
	renewTimeout = 30 * time.Second
)

// credentialCache keeps the last answer of a provider. turn holds one token: who takes it may ask the provider.
type credentialCache struct {
	provider Provider
	turn     chan struct{}
	current  atomic.Pointer[Credentials]
}

func newCredentialCache(p Provider) *credentialCache {
	c := &credentialCache{provider: p, turn: make(chan struct{}, 1)}
	c.turn <- struct{}{}
	return c
}

// get returns credentials that are good now, asking the provider when needed.
func (c *credentialCache) get(ctx context.Context) (*Credentials, error) {
	cur := c.current.Load()
	if cur != nil && (cur.Expires.IsZero() || time.Until(cur.Expires) > renewBefore) {
		return cur, nil
	}
	if cur != nil && time.Until(cur.Expires) > 0 {
		select {
		case <-c.turn:
		default:
			return cur, nil // somebody renews already; these are good meanwhile
		}
	} else if err := c.takeTurn(ctx); err != nil {
		return nil, err
	}
	defer func() { c.turn <- struct{}{} }()
	if now := c.current.Load(); now != cur {
		return now, nil
	}
	fresh, err := c.askLocked(ctx)
	if err != nil && cur != nil && time.Until(cur.Expires) > 0 {
		return cur, nil
	}
	return fresh, err
}

// renew asks the provider again after refused were not accepted, unless somebody has done so since.
func (c *credentialCache) renew(ctx context.Context, refused *Credentials) (*Credentials, error) {
	if err := c.takeTurn(ctx); err != nil {
		return nil, err
	}
	defer func() { c.turn <- struct{}{} }()
	if cur := c.current.Load(); cur != nil && cur != refused {
		return cur, nil
	}
	return c.askLocked(ctx)
}

func (c *credentialCache) takeTurn(ctx context.Context) error {
	select {
	case <-c.turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// askLocked asks the provider; the caller holds the turn.
func (c *credentialCache) askLocked(ctx context.Context) (*Credentials, error) {
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	fresh, err := c.provider.Credentials(ctx)
	if err != nil {
		return nil, err
	}
	if fresh.ID == "" || fresh.Secret == "" {
		return nil, fmt.Errorf("provider gave an empty access key: %w", ErrNoCredentials)
	}
	c.current.Store(&fresh)
	return &fresh, nil
}

// credentialError wraps a provider's failure.
func credentialError(op, key string, err error) error {
	var network *net.OpError
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && !errors.Is(err, ErrNoCredentials) {
		return &Error{Op: op, Key: key, kind: ErrUnavailable, Message: "get credentials", Err: err, unsent: true}
	}
	return &Error{Op: op, Key: key, kind: ErrCredentials, Err: err, unsent: true}
}

// Static is a provider of fixed credentials.
type Static Credentials

// Credentials returns the fixed credentials.
func (s Static) Credentials(context.Context) (Credentials, error) {
	if s.ID == "" || s.Secret == "" {
		return Credentials{}, ErrNoCredentials
	}
	return Credentials(s), nil
}

// String names the key without its secrets.
func (s Static) String() string { return Credentials(s).String() }

// GoString is String, so that %#v shows no secret.
func (s Static) GoString() string { return s.String() }
