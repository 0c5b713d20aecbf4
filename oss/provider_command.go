package oss

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ossencfs/ossencfs/child"
)

const (
	// maxCommandOutput bounds what a credentials command may print; tokens have about 1 KiB.
	maxCommandOutput = 64 << 10
	// commandGrace is how long children of a cancelled command may hold its output open.
	commandGrace = 2 * time.Second
)

// Command is a provider that runs a shell command, which prints a JSON object: access_key_id, access_key_secret,
// sts_token and expiration as the aliyun CLI's External mode has them, or AccessKeyId, AccessKeySecret,
// SecurityToken and Expiration as STS does. Expiration is RFC 3339; without one the command runs again when OSS
// refuses the key. What the command prints never gets into an error.
func Command(line string) Provider { return command(line) }

type command string

// Credentials runs the command.
func (c command) Credentials(ctx context.Context) (Credentials, error) {
	if strings.TrimSpace(string(c)) == "" {
		return Credentials{}, fmt.Errorf("credentials command is empty: %w", ErrNoCredentials)
	}
	var out capped
	cmd := child.LoginCommand(ctx, string(c))
	cmd.Stdout = &out
	cmd.WaitDelay = commandGrace
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return Credentials{}, fmt.Errorf("credentials command: %w", err)
	}
	got, err := parseCommandOutput(out.buf.Bytes())
	if err != nil {
		return Credentials{}, fmt.Errorf("credentials command: %w", err)
	}
	return got, nil
}

// capped is a buffer that refuses to grow without end. It does not embed bytes.Buffer, whose ReadFrom has no end.
type capped struct{ buf bytes.Buffer }

// Write implements io.Writer.
func (c *capped) Write(p []byte) (int, error) {
	if c.buf.Len()+len(p) > maxCommandOutput {
		return 0, errors.New("output too long")
	}
	return c.buf.Write(p)
}

// parseCommandOutput reads the JSON object of a credentials command. Names match without regard to case.
func parseCommandOutput(out []byte) (Credentials, error) {
	var raw map[string]any
	if json.Unmarshal(out, &raw) != nil || raw == nil {
		return Credentials{}, errors.New("output is not a JSON object")
	}
	field := func(names ...string) string {
		for name, v := range raw {
			for _, want := range names {
				if s, ok := v.(string); ok && plainName(name) == want {
					return s
				}
			}
		}
		return ""
	}
	c := Credentials{ID: field("accesskeyid"), Secret: field("accesskeysecret"), Token: field("securitytoken", "ststoken")}
	if c.ID == "" || c.Secret == "" {
		return Credentials{}, errors.New("output has no access_key_id and access_key_secret")
	}
	if s := field("expiration"); s != "" {
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return Credentials{}, errors.New("expiration is not an RFC 3339 time")
		}
		c.Expires = at
	}
	return c, nil
}

// plainName drops case, hyphens and underscores of an option's name.
func plainName(s string) string {
	return strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(strings.TrimSpace(s)))
}
