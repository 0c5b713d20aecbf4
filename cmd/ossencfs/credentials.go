package main

import (
	"context"
	"sync"
	"time"

	"strings"

	"github.com/ossencfs/ossencfs/object"
)

// credentials makes the provider that --credentials and --role-arn describe. It asks nobody yet.
func (r *reader) credentials() object.CredentialsProvider {
	kind, rest, _ := strings.Cut(r.text("credentials"), ":")
	var p object.CredentialsProvider
	switch {
	case kind == "auto" && rest == "":
		p = object.DefaultCredentials()
	case kind == "env" && rest == "":
		p = object.EnvCredentials{}
	case kind == "ossutil":
		p = object.OSSUtilConfig("", rest)
	case kind == "aliyun":
		p = object.AliyunConfig("", rest)
	case kind == "ecs":
		p = object.ECSRole(rest)
	case kind == "oidc" && rest == "":
		p = object.OIDC(object.OIDCRole{})
	case kind == "command" && rest != "":
		p = object.CommandCredentials(rest)
	default:
		r.bad("credentials", "want auto, env, ossutil[:PROFILE], aliyun[:PROFILE], ecs[:ROLE], oidc or command:LINE")
		return nil
	}
	if arn := r.text("role-arn"); arn != "" {
		p = object.AssumeRole(p, object.Role{ARN: arn})
	}
	return p
}

// kmsCredentialsAge is how long credentials without an end are used for KMS before their source is asked again.
const kmsCredentialsAge = time.Minute

// kmsCredentials hands a provider's credentials to KMS, which wants them for every request. Credentials are kept until
// shortly before their end, so that a command does not run for each file.
type kmsCredentials struct {
	provider object.CredentialsProvider

	mu    sync.Mutex // mu guards the fields below
	have  object.Credentials
	until time.Time
}

// get returns access key id, secret and token.
func (k *kmsCredentials) get(ctx context.Context) (id, secret, token string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Now().After(k.until) {
		c, err := k.provider.Credentials(ctx)
		if err != nil {
			return "", "", "", err
		}
		k.have, k.until = c, time.Now().Add(kmsCredentialsAge)
		if !c.Expires.IsZero() && c.Expires.Add(-kmsCredentialsAge).Before(k.until) {
			k.until = c.Expires.Add(-kmsCredentialsAge)
		}
	}
	return k.have.ID, k.have.Secret, k.have.Token, nil
}
