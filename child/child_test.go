package child

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestEnvironment is the table of who gets what.
func TestEnvironment(t *testing.T) {
	Hide("MY_PASSPHRASE")
	for _, tt := range []struct {
		variable, command, login string // "" for not at all
	}{
		{"PATH=/bin", "PATH=/bin", "PATH=/bin"},
		{"EMPTY=", "EMPTY=", "EMPTY="},
		{"VAULT_TOKEN=x", "VAULT_TOKEN=x", "VAULT_TOKEN=x"},
		{"OSS_ENDPOINT=x", "OSS_ENDPOINT=x", "OSS_ENDPOINT=x"},
		{"OSS_ACCESS_KEY_ID=canary", "", ""},
		{"OSS_ACCESS_KEY_SECRET=canary", "", ""},
		{"OSS_SESSION_TOKEN=canary", "", ""},
		{"OSS_SECURITY_TOKEN=canary", "", ""},
		{"OSSENCFS_PROXY=http://u:canary@p", "", ""},
		{"OSSENCFS_KEY_PASSPHRASE_ENV=canary", "", ""},
		{"OSSENCFS_DAEMON_FD=3", "", ""},
		{"MY_PASSPHRASE=canary", "", ""},
		{"ALIBABA_CLOUD_ACCESS_KEY_ID=a", "", "ALIBABA_CLOUD_ACCESS_KEY_ID=a"},
		{"ALIBABA_CLOUD_ACCESS_KEY_SECRET=a", "", "ALIBABA_CLOUD_ACCESS_KEY_SECRET=a"},
		{"ALIBABA_CLOUD_SECURITY_TOKEN=a", "", "ALIBABA_CLOUD_SECURITY_TOKEN=a"},
		{"ALIBABA_CLOUD_PROFILE=a", "ALIBABA_CLOUD_PROFILE=a", "ALIBABA_CLOUD_PROFILE=a"},
		{"ALIBABACLOUD_ACCESS_KEY_SECRET=a", "", "ALIBABACLOUD_ACCESS_KEY_SECRET=a"},
		{"ALICLOUD_SECRET_KEY=a", "", "ALICLOUD_SECRET_KEY=a"},
		{"ALIYUN_ACCESSKEY_SECRET=a", "", "ALIYUN_ACCESSKEY_SECRET=a"},
		{"HTTPS_PROXY=http://u:p@proxy:3128", "HTTPS_PROXY=http://proxy:3128", "HTTPS_PROXY=http://u:p@proxy:3128"},
		{"https_proxy=u:p@x@proxy:3128/", "https_proxy=proxy:3128/", "https_proxy=u:p@x@proxy:3128/"},
		{"all_proxy=socks5://proxy", "all_proxy=socks5://proxy", "all_proxy=socks5://proxy"},
		{"NO_PROXY=a,b", "NO_PROXY=a,b", "NO_PROXY=a,b"},
	} {
		for login, want := range map[bool]string{false: tt.command, true: tt.login} {
			if got := strings.Join(environ([]string{tt.variable}, login), " "); got != want {
				t.Errorf("%s, login %v: got %q, want %q", tt.variable, login, got, want)
			}
		}
	}
}

// TestCommandsGetNoFiles: not even those that were left open to us.
func TestCommandsGetNoFiles(t *testing.T) {
	if err := unix.CloseRange(1<<20, 1<<20, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		t.Skipf("this kernel leaves it to the parent: %v", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	left, err := unix.FcntlInt(r.Fd(), unix.F_DUPFD, 50) // a copy that stays open over exec
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(left)
	if err := Command(t.Context(), fmt.Sprintf("! [ -e /proc/$$/fd/%d ]", left)).Run(); err != nil {
		t.Errorf("a file of ours is open to a command: %v", err)
	}
}
