package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPlaceFromOtherTools: region and endpoint of ossutil's file, else of the aliyun CLI's, count where the user gave neither, and only then.
func TestPlaceFromOtherTools(t *testing.T) {
	const ossutil = "[default]\nregion = cn-a\nendpoint = oss-cn-a.aliyuncs.com\n[profile far]\nregion=cn-far\n[profile heir]\nsource-profile=far\n" +
		"[Bucket-Endpoint]\nmy-bucket = oss-cn-b.aliyuncs.com\n"
	const aliyun = `{"current":"a","profiles":[{"name":"a","mode":"AK","region_id":"cn-cli"},{"name":"b","mode":"AK","region_id":"cn-cli-b"}]}`
	for _, tc := range []struct {
		name             string
		ossutil, aliyun  string
		env              map[string]string
		args             string
		region, endpoint string
	}{
		{"ossutil", ossutil, aliyun, nil, "oss://x d", "cn-a", "oss-cn-a.aliyuncs.com"},
		{"version 1", "[Credentials]\nendpoint=oss-cn-a.aliyuncs.com\n", "", nil, "oss://x/p d", "", "oss-cn-a.aliyuncs.com"},
		{"of the bucket", ossutil, "", nil, "oss://my-bucket/p d", "", "oss-cn-b.aliyuncs.com"},
		{"of another bucket", ossutil, "", nil, "oss://mybucket d", "cn-a", "oss-cn-a.aliyuncs.com"},
		{"profile of the variable", ossutil, "", map[string]string{"OSSUTIL_PROFILE": "far"}, "oss://x d", "cn-far", ""},
		{"profile of the credentials", ossutil, aliyun, nil, "oss://x d --credentials ossutil:heir", "cn-far", ""},
		{"aliyun CLI", "", aliyun, nil, "oss://x d", "cn-cli", ""},
		{"aliyun CLI when it is named", ossutil, aliyun, nil, "oss://x d --credentials aliyun:b", "cn-cli-b", ""},
		{"ossutil says nothing", "[default]\nlanguage=EN\n", aliyun, nil, "oss://x d", "cn-cli", ""},
		{"region was given", ossutil, aliyun, nil, "oss://x d --region cn-z", "cn-z", ""},
		{"endpoint was given", ossutil, aliyun, map[string]string{"OSS_ENDPOINT": "oss.example"}, "oss://x d", "", "oss.example"},
		{"region of our file", ossutil, aliyun, nil, "oss://configured d", "cn-c", ""},
		{"internal", ossutil, "", nil, "oss://x d --internal", "cn-a", ""},
		{"nothing", "", "", nil, "oss://x d", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			home := t.TempDir()
			writeFile(t, filepath.Join(home, ".config", "ossencfs", "config.toml"), "[bucket.\"configured\"]\nregion = \"cn-c\"\n")
			for name, text := range map[string]string{".ossutilconfig": tc.ossutil, ".aliyun/config.json": tc.aliyun} {
				if text != "" {
					writeFile(t, filepath.Join(home, name), text)
				}
			}
			v, options := mountSettings(t, home, tc.env, tc.args)
			if r, e := v.text(options, "region"), v.text(options, "endpoint"); r != tc.region || e != tc.endpoint {
				t.Errorf("got region %q and endpoint %q, want %q and %q", r, e, tc.region, tc.endpoint)
			}
		})
	}
}

// TestPlaceThatOthersMayWrite: where requests go is decided by no file that others can change, and by none that is not needed.
func TestPlaceThatOthersMayWrite(t *testing.T) {
	home := t.TempDir()
	file := writeFile(t, filepath.Join(home, ".ossutilconfig"), "[default]\nregion=cn-a\n")
	if err := os.Chmod(file, 0o666); err != nil {
		t.Fatal(err)
	}
	p, _, _ := testProgram(t, map[string]string{"HOME": home})
	options := mountCommand().options
	if _, err := p.resolve(t.Context(), options, values{}, "x"); err == nil || !strings.Contains(err.Error(), "may be written by others") {
		t.Errorf("got %v, want it refused", err)
	}
	if _, err := p.resolve(t.Context(), options, values{"region": {list: []string{"cn-z"}}}, "x"); err != nil {
		t.Error(err)
	}
}
