// Package child runs the commands that users name, and decides what of this process they get: none of its secrets, and none of its files.
package child

import (
	"context"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Command prepares a shell command that gets our environment without any secret of ours: passwords of proxies are cut out.
func Command(ctx context.Context, line string) *exec.Cmd { return shell(ctx, line, false) }

// LoginCommand prepares a shell command that fetches credentials, and may have to log in for them: it keeps what the vendor's own tools
// log in with, ALIBABA_CLOUD_… and the like, and passwords of proxies. The access key of OSS_… and our own options it does not get.
func LoginCommand(ctx context.Context, line string) *exec.Cmd { return shell(ctx, line, true) }

func shell(ctx context.Context, line string, login bool) *exec.Cmd {
	// What our own parent left open would be inherited further. Linux before 5.11 does not know the call, and leaves that to the parent.
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", line) //nolint:gosec // the user's own command
	cmd.Env = environ(os.Environ(), login)
	return cmd
}

// hidden has the variables that hold secrets under names which the user chose.
var (
	mu     sync.Mutex // mu guards hidden
	hidden []string
)

// Hide keeps a variable from all commands: the user has said that a secret is in it.
func Hide(name string) {
	mu.Lock()
	defer mu.Unlock()
	if !slices.Contains(hidden, name) {
		hidden = append(hidden, name)
	}
}

// environ is an environment without its secrets.
func environ(all []string, login bool) []string {
	mu.Lock()
	defer mu.Unlock()
	list := make([]string, 0, len(all))
	for _, v := range all {
		name, value, _ := strings.Cut(v, "=")
		switch {
		case slices.Contains(hidden, name), isOurs(name), isVendors(name) && !login:
			continue
		case isProxy(name) && !login:
			v = name + "=" + withoutLogin(value)
		}
		list = append(list, v)
	}
	return list
}

// isOurs reports whether a variable is an option or a descriptor of ours, or an access key for OSS.
func isOurs(name string) bool {
	return strings.HasPrefix(name, "OSSENCFS_") || strings.HasPrefix(name, "OSS_") && isSecret(name)
}

// isVendors reports whether a variable is what Alibaba's SDKs and tools log in with.
func isVendors(name string) bool {
	for _, vendor := range []string{"ALIBABA_CLOUD_", "ALIBABACLOUD_", "ALICLOUD_", "ALIYUN_"} {
		if strings.HasPrefix(name, vendor) && isSecret(name) {
			return true
		}
	}
	return false
}

// isSecret reports whether a name tells of an access key or a token.
func isSecret(name string) bool {
	for _, word := range []string{"ACCESS_KEY", "ACCESSKEY", "SECRET", "TOKEN", "PASSWORD", "PASSPHRASE", "CREDENTIAL"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// isProxy reports whether a variable names a proxy.
func isProxy(name string) bool { return strings.HasSuffix(strings.ToUpper(name), "_PROXY") }

// withoutLogin cuts user and password out of a URL.
func withoutLogin(address string) string {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		scheme, rest = "", address
	} else {
		scheme += "://"
	}
	return scheme + rest[strings.LastIndexByte(rest, '@')+1:]
}
