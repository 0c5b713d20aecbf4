package main

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writeFile writes a file of mode 0600 and returns its path.
func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// mountSettings resolves what a mount with these variables and arguments is told, for a user with this home folder.
func mountSettings(t *testing.T, home string, more map[string]string, args string) (values, []option) {
	t.Helper()
	env := map[string]string{"HOME": home}
	maps.Copy(env, more)
	p, _, _ := testProgram(t, env)
	cmd := mountCommand()
	flags, rest, err := parseArgs(cmd.options, strings.Fields(args))
	if err != nil {
		t.Fatal(err)
	}
	v, err := p.resolve(t.Context(), cmd.options, flags, cmd.bucket(rest))
	if err != nil {
		t.Fatal(err)
	}
	return v, cmd.options
}

func TestPrecedence(t *testing.T) {
	home := t.TempDir()
	writeFile(t, filepath.Join(home, ".config", "ossencfs", "config.toml"), `
region = "file"
cache-size = "1GiB"
read-rsa-key = ["a", "b"]
workers = 3
[bucket."photos"]
region = "section"
settle = "9s"
[bucket."photos/raw"]
settle = "11s"
`)
	for _, tc := range []struct {
		name   string
		env    map[string]string
		args   string
		option string
		want   string
		from   string
	}{
		{"default", nil, "oss://other d", "dialect", "both", ""},
		{"top of the file", nil, "oss://other d", "region", "file", "config.toml: region"},
		{"number in the file", nil, "oss://other d", "workers", "3", "config.toml: workers"},
		{"section of the bucket", nil, "oss://photos d", "region", "section", `[bucket."photos"] region`},
		{"section of the prefix", nil, "oss://photos/raw/2026 d", "settle", "11s", `[bucket."photos/raw"] settle`},
		{"section of the bucket under a prefix", nil, "oss://photos/raw d", "region", "section", `[bucket."photos"] region`},
		{"prefix by option", nil, "oss://photos d --prefix raw", "settle", "11s", `[bucket."photos/raw"] settle`},
		{"section does not touch others", nil, "oss://other d", "settle", "2s", ""},
		{"environment over file", map[string]string{"OSS_REGION": "env"}, "oss://photos d", "region", "env", "OSS_REGION"},
		{"our name over others'", map[string]string{"OSS_REGION": "env", "OSSENCFS_REGION": "ours"}, "oss://photos d", "region", "ours", "OSSENCFS_REGION"},
		{"flag over all", map[string]string{"OSSENCFS_REGION": "env"}, "oss://photos d --region flag", "region", "flag", "--region"},
		{"mount option over all", map[string]string{"OSSENCFS_REGION": "env"}, "oss://photos d -o region=flag", "region", "flag", "-o region"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v, options := mountSettings(t, home, tc.env, tc.args)
			if got := v.text(options, tc.option); got != tc.want {
				t.Errorf("%s: got %q, want %q", tc.option, got, tc.want)
			}
			if got := v[tc.option].from; !strings.HasSuffix(got, tc.from) || tc.from == "" && got != "" {
				t.Errorf("%s is said to come from %q, want %q", tc.option, got, tc.from)
			}
		})
	}
}

func TestListFromEnvironment(t *testing.T) {
	p, _, _ := testProgram(t, map[string]string{"HOME": t.TempDir(), "OSSENCFS_READ_RSA_KEY": "a,b"})
	v, err := p.resolve(t.Context(), mountCommand().options, values{}, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(v["read-rsa-key"].list, " "); got != "a b" {
		t.Errorf("got %q", got)
	}
}

func TestBadConfiguration(t *testing.T) {
	for _, tc := range []struct {
		name, text, message string
	}{
		{"no TOML", "region", "config.toml"},
		{"unknown key", `cache_size = "1GiB"`, "did you mean cache-size?"},
		{"unknown key in a section", "[bucket.b]\nregoin = \"x\"", `[bucket."b"] regoin`},
		{"list for one value", `region = ["a"]`, "want one value, not a list"},
		{"switch for a value", `region = true`, "want REGION"},
		{"section that is no table", `bucket = "b"`, "bucket is not a table"},
		{"bucket that is no table", "[bucket]\nb = 1", "bucket.b is not a table"},
		{"date", "region = 2026-01-01", "makes no sense here"},
		{"configuration in the configuration", `config = "x"`, "there is no such setting"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := writeFile(t, filepath.Join(t.TempDir(), "config.toml"), tc.text)
			p, _, stderr := testProgram(t, map[string]string{"HOME": t.TempDir()})
			code := p.run(t.Context(), []string{"ossencfs", "mount", "oss://b", "d", "--config", file})
			if code != exitUsage || !strings.Contains(stderr.String(), tc.message) {
				t.Errorf("exit code %d, %q; want %d and %q", code, stderr, exitUsage, tc.message)
			}
		})
	}
}

func TestConfigurationOthersMayWriteIsRefused(t *testing.T) {
	file := writeFile(t, filepath.Join(t.TempDir(), "config.toml"), "")
	if err := os.Chmod(file, 0o666); err != nil {
		t.Fatal(err)
	}
	p, _, stderr := testProgram(t, map[string]string{"OSSENCFS_CONFIG": file})
	if code := p.run(t.Context(), []string{"ossencfs", "inspect", "oss://b/k"}); code != exitUsage || !strings.Contains(stderr.String(), "chmod go-w") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}

func TestMissingConfiguration(t *testing.T) {
	p, _, stderr := testProgram(t, nil)
	code := p.run(t.Context(), []string{"ossencfs", "inspect", "oss://b/k", "--config", filepath.Join(t.TempDir(), "none.toml")})
	if code != exitUsage || !strings.Contains(stderr.String(), "none.toml") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}

func TestParseSize(t *testing.T) {
	for _, tc := range []struct {
		text string
		want int64
	}{
		{"1", 1}, {"100000", 100000}, {"64KiB", 64 << 10}, {"64k", 64 << 10}, {"10GiB", 10 << 30}, {"1.5 GiB", 3 << 29}, {"5MB", 5e6}, {"2T", 2 << 40},
		{"8388607TiB", 8388607 << 40},
	} {
		if got, err := parseSize(tc.text); err != nil || got != tc.want {
			t.Errorf("%q: got %d, %v, want %d", tc.text, got, err, tc.want)
		}
	}
	for _, text := range []string{"", "0", "-1", "GiB", "1 apple", "1e3", "9999999TiB", "NaN", "1..5k", "99999999999999999999"} {
		if got, err := parseSize(text); !errors.Is(err, errSize) {
			t.Errorf("%q: got %d, %v", text, got, err)
		}
	}
}

func TestFormatSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1 << 10: "1.0 KiB", 3 << 29: "1.5 GiB"} {
		if got := formatSize(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}

func TestKMSCredentialsAreKept(t *testing.T) {
	source := &countingProvider{}
	k := &kmsCredentials{provider: source}
	for range 3 {
		if id, _, _, err := k.get(t.Context()); err != nil || id != "id" {
			t.Fatalf("got %q, %v", id, err)
		}
	}
	if source.asked != 1 {
		t.Errorf("asked %d times, want once", source.asked)
	}
	source.expires = time.Now().Add(time.Second)
	k.until = time.Time{}
	for range 2 {
		if _, _, _, err := k.get(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if source.asked != 3 {
		t.Errorf("credentials at their end: asked %d times, want 3", source.asked)
	}
}
