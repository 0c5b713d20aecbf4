package main

import (
	"bytes"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
)

// testProgram is a program with an environment of its own and its output in buffers.
func testProgram(t *testing.T, env map[string]string) (p *program, stdout, stderr *bytes.Buffer) {
	t.Helper()
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	return &program{stdin: os.Stdin, stdout: newPrinter(stdout), stderr: newPrinter(stderr), getenv: func(name string) string { return env[name] }}, stdout, stderr
}

// texts shows the settings without their origin.
func texts(v values) map[string]string {
	m := map[string]string{}
	for name, s := range v {
		m[name] = strings.Join(s.list, "+")
	}
	return m
}

func TestParseArgs(t *testing.T) {
	for _, tc := range []struct {
		name string
		line string
		want map[string]string
		rest []string
	}{
		{"nothing", "", map[string]string{}, nil},
		{"flags behind arguments", "oss://b d --region cn-x --read-only", map[string]string{"region": "cn-x", "read-only": "true"}, []string{"oss://b", "d"}},
		{"joined values", "--region=cn-x --read-only=false a", map[string]string{"region": "cn-x", "read-only": "false"}, []string{"a"}},
		{"repeated list", "--read-rsa-key a --read-rsa-key b", map[string]string{"read-rsa-key": "a+b"}, nil},
		{"same value twice", "--region x --region x", map[string]string{"region": "x"}, nil},
		{"value with a hyphen", "--matdesc -a=b", map[string]string{"matdesc": "-a=b"}, nil},
		{"single hyphen", "- b", map[string]string{}, []string{"-", "b"}},
		{"end of options", "a -- --region x", map[string]string{}, []string{"a", "--", "--region", "x"}},
		{"mount options", "-o ro,region=cn-x,cache_size=1GiB,noauto,user,_netdev,nofail,x-systemd.automount,rw", map[string]string{
			"read-only": "true", "region": "cn-x", "cache-size": "1GiB"}, nil},
		{"mount options in words", "a b -o rw,nosuid -o allow_other", map[string]string{"allow-other": "true"}, []string{"a", "b"}},
		{"words that mount.fuse adds", "-o rw,dev,suid,noexec", map[string]string{"noexec": "true"}, nil},
		{"set-user-id asked for", "-o suid=true,dev=true", map[string]string{"suid": "true", "dev": "true"}, nil},
		{"comma in a mount option", `-o key-passphrase-command=get\054it`, map[string]string{"key-passphrase-command": "get,it"}, nil},
		{"helper flags", "-n -v -s -t fuse.ossencfs -o ro a b", map[string]string{"n": "true", "v": "true", "s": "true", "t": "fuse.ossencfs", "read-only": "true"}, []string{"a", "b"}},
		{"exclusive mount option", "-o prefix=a/b,uid=5,gid=6,umask=077,foreground", map[string]string{"prefix": "a/b", "uid": "5", "gid": "6", "umask": "077", "foreground": "true"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v, rest, err := parseArgs(mountCommand().options, strings.Fields(tc.line))
			if err != nil {
				t.Fatal(err)
			}
			if got := texts(v); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("settings: got %v, want %v", got, tc.want)
			}
			if !reflect.DeepEqual(rest, tc.rest) {
				t.Errorf("arguments: got %q, want %q", rest, tc.rest)
			}
		})
	}
}

