package main

import (
	"context"
	"time"

	"github.com/ossencfs/ossencfs/object"
)

// countingProvider counts how often it is asked for credentials.
type countingProvider struct {
	asked   int
	expires time.Time
}

// Credentials implements object.CredentialsProvider.
func (p *countingProvider) Credentials(context.Context) (object.Credentials, error) {
	p.asked++
	return object.Credentials{ID: "id", Secret: "secret", Expires: p.expires}, nil
}
