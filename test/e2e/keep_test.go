package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// adorned is what somebody sets for an object with another program.
var adorned = map[string]string{
	"Content-Type": "text/x-test", "Cache-Control": "no-store", "Content-Disposition": "attachment", "Content-Language": "de",
	"Expires": "Fri, 01 Jan 2100 00:00:00 GMT", "X-Oss-Meta-Team": "blue", "X-Oss-Meta-Zzz": "last", "X-Oss-Storage-Class": "IA",
}

// adornedTags steer a rule of the bucket.
var adornedTags = map[string]string{"keep": "30 days", "team": "blue"}

// keepRig is a mount, and the official SDK beside it.
type keepRig struct {
	*testenv.Env
	t      *testing.T
	theirs *sdk.Bucket
}

func newKeepRig(t *testing.T, o ...cache.Options) *keepRig {
	env := testenv.New(t, testenv.Options{Cache: append(o, cache.Options{})[0], Object: object.Options{MultipartThreshold: 1 << 20, PartSize: 1 << 20}})
	client, err := sdk.New(env.Server.Endpoint(), env.Server.AccessKeyID(), env.Server.AccessKeySecret(), sdk.ForcePathStyle(true))
	must(t, err)
	b, err := client.Bucket(testenv.Bucket)
	must(t, err)
	return &keepRig{Env: env, t: t, theirs: b}
}

// adorn stores an object as it is, with what others set.
func (r *keepRig) adorn(key string, more ...sdk.Option) {
	r.t.Helper()
	body, err := r.theirs.GetObject(key)
	must(r.t, err)
	data, err := io.ReadAll(body)
	must(r.t, err)
	must(r.t, body.Close())
	h, err := r.theirs.GetObjectDetailedMeta(key)
	must(r.t, err)
	var options []sdk.Option
	for name := range h {
		if low := strings.ToLower(name); strings.HasPrefix(low, "x-oss-meta-") {
			options = append(options, sdk.SetHeader(low, h.Get(name)))
		}
	}
	for name, value := range adorned {
		options = append(options, sdk.SetHeader(name, value))
	}
	must(r.t, r.theirs.PutObject(key, strings.NewReader(string(data)), append(options, more...)...))
	r.tag(key, adornedTags)
}

// tag adds tags to those that are there.
func (r *keepRig) tag(key string, more map[string]string) {
	r.t.Helper()
	got, err := r.theirs.GetObjectTagging(key)
	must(r.t, err)
	for k, v := range more {
		got.Tags = append(got.Tags, sdk.Tag{Key: k, Value: v})
	}
	must(r.t, r.theirs.PutObjectTagging(key, sdk.Tagging{Tags: got.Tags}))
}

// head is the headers of an object.
func (r *keepRig) head(key string) http.Header {
	r.t.Helper()
	h, err := r.theirs.GetObjectDetailedMeta(key)
	if err != nil {
		r.t.Fatalf("head %s: %v", key, err)
	}
	return h
}

// kept fails where an object lacks any of it.
func (r *keepRig) kept(key string) {
	r.t.Helper()
	h := r.head(key)
	for name, want := range adorned {
		if got := h.Get(name); got != want {
			r.t.Errorf("%s: %s is %q, want %q", key, name, got, want)
		}
	}
	tags, err := r.theirs.GetObjectTagging(key)
	must(r.t, err)
	got := map[string]string{}
	for _, tag := range tags.Tags {
		got[tag.Key] = tag.Value
	}
	for k, want := range adornedTags {
		if got[k] != want {
			r.t.Errorf("%s: tag %s is %q, want %q", key, k, got[k], want)
		}
	}
}

// byKnown runs a test where the mount knows the objects from before, and where it has only just begun.
func byKnown(t *testing.T, name string, run func(t *testing.T, r *keepRig, known bool)) {
	for _, known := range []bool{true, false} {
		t.Run(fmt.Sprintf("%s, known %v", name, known), func(t *testing.T) { run(t, newKeepRig(t), known) })
	}
}

