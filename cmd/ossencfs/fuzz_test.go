package main

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// readAll reads every setting in every way there is; a setting that makes no sense is an error, never a panic.
func readAll(v values, options []option) {
	for _, o := range options {
		if v[o.name].from == "" {
			continue
		}
		for _, read := range []func(*reader){
			func(r *reader) { r.is(o.name) }, func(r *reader) { r.size(o.name) }, func(r *reader) { r.duration(o.name) },
			func(r *reader) { r.number(o.name, 8, 0, -1, 1<<40) }, func(r *reader) { r.list(o.name) }, func(r *reader) { r.text(o.name) },
		} {
			read(&reader{values: v, options: options})
		}
	}
}

func FuzzConfigFile(f *testing.F) {
	f.Add([]byte("region = \"cn-hangzhou\"\ncache-size = \"10GiB\"\n[bucket.\"b/p\"]\nread-only = true\n"), "b/p/q")
	f.Add([]byte("[bucket.x]\nkey = [\"a.pem\", 1]\nprefix = 1.5\n"), "x")
	f.Add([]byte("bucket = 1\n"), "")
	f.Add([]byte("settle = 9999999999999999999\numask = -1\na.b.c = [[[]]]\n"), "/")
	options := join(fileOptions...)
	f.Fuzz(func(t *testing.T, raw []byte, bucket string) {
		c, err := parseConfig("config.toml", raw)
		if err != nil {
			return
		}
		for _, v := range c.sectionsFor(bucket) {
			for name, s := range v {
				if findOption(options, name) == nil || len(s.list) > 1 && !findOption(options, name).many {
					t.Fatalf("%q was accepted as %q", name, s.list)
				}
			}
			readAll(v, options)
		}
	})
}

func FuzzMountOptions(f *testing.F) {
	f.Add("ro,allow_other,key=/a\\054b.pem,_netdev,x-systemd.automount")
	f.Add("cache-size=1e3,,=,settle=-1s,o=o,read_only=maybe")
	options := join(fileOptions...)
	f.Fuzz(func(t *testing.T, list string) {
		v := values{}
		if v.parseMountOptions(options, list) != nil {
			return
		}
		for name := range v {
			if findOption(options, name) == nil {
				t.Fatalf("%q was accepted", name)
			}
		}
		readAll(v, options)
	})
}

func FuzzArgs(f *testing.F) {
	f.Add("mount\x00oss://b/p\x00/mnt\x00--cache-size=1G\x00-o\x00ro")
	f.Add("--\x00-x")
	f.Add("--read-only\x00--prefix")
	options := join(fileOptions...)
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Split(line, "\x00")
		v, rest, err := parseArgs(options, args)
		if err != nil {
			return
		}
		readAll(v, options)
		for _, arg := range rest {
			if to, err := parseTarget(arg); err == nil && (to.bucket == "" || strings.Contains(to.bucket, "/") || !strings.HasPrefix(arg, "oss://"+to.bucket)) {
				t.Fatalf("%q was read as %+v", arg, to)
			}
		}
	})
}

func FuzzSize(f *testing.F) {
	for _, s := range []string{"1", "10GiB", "1.5T", "9223372036854775807", "8388608TiB", "-1", "1e9", ".", "1 kb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := parseSize(s); err == nil && n < 0 {
			t.Fatalf("%q is %d bytes", s, n)
		}
	})
}

func FuzzSessionRecord(f *testing.F) {
	f.Add([]byte(`{"mountpoint":"/mnt","source":"oss://b","pid":7,"cache_dir":"/c","started":"2026-01-02T03:04:05Z"}`))
	f.Add([]byte(`{"mountpoint":"mnt","pid":-1}`))
	f.Add([]byte(`[[[[`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := parseRecord("name", raw)
		if err == nil && (!strings.HasPrefix(r.Mountpoint, "/") || r.PID <= 0 || r.name != "name") {
			t.Fatalf("accepted %+v", r)
		}
	})
}

func FuzzControlSocket(f *testing.F) {
	f.Add([]byte(`{"pending_files":1}` + "\n" + `{"done":true,"left":2}`))
	f.Add([]byte(`{"path":"../../etc","now":true}`))
	f.Add([]byte(`{"error":"x","code":1,"hints":["h"]}`))
	f.Add([]byte(`null{}1`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		told := 0
		if e, err := follow(bytes.NewReader(raw), func(event) { told++ }); err == nil && !e.Done {
			t.Fatalf("ended with %+v", e)
		}
		if told > len(raw) {
			t.Fatalf("%d events in %d bytes", told, len(raw))
		}
		w := httptest.NewRecorder()
		req, ok := readRequest(w, httptest.NewRequest(http.MethodPost, "/sync", bytes.NewReader(raw)))
		if !ok && w.Code != http.StatusBadRequest {
			t.Fatalf("refused with status %d", w.Code)
		}
		if p := cleanPath(req.Path); strings.HasPrefix(p, "/") || strings.HasPrefix(p, "../") || p == ".." {
			t.Fatalf("path %q", p)
		}
	})
}

// The last event of an answer is its error, with the exit code.
func TestFollowError(t *testing.T) {
	var failed *failure
	if _, err := follow(strings.NewReader(`{"error":"x","code":3}`), nil); !errors.As(err, &failed) || failed.code != 3 {
		t.Errorf("got %v, want the error of the event", err)
	}
}
