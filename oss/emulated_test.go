package oss

import (
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/emulator"
)

// emulated starts an emulator with one bucket.
func emulated(t *testing.T, o emulator.Options) *emulator.Server {
	t.Helper()
	o.Buckets = []string{"bucket"}
	s, err := emulator.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// emulatedConfig is a right configuration for s with short deadlines.
func emulatedConfig(s *emulator.Server) Config {
	return Config{Endpoint: s.Endpoint(), Region: s.Region(), Bucket: "bucket",
		Credentials: Static{ID: s.AccessKeyID(), Secret: s.AccessKeySecret()},
		CallTimeout: 5 * time.Second, LongTimeout: 5 * time.Second, BodyTimeout: 5 * time.Second}
}

// opened opens a client for the test's time.
func opened(t *testing.T, cfg Config) *Client {
	t.Helper()
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}