// TestOthersOfFiles: what others set for a file's object stays, whatever the mount does to the file, and whichever request that becomes.
func TestOthersOfFiles(t *testing.T) {
	large := []byte(strings.Repeat("0123456789abcdef", 3<<16)) // in parts
	for _, tt := range []struct {
		name, at string
		do       func(t *testing.T, r *keepRig)
	}{
		{"overwrite", "f", func(t *testing.T, r *keepRig) { must(t, os.WriteFile(r.Path("f"), []byte("new"), 0o644)) }},
		{"overwrite in parts", "f", func(t *testing.T, r *keepRig) { must(t, os.WriteFile(r.Path("f"), large, 0o644)) }},
		{"append", "f", func(t *testing.T, r *keepRig) {
			f, err := os.OpenFile(r.Path("f"), os.O_WRONLY|os.O_APPEND, 0)
			must(t, err)
			_, err = f.WriteString("more")
			must(t, err)
			must(t, f.Close())
		}},
		{"setxattr", "f", func(t *testing.T, r *keepRig) { must(t, unix.Setxattr(r.Path("f"), "user.a", []byte("b"), 0)) }},
		{"chmod", "f", func(t *testing.T, r *keepRig) { must(t, os.Chmod(r.Path("f"), 0o755)) }},
		{"chmod that takes rights away", "f", func(t *testing.T, r *keepRig) { must(t, os.Chmod(r.Path("f"), 0o600)) }},
		{"touch", "f", func(t *testing.T, r *keepRig) { must(t, os.Chtimes(r.Path("f"), testTime, testTime)) }},
		{"rename", "g", func(t *testing.T, r *keepRig) { must(t, os.Rename(r.Path("f"), r.Path("g"))) }},
		{"chmod and rename", "g", func(t *testing.T, r *keepRig) {
			must(t, os.Chmod(r.Path("f"), 0o755))
			r.Sync()
			must(t, os.Rename(r.Path("f"), r.Path("g")))
		}},
		{"rename and overwrite", "g", func(t *testing.T, r *keepRig) {
			must(t, os.Rename(r.Path("f"), r.Path("g")))
			must(t, os.WriteFile(r.Path("g"), []byte("new"), 0o644))
		}},
		{"rename and setxattr", "g", func(t *testing.T, r *keepRig) {
			must(t, os.Rename(r.Path("f"), r.Path("g")))
			must(t, unix.Setxattr(r.Path("g"), "user.a", []byte("b"), 0))
		}},
		{"rename over another", "other", func(t *testing.T, r *keepRig) { must(t, os.Rename(r.Path("f"), r.Path("other"))) }},
		{"rename of its directory", "e/f", func(t *testing.T, r *keepRig) {
			must(t, os.Rename(r.Path("f"), r.Path("d/f")))
			r.Sync()
			must(t, os.Rename(r.Path("d"), r.Path("e")))
		}},
		{"exchange", "other", func(t *testing.T, r *keepRig) {
			must(t, unix.Renameat2(unix.AT_FDCWD, r.Path("f"), unix.AT_FDCWD, r.Path("other"), unix.RENAME_EXCHANGE))
		}},
		{"saved by an editor", "f", func(t *testing.T, r *keepRig) {
			must(t, os.WriteFile(r.Path("f.new"), []byte("new"), 0o644))
			must(t, os.Rename(r.Path("f.new"), r.Path("f")))
		}},
		{"put", "f", func(t *testing.T, r *keepRig) {
			_, err := r.Store.PutFile(context.Background(), object.FileRequest{Key: "f", Source: strings.NewReader("put"), Size: 3, Attr: object.Attr{Mode: object.ModeRegular | 0o644}})
			must(t, err)
		}},
		{"put in parts", "f", func(t *testing.T, r *keepRig) {
			_, err := r.Store.PutFile(context.Background(), object.FileRequest{Key: "f", Source: strings.NewReader(string(large)), Size: int64(len(large)),
				Attr: object.Attr{Mode: object.ModeRegular | 0o644}})
			must(t, err)
		}},
	} {
		byKnown(t, tt.name, func(t *testing.T, r *keepRig, known bool) {
			must(t, os.Mkdir(r.Path("d"), 0o755))
			must(t, os.WriteFile(r.Path("f"), []byte("text"), 0o644))
			must(t, os.WriteFile(r.Path("other"), []byte("other"), 0o644))
			r.Sync()
			r.adorn("f")
			if !known {
				r.DropCache()
			}
			tt.do(t, r)
			r.Sync()
			r.kept(tt.at)
			if tt.at != "other" {
				if got := r.head("other").Get("X-Oss-Meta-Team"); got != "" {
					t.Errorf("another file has it, too")
				}
			}
			r.DropCache()
			if _, err := os.ReadFile(r.Path(tt.at)); err != nil {
				t.Errorf("read it: %v", err)
			}
		})
	}
}

