package main

import (
	"fmt"

	"github.com/ossencfs/ossencfs/endpoint"
)

// plainHint says what to do about http to another machine.
const plainHint = "write https://; --allow-http permits http all the same, for a network that you trust as this machine"

// checkEndpoints refuses http to other machines before anything is asked for or sent, unless --allow-http permits it, and then warns.
// What a mount starts again does not warn once more.
func (c *call) checkEndpoints() error {
	if findOption(c.options, "allow-http") == nil {
		return nil
	}
	r := c.read()
	allowed, proxy := r.is("allow-http"), r.text("proxy")
	if r.err != nil {
		return r.err
	}
	again := c.getenv(daemonEnv) != "" || c.getenv(bequestEnv) != ""
	for _, name := range []string{"endpoint", "kms-endpoint"} {
		via := ""
		if name == "endpoint" {
			via = proxy // KMS is reached without it
		}
		address := r.text(name)
		if address == "" {
			continue
		}
		u, err := endpoint.Parse(address)
		if err != nil {
			return usageError(fmt.Errorf("%s: %w", r.from(name), err))
		}
		if err := endpoint.Check(u, via, allowed); err != nil {
			return usageError(fmt.Errorf("%s: %w", r.from(name), err), plainHint)
		}
		if endpoint.Exposed(u, via) && !again {
			c.stderr.printf("ossencfs: warning: everybody on the way to %s sees tokens, keys from KMS and signed requests\n", u)
		}
	}
	return nil
}
