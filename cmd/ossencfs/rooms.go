package main

import (
	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/oss"
)

// Names of rooms further below that this one needs. Nothing here reads or writes an object.
type (
	envCredentials = oss.Env
	ramRole        = oss.Role
	oidcRole       = oss.OIDCRole
	addressing     = oss.Addressing
	signVersion    = oss.SignVersion
)

var (
	defaultCredentials = oss.DefaultCredentials
	ossutilConfig      = oss.OSSUtilConfig
	aliyunConfig       = oss.AliyunConfig
	assumeRole         = oss.AssumeRole
	ecsRole            = oss.ECSRole
	oidcCredentials    = oss.OIDC
	commandCredentials = oss.Command

	errLocked      = index.ErrLocked
	errWrongSecret = index.ErrWrongSecret
	errCorrupt     = index.ErrCorrupt
)