// TestOthersOfDirectories: what others set for a directory's marker stays.
func TestOthersOfDirectories(t *testing.T) {
	for _, tt := range []struct {
		name, at string
		do       func(t *testing.T, r *keepRig)
	}{
		{"chmod", "d/", func(t *testing.T, r *keepRig) { must(t, os.Chmod(r.Path("d"), 0o700)) }},
		{"touch", "d/", func(t *testing.T, r *keepRig) { must(t, os.Chtimes(r.Path("d"), testTime, testTime)) }},
		{"setxattr", "d/", func(t *testing.T, r *keepRig) { must(t, unix.Setxattr(r.Path("d"), "user.a", []byte("b"), 0)) }},
		{"rename", "e/", func(t *testing.T, r *keepRig) { must(t, os.Rename(r.Path("d"), r.Path("e"))) }},
		{"rename and chmod", "e/", func(t *testing.T, r *keepRig) {
			must(t, os.Rename(r.Path("d"), r.Path("e")))
			must(t, os.Chmod(r.Path("e"), 0o700))
		}},
		{"rename over an empty one", "empty/", func(t *testing.T, r *keepRig) { must(t, unix.Rename(r.Path("d"), r.Path("empty"))) }},
		{"rename of the one above", "up/d/", func(t *testing.T, r *keepRig) {
			must(t, os.Rename(r.Path("d"), r.Path("above/d")))
			r.Sync()
			must(t, os.Rename(r.Path("above"), r.Path("up")))
		}},
	} {
		byKnown(t, tt.name, func(t *testing.T, r *keepRig, known bool) {
			for _, name := range []string{"d", "empty", "above"} {
				must(t, os.Mkdir(r.Path(name), 0o755))
			}
			must(t, os.WriteFile(r.Path("d/f"), []byte("text"), 0o644))
			r.Sync()
			r.adorn("d/")
			if !known {
				r.DropCache()
			}
			tt.do(t, r)
			r.Sync()
			r.kept(tt.at)
		})
	}
}

// TestOthersOfMovedMarkers: the marker of a renamed directory has them before the one that had them goes, also when nobody waits for either.
func TestOthersOfMovedMarkers(t *testing.T) {
	r := newKeepRig(t, cache.Options{Settle: 500 * time.Millisecond})
	must(t, os.MkdirAll(r.Path("d/below"), 0o755))
	r.Sync()
	r.adorn("d/")
	r.adorn("d/below/")
	must(t, os.Rename(r.Path("d"), r.Path("e")))
	testenv.Eventually(t, "the markers of before to go", func() bool { return strings.Join(r.Keys(), " ") == "e/ e/below/" })
	r.kept("e/")
	r.kept("e/below/")
}

// TestEncodingOfOthers: an encoding is that of one content; new content does not have it, other attributes of the same do.
func TestEncodingOfOthers(t *testing.T) {
	r := newKeepRig(t)
	must(t, os.WriteFile(r.Path("f"), []byte("text"), 0o644))
	r.Sync()
	r.adorn("f", sdk.ContentEncoding("gzip"))
	must(t, unix.Setxattr(r.Path("f"), "user.a", []byte("b"), 0))
	r.Sync()
	must(t, os.Rename(r.Path("f"), r.Path("g")))
	r.Sync()
	if got := r.head("g").Get("Content-Encoding"); got != "gzip" {
		t.Errorf("the same content: got %q, want gzip", got)
	}
	r.DropCache()
	if got, err := os.ReadFile(r.Path("g")); err != nil || string(got) != "text" {
		t.Errorf("got %q, %v", got, err) // what is stored is ciphertext, whatever it was made from
	}
	must(t, os.WriteFile(r.Path("g"), []byte("new"), 0o644))
	r.Sync()
	if got := r.head("g").Get("Content-Encoding"); got != "" {
		t.Errorf("new content: got %q, want none", got)
	}
	r.kept("g")
}

