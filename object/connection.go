package object

import (
	"context"

	"github.com/ossencfs/ossencfs/oss"
)

// How to reach a bucket and as whom; see package oss for each.
type (
	// Connection says which bucket to open and how to reach it.
	Connection = oss.Config
	// SignVersion names a signature algorithm: "v4" or "v1".
	SignVersion = oss.SignVersion
	// Addressing says where the bucket's name stands in a request: "", "virtual", "path" or "cname".
	Addressing = oss.Addressing
	// Credentials are an access key, with a token when they are temporary.
	Credentials = oss.Credentials
	// CredentialsProvider gives the present credentials.
	CredentialsProvider = oss.Provider
	// StaticCredentials provide an access key that does not change.
	StaticCredentials = oss.Static
	// EnvCredentials read the environment.
	EnvCredentials = oss.Env
	// Role is a RAM role to be assumed through STS.
	Role = oss.Role
	// Place is where a configuration file of another tool says that a bucket is.
	Place = oss.Place
	// OIDCRole is a RAM role to be assumed with an OpenID Connect token.
	OIDCRole = oss.OIDCRole
)

// AddressCNAME: the endpoint is a domain that Alibaba has bound to the bucket.
const AddressCNAME = oss.AddressCNAME

// DefaultCredentials is the chain that a mount uses unless told otherwise: environment, OIDC, ossutil's and the aliyun
// CLI's configuration, the ECS instance's role.
func DefaultCredentials() CredentialsProvider { return oss.DefaultCredentials() }

// ChainCredentials asks the given providers in their order and stays with the first that has credentials.
func ChainCredentials(providers ...CredentialsProvider) CredentialsProvider {
	return oss.Chain(providers...)
}

// OSSUtilConfig reads ossutil's configuration file; empty arguments mean its defaults.
func OSSUtilConfig(file, profile string) CredentialsProvider { return oss.OSSUtilConfig(file, profile) }

// AliyunConfig reads the aliyun CLI's configuration file; empty arguments mean its defaults.
func AliyunConfig(file, profile string) CredentialsProvider { return oss.AliyunConfig(file, profile) }

// OSSUtilPlace is where ossutil's configuration says that a bucket is.
func OSSUtilPlace(ctx context.Context, getenv func(string) string, profile, bucket string) (Place, error) {
	return oss.OSSUtilPlace(ctx, getenv, profile, bucket)
}

// AliyunPlace is the region that the aliyun CLI's configuration names.
func AliyunPlace(ctx context.Context, getenv func(string) string, profile string) (Place, error) {
	return oss.AliyunPlace(ctx, getenv, profile)
}

// CommandCredentials runs a shell command that prints credentials as JSON.
func CommandCredentials(line string) CredentialsProvider { return oss.Command(line) }

// AssumeRole obtains tokens of a RAM role with the credentials of source.
func AssumeRole(source CredentialsProvider, r Role) CredentialsProvider {
	return oss.AssumeRole(source, r)
}

// ECSRole obtains tokens of the RAM role of the ECS instance; empty: the one attached to it.
func ECSRole(name string) CredentialsProvider { return oss.ECSRole(name) }

// OIDC obtains tokens of a role with an OpenID Connect token, as in a Kubernetes pod.
func OIDC(o OIDCRole) CredentialsProvider { return oss.OIDC(o) }
