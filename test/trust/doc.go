// Package trust checks what an attacker who owns the bucket can achieve: nothing but EIO, a report, or a mount that is refused. Each
// attack changes a bucket that a mount has written, and a new host with the right master key looks at it.
package trust
