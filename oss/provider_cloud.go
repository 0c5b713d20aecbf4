package oss

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/aliyun/credentials-go/credentials/providers"

	"github.com/ossencfs/ossencfs/endpoint"
)

// credentials-go copies http.DefaultTransport for each of its requests, follows redirects, and asks the metadata service through a
// proxy of the environment: this is the only door to it.
func init() {
	if t, ok := http.DefaultTransport.(*http.Transport); ok {
		t.Proxy = endpoint.ProxyForCredentials
		t.DialContext = endpoint.Dial(&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second})
	}
}

// cloudLifetime is how long an answer of credentials-go is used before it is asked again. It renews by itself when
// less than three minutes are left, so a question is cheap and its answer good for at least that long.
const cloudLifetime = renewBefore + 30*time.Second

// Role is a RAM role to be assumed through STS.
type Role struct {
	ARN         string        // acs:ram::ACCOUNT:role/NAME; required
	Session     string        // session name for the audit log; "ossencfs" when empty
	Duration    time.Duration // lifetime of a token; one hour when 0, at least 15 minutes
	ExternalID  string        // shared with the role's owner, when the role asks for it
	Policy      string        // JSON policy that narrows the role further
	STSEndpoint string        // host; sts.aliyuncs.com when empty
}

// AssumeRole is a provider of tokens of a RAM role, obtained with the credentials of source.
func AssumeRole(source Provider, r Role) Provider {
	return &cloudProvider{name: "assume role " + r.ARN, build: func() (providers.CredentialsProvider, error) {
		return providers.NewRAMRoleARNCredentialsProviderBuilder().
			WithCredentialsProvider(libSource{source}).
			WithRoleArn(r.ARN).
			WithRoleSessionName(firstOf(r.Session, "ossencfs")).
			WithDurationSeconds(int(orDefault(r.Duration, time.Hour) / time.Second)).
			WithExternalId(r.ExternalID).
			WithPolicy(r.Policy).
			WithStsEndpoint(r.STSEndpoint).
			Build()
	}}
}

// ECSRole is a provider of tokens of the RAM role of the ECS instance, from its metadata service in hardened mode
// with a fall back to normal mode. An empty name means the role attached to the instance. Where there is no
// metadata service it reports ErrNoCredentials.
func ECSRole(name string) Provider {
	return &cloudProvider{name: "ECS RAM role", absent: true, build: func() (providers.CredentialsProvider, error) {
		return providers.NewECSRAMRoleCredentialsProviderBuilder().WithRoleName(name).Build()
	}}
}

// OIDCRole is a RAM role to be assumed with an OpenID Connect token, as RRSA gives one to a Kubernetes pod.
type OIDCRole struct {
	Role               // ARN: ALIBABA_CLOUD_ROLE_ARN when empty
	ProviderARN string // ALIBABA_CLOUD_OIDC_PROVIDER_ARN when empty
	TokenFile   string // ALIBABA_CLOUD_OIDC_TOKEN_FILE when empty; read again at each renewal
}

// OIDC is a provider of tokens of a role assumed with an OpenID Connect token. It reports ErrNoCredentials when
// neither the arguments nor the environment name role, identity provider and token file.
func OIDC(o OIDCRole) Provider {
	arn := firstOf(o.ARN, os.Getenv("ALIBABA_CLOUD_ROLE_ARN"))
	provider := firstOf(o.ProviderARN, os.Getenv("ALIBABA_CLOUD_OIDC_PROVIDER_ARN"))
	file := firstOf(o.TokenFile, os.Getenv("ALIBABA_CLOUD_OIDC_TOKEN_FILE"))
	return &cloudProvider{name: "OIDC role", build: func() (providers.CredentialsProvider, error) {
		if arn == "" || provider == "" || file == "" {
			return nil, fmt.Errorf("ALIBABA_CLOUD_OIDC_TOKEN_FILE is not set: %w", ErrNoCredentials)
		}
		return providers.NewOIDCCredentialsProviderBuilder().
			WithRoleArn(arn).
			WithOIDCProviderARN(provider).
			WithOIDCTokenFilePath(file).
			WithRoleSessionName(firstOf(o.Session, os.Getenv("ALIBABA_CLOUD_ROLE_SESSION_NAME"), "ossencfs")).
			WithDurationSeconds(int(orDefault(o.Duration, time.Hour) / time.Second)).
			WithPolicy(o.Policy).
			WithSTSEndpoint(o.STSEndpoint).
			Build()
	}}
}

// cloudProvider adapts a provider of credentials-go, which knows no contexts.
type cloudProvider struct {
	name   string
	absent bool // a failure of the first question means that there is no such source
	build  func() (providers.CredentialsProvider, error)

	mu    sync.Mutex // guards the fields below; held during a question
	inner providers.CredentialsProvider
	met   bool // inner has answered once
}

// Credentials implements Provider. When ctx ends first, the question goes on until the library's own deadline of a
// few seconds and its answer is kept by the library.
func (p *cloudProvider) Credentials(ctx context.Context) (Credentials, error) {
	type result struct {
		c   Credentials
		err error
	}
	answer := make(chan result, 1)
	go func() {
		c, err := p.ask()
		answer <- result{c, err}
	}()
	select {
	case r := <-answer:
		return r.c, r.err
	case <-ctx.Done():
		return Credentials{}, fmt.Errorf("%s: %w", p.name, ctx.Err())
	}
}

// ask builds the library's provider at the first question and asks it.
func (p *cloudProvider) ask() (Credentials, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inner == nil {
		inner, err := p.build()
		if err != nil {
			return Credentials{}, fmt.Errorf("%s: %w", p.name, err)
		}
		p.inner = inner
	}
	c, err := p.inner.GetCredentials()
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err // the URL is a signed request
	}
	if err != nil {
		if p.absent && !p.met {
			return Credentials{}, fmt.Errorf("%s: %w: %w", p.name, ErrNoCredentials, err)
		}
		return Credentials{}, fmt.Errorf("%s: %w", p.name, err)
	}
	p.met = true
	return Credentials{ID: c.AccessKeyId, Secret: c.AccessKeySecret, Token: c.SecurityToken,
		Expires: time.Now().Add(cloudLifetime)}, nil
}

// libSource shows a Provider to credentials-go.
type libSource struct{ p Provider }

// GetCredentials asks the provider within the usual limit.
func (s libSource) GetCredentials() (*providers.Credentials, error) {
	ctx, cancel := context.WithTimeout(context.Background(), renewTimeout)
	defer cancel()
	c, err := s.p.Credentials(ctx)
	if err != nil {
		return nil, err
	}
	return &providers.Credentials{AccessKeyId: c.ID, AccessKeySecret: c.Secret, SecurityToken: c.Token,
		ProviderName: s.GetProviderName()}, nil
}

// GetProviderName names the adapter in the library's messages.
func (libSource) GetProviderName() string { return "ossencfs" }