// TestArchivedFile: a file keeps its archive class under another name and with other attributes, and new content can be read. What is not
// restored cannot be copied by OSS: the rename waits, and nothing else does.
func TestArchivedFile(t *testing.T) {
	for _, class := range []string{"Archive", "ColdArchive", "DeepColdArchive"} {
		t.Run(class, func(t *testing.T) {
			r := newKeepRig(t)
			must(t, os.WriteFile(r.Path("f"), []byte("text"), 0o644))
			r.Sync()
			r.adorn("f", sdk.SetHeader("X-Oss-Storage-Class", class))
			is := func(key, want string) {
				t.Helper()
				if got := r.head(key).Get("X-Oss-Storage-Class"); got != want {
					t.Errorf("%s: class %s, want %s", key, got, want)
				}
			}
			must(t, os.Chmod(r.Path("f"), 0o755))
			must(t, unix.Setxattr(r.Path("f"), "user.a", []byte("b"), 0))
			r.Sync()
			is("f", class)
			must(t, r.theirs.RestoreObject("f"))
			must(t, os.Rename(r.Path("f"), r.Path("g")))
			r.Sync()
			is("g", class)
			must(t, os.WriteFile(r.Path("g"), []byte("new"), 0o644))
			r.Sync()
			is("g", "Standard")
			r.DropCache()
			if got, err := os.ReadFile(r.Path("g")); err != nil || string(got) != "new" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// TestArchivedRefused: what a file needs that is archived and not restored holds back nothing else, and is done when the object is restored.
func TestArchivedRefused(t *testing.T) {
	for _, tt := range []struct {
		name, at string
		do       func(r *keepRig) error
	}{
		{"rename", "g", func(r *keepRig) error { return os.Rename(r.Path("f"), r.Path("g")) }},
		{"setxattr", "f", func(r *keepRig) error { return unix.Setxattr(r.Path("f"), "user.a", []byte("b"), 0) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newKeepRig(t)
			must(t, os.WriteFile(r.Path("f"), []byte("text"), 0o644))
			must(t, os.WriteFile(r.Path("victim"), []byte("text"), 0o644))
			r.Sync()
			r.adorn("f", sdk.SetHeader("X-Oss-Storage-Class", "ColdArchive"))
			r.DropCache()
			if _, err := os.ReadFile(r.Path("f")); !errors.Is(err, unix.ENODATA) {
				t.Errorf("read it: got %v, want ENODATA", err)
			}
			must(t, tt.do(r))
			must(t, os.WriteFile(r.Path("beside"), []byte("beside"), 0o644))
			must(t, os.Remove(r.Path("victim")))
			ctx, cancel := context.WithTimeout(context.Background(), testenv.Patience)
			defer cancel()
			if err := r.Cache.Sync(ctx, "", nil); err == nil || ctx.Err() != nil {
				t.Errorf("sync: got %v, want the refusal", err)
			}
			if keys := strings.Join(r.Keys(), " "); keys != "beside f" {
				t.Errorf("the bucket has %s, want beside f", keys)
			}
			must(t, r.theirs.RestoreObject("f"))
			r.Sync()
			if keys := strings.Join(r.Keys(), " "); keys != "beside "+tt.at {
				t.Errorf("restored: the bucket has %s, want beside %s", keys, tt.at)
			}
			if got := r.head(tt.at).Get("X-Oss-Storage-Class"); got != "ColdArchive" {
				t.Errorf("class %s", got)
			}
		})
	}
}

// TestOthersOfStream: a file larger than its writer's cache, which gets its name by a copy on the server, keeps them, too.
func TestOthersOfStream(t *testing.T) {
	r := newKeepRig(t, cache.Options{Limit: 16 << 20})
	must(t, os.WriteFile(r.Path("f"), []byte("text"), 0o644))
	r.Sync()
	r.adorn("f")
	f, err := os.Create(r.Path("f"))
	must(t, err)
	for range 40 {
		_, err := f.Write(make([]byte, 1<<20))
		must(t, err)
	}
	must(t, f.Close())
	r.Sync()
	if n := r.Requests()["CopyObject"]; n == 0 {
		t.Error("it was not stored ahead")
	}
	r.kept("f")
}