func TestBadCommandLines(t *testing.T) {
	for _, tc := range []struct {
		name, line, message, hint string
	}{
		{"no such command", "mout", `there is no command "mout"`, "did you mean mount?"},
		{"no such option", "mount --cahce-dir x", `there is no option "--cahce-dir"`, "did you mean --cache-dir?"},
		{"far from any option", "mount --zzzzzzzz", `there is no option "--zzzzzzzz"`, "`ossencfs help mount` explains it"},
		{"one hyphen", "mount -region x", `there is no option "-region"`, "--region"},
		{"missing value", "mount oss://b d --region", "--region wants a value: REGION", ""},
		{"given twice", "mount --region a --region b", `--region is given twice`, ""},
		{"missing argument", "mount oss://bucket", "DIR is missing", ""},
		{"too many arguments", "mount oss://bucket d e", `argument "e" is one too many`, ""},
		{"no bucket", "mount bucket d", `"bucket" is not a bucket`, "oss://BUCKET"},
		{"empty bucket", "get oss:///key f", "names no bucket", "oss://BUCKET"},
		{"no object", "get oss://bucket f", "names no object", "oss://BUCKET/KEY"},
		{"no such mount option", "mount oss://bucket d -o alow_other", `there is no mount option "alow_other"`, "did you mean allow-other?"},
		{"mount option without value", "mount oss://bucket d -o region", "wants a value", ""},
		{"synchronous mount option", "mount oss://bucket d -o sync", `there is no mount option "sync"`, ""},
		{"no region", "mount oss://bucket d", "it is not said where bucket bucket is", "--region"},
		{"bad size", "mount oss://bucket d --region r --cache-size lots", `--cache-size: "lots" cannot be used`, ""},
		{"small size", "mount oss://bucket d --region r --cache-size 10", `--cache-size: "10" cannot be used: the smallest cache has 16.0 MiB`, ""},
		{"wrong order", "mount d oss://bucket", `"d" is where the bucket should be named`, "exchange the arguments: the bucket is oss://bucket"},
		{"wrong order of get", "get f oss://bucket/k", `"f" is where the bucket should be named`, "exchange the arguments"},
		{"wrong order of put", "put oss://bucket/k f", `"f" is where the bucket should be named`, "exchange the arguments"},
		{"bad duration", "mount oss://bucket d --region r --settle 2", `--settle: "2" cannot be used`, ""},
		{"bad choice", "mount oss://bucket d --region r --dialect new", "want both, current or legacy", ""},
		{"bad umask", "mount oss://bucket d --region r --umask 9", "want a number from 0 to 777", ""},
		{"bad switch", "mount oss://bucket d --region r --read-only=perhaps", "want true or false", ""},
		{"bad credentials", "mount oss://bucket d --region r --credentials wallet", "want auto, env", ""},
		{"bad key size", "keygen --bits 1024 f", "want 2048, 3072 or 4096", ""},
		{"password of a proxy", "get oss://bucket/k f --proxy http://u:canary@host:3128", "--proxy names a user or password", "set OSSENCFS_PROXY in the environment"},
		{"password of a proxy in a mount option", "mount oss://bucket d -o proxy=http://u:canary@host:3128", "-o proxy names a user or password", "proxy in the configuration file"},
		{"password of an endpoint", "put f oss://bucket/k --endpoint=https://u:canary@host", "--endpoint names a user or password", "OSSENCFS_ENDPOINT"},
		{"password of KMS", "key list oss://bucket --kms-endpoint u:canary@host", "--kms-endpoint names a user or password", "OSSENCFS_KMS_ENDPOINT"},
		{"two passphrases", "keygen --key-passphrase-file a --key-passphrase-env B f", "are both given", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, _, stderr := testProgram(t, map[string]string{"HOME": t.TempDir()})
			code := p.run(t.Context(), append([]string{"ossencfs"}, strings.Fields(tc.line)...))
			if code != exitUsage {
				t.Errorf("exit code: got %d, want %d", code, exitUsage)
			}
			got := stderr.String()
			if !strings.HasPrefix(got, errorPrefix) || !strings.Contains(got, tc.message) || !strings.Contains(got, tc.hint) {
				t.Errorf("got %q, want an error with %q and a hint with %q", got, tc.message, tc.hint)
			}
			if strings.Contains(got, "canary") {
				t.Errorf("a password is shown: %q", got)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	for _, c := range commands() {
		p, stdout, _ := testProgram(t, nil)
		if code := p.run(t.Context(), []string{"ossencfs", "help", c.name}); code != exitOK || stdout.String() != c.usage {
			t.Errorf("help %s: exit code %d, %q", c.name, code, stdout)
		}
		if !strings.HasPrefix(c.usage, "usage: ossencfs "+c.name) {
			t.Errorf("the manual of %s begins with %.40q", c.name, c.usage)
		}
		for _, o := range c.options {
			silent := len(o.name) == 1 || c.name == "demo" || c.name == "inspect" && isKeyOption(o.name)
			if !silent && !strings.Contains(c.usage, "--"+o.name) {
				t.Errorf("the manual of %s does not mention --%s", c.name, o.name)
			}
		}
		p, stdout, _ = testProgram(t, nil)
		if code := p.run(t.Context(), []string{"ossencfs", c.name, "--help"}); code != exitOK || stdout.String() != c.usage {
			t.Errorf("%s --help: exit code %d", c.name, code)
		}
	}
}

// isKeyOption reports whether an option is accepted by inspect, which needs no key, for the sake of scripts.
func isKeyOption(name string) bool { return findOption(keyOptions, name) != nil }

func TestMountHelperNames(t *testing.T) {
	for _, tc := range []struct {
		argv []string
		want bool
	}{
		{[]string{"/sbin/mount.ossencfs", "oss://b", "d"}, true},
		{[]string{"mount.fuse.ossencfs", "oss://b", "d"}, true},
		{[]string{"/usr/bin/ossencfs", "oss://b", "d", "-o", "rw"}, true},
		{[]string{"ossencfs", "mount", "oss://b", "d"}, false},
		{[]string{"ossencfs"}, false},
	} {
		if got := isMountHelper(tc.argv); got != tc.want {
			t.Errorf("%v: got %v, want %v", tc.argv, got, tc.want)
		}
	}
}

func TestEditDistance(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"cahce", "cache", 1}, {"mount", "umount", 1}, {"get", "put", 2}} {
		if got := editDistance(tc.a, tc.b); got != tc.want {
			t.Errorf("%q %q: got %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}

func TestWithHintsKeepsTheCode(t *testing.T) {
	err := withHints(fail(exitKey, errors.New("no key"), "first"), "second")
	var f *failure
	if !errors.As(err, &f) || f.code != exitKey || !reflect.DeepEqual(f.hints, []string{"first", "second"}) {
		t.Errorf("got %+v", f)
	}
}

// TestOnlyNearNamesAreSuggested: a suggestion that has little to do with what was typed leads astray.
func TestOnlyNearNamesAreSuggested(t *testing.T) {
	names := []string{"ro", "region", "rsa-key", "allow-other", "--cache-size"}
	for word, want := range map[string]string{"url": "", "rw": "ro", "regoin": "region", "alow_other": "allow-other", "--cache-siez": "--cache-size", "passwd": "", "zone": ""} {
		got := didYouMean(word, names)
		if want == "" && got != "" || want != "" && got != "did you mean "+want+"?" {
			t.Errorf("%s: got %q, want %q", word, got, want)
		}
	}
}
