package oss

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
)

// Env is a provider that reads OSS_ACCESS_KEY_ID, OSS_ACCESS_KEY_SECRET and OSS_SESSION_TOKEN, or else
// ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET and ALIBABA_CLOUD_SECURITY_TOKEN.
type Env struct{}

// Credentials reads the environment; ErrNoCredentials when neither family of names is set.
func (Env) Credentials(context.Context) (Credentials, error) {
	for _, names := range [][3]string{
		{"OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "OSS_SESSION_TOKEN"},
		{"ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN"},
	} {
		c := Credentials{ID: os.Getenv(names[0]), Secret: os.Getenv(names[1]), Token: os.Getenv(names[2])}
		switch {
		case c.ID != "" && c.Secret != "":
			return c, nil
		case c.ID != "":
			return Credentials{}, fmt.Errorf("%s is set but %s is not", names[0], names[1])
		case c.Secret != "":
			return Credentials{}, fmt.Errorf("%s is set but %s is not", names[1], names[0])
		}
	}
	return Credentials{}, fmt.Errorf("OSS_ACCESS_KEY_ID is not set: %w", ErrNoCredentials)
}

// Chain is a provider that asks the given ones in their order and stays with the first that has credentials. One
// that fails for another reason than ErrNoCredentials ends the search, so that a typing error is not covered up by
// the next source.
func Chain(providers ...Provider) Provider { return &chain{providers: providers} }

type chain struct {
	providers []Provider

	mu     sync.Mutex // guards chosen
	chosen Provider
}

// Credentials implements Provider.
func (c *chain) Credentials(ctx context.Context) (Credentials, error) {
	c.mu.Lock()
	chosen := c.chosen
	c.mu.Unlock()
	if chosen != nil {
		return chosen.Credentials(ctx)
	}
	var missing []string
	for _, p := range c.providers {
		got, err := p.Credentials(ctx)
		if err == nil {
			c.mu.Lock()
			c.chosen = p
			c.mu.Unlock()
			return got, nil
		}
		if !errors.Is(err, ErrNoCredentials) {
			return Credentials{}, err
		}
		missing = append(missing, err.Error())
	}
	return Credentials{}, fmt.Errorf("%w: %s", ErrNoCredentials, strings.Join(missing, "; "))
}

// DefaultCredentials is the chain that a mount uses unless told otherwise: the environment, OIDC as set up by
// RRSA in a Kubernetes pod, ossutil's configuration, the aliyun CLI's configuration, and the RAM role of the ECS
// instance unless ALIBABA_CLOUD_ECS_METADATA_DISABLED is true.
func DefaultCredentials() Provider {
	list := []Provider{Env{}, OIDC(OIDCRole{}), OSSUtilConfig("", ""), AliyunConfig("", "")}
	if !strings.EqualFold(os.Getenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED"), "true") {
		list = append(list, ECSRole(os.Getenv("ALIBABA_CLOUD_ECS_METADATA")))
	}
	return Chain(list...)
}
