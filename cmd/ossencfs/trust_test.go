package main

import (
	"slices"
	"strings"
	"testing"
)

func TestAcceptForeign(t *testing.T) {
	for _, tc := range []struct {
		name, line, prefix string
		want               []string
		bad                bool
	}{
		{"not given", "", "backup/", nil, false},
		{"everywhere", "--accept-foreign", "backup/", []string{""}, false},
		{"before an argument", "--accept-foreign oss://b", "", []string{""}, false},
		{"everywhere, as a mount option", "-o accept_foreign", "", []string{""}, false},
		{"a prefix, as a mount option", "-o accept-foreign=photos", "", []string{"photos/"}, false},
		{"a prefix of the bucket", "--accept-foreign=photos/raw", "", []string{"photos/raw/"}, false},
		{"below the mounted one", "--accept-foreign=backup/raw/", "backup/", []string{"raw/"}, false},
		{"the mounted one", "--accept-foreign=backup", "backup/", []string{""}, false},
		{"above the mounted one", "--accept-foreign=backup", "backup/host/", []string{""}, false},
		{"beside the mounted one", "--accept-foreign=backup2", "backup/", nil, false},
		{"two", "--accept-foreign=a --accept-foreign=b", "", []string{"a/", "b/"}, false},
		{"a folder named true", "--accept-foreign=true/", "", []string{"true/"}, false},
		{"taken back", "--accept-foreign=false", "", nil, false},
		{"empty", "--accept-foreign=", "", nil, true},
		{"no path", "--accept-foreign=a/../b", "", nil, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			options := mountCommand().options
			v, _, err := parseArgs(options, strings.Fields(tc.line))
			if err != nil {
				t.Fatal(err)
			}
			r := &reader{values: v, options: options}
			got := r.trust(tc.prefix).AcceptForeign
			if (r.err != nil) != tc.bad {
				t.Fatalf("error: got %v, want %v", r.err, tc.bad)
			}
			if !tc.bad && !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestAcceptForeignElsewhere(t *testing.T) {
	options := mountCommand().options
	for name, text := range map[string]string{"switch": "accept-foreign = true", "list": `accept-foreign = ["true"]`} {
		f, err := parseConfig("config.toml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		r := &reader{values: f.top, options: options}
		if got := r.trust("").AcceptForeign; !slices.Equal(got, []string{""}) {
			t.Errorf("file, %s: got %q, want everywhere", name, got)
		}
	}
	p, _, _ := testProgram(t, map[string]string{"HOME": t.TempDir(), "OSSENCFS_ACCEPT_FOREIGN": "a,b/c"})
	v, err := p.resolve(t.Context(), options, values{}, "")
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{values: v, options: options}
	if got := r.trust("").AcceptForeign; !slices.Equal(got, []string{"a/", "b/c/"}) {
		t.Errorf("environment: got %q", got)
	}
	if _, err := parseConfig("config.toml", []byte("new-volume = true")); err == nil {
		t.Error("new-volume is taken from a configuration file")
	}
}

func TestVolumeIDs(t *testing.T) {
	options := mountCommand().options
	id := strings.Repeat("Ab", 16)
	for _, tc := range []struct {
		name, value string
		bad         bool
	}{{"an id", id, false}, {"too short", "ab", true}, {"no hex", strings.Repeat("x", 32), true}} {
		r := &reader{values: values{"volume-id": {list: []string{tc.value}}}, options: options}
		got := r.volumeIDs()
		if (r.err != nil) != tc.bad || !tc.bad && got[0] != strings.ToLower(id) {
			t.Errorf("%s: got %q, %v", tc.name, got, r.err)
		}
	}
}
