package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
	sdkcrypto "github.com/aliyun/aliyun-oss-go-sdk/oss/crypto"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// The files of the world. Times are such that nothing has them by itself.
var (
	stamp    = time.Unix(1_234_567_890, 123_456_789)
	leafSize = 1 << 20
	content  = map[string][]byte{
		"f":     pattern(300_000, 1),
		"other": pattern(300_000, 2),
		"big":   pattern(3*leafSize+5, 3),
		"x":     pattern(1000, 4), // has an extended attribute
		"t":     pattern(1000, 5), // its mode was changed after the upload
		"empty": {},
	}
)

// pattern is n bytes that look like nothing else.
func pattern(n int, seed byte) []byte {
	p := make([]byte, n)
	v := uint32(seed) * 2654435761
	for i := range p {
		v = v*1664525 + 1013904223
		p[i] = byte(v >> 24)
	}
	return p
}

// rsaKey is the master key of the world. Whoever attacks it knows its public half.
var rsaKey = sync.OnceValues(func() (*keys.RSA, error) { return keys.GenerateRSA(2048, nil) })

// world is a bucket that a mount has written, as it stands in the emulator before an attack.
type world struct {
	env    *testenv.Env
	master *keys.RSA
	stored map[string]stored
	seen   map[string]string // what lstat shows of each file, and its content
}

// stored is one object of the bucket.
type stored struct {
	h    http.Header
	body []byte
}

// newWorld writes the files through a mount and takes the bucket's state.
func newWorld(t *testing.T, o object.Options) *world {
	t.Helper()
	master, err := rsaKey()
	must(t, err)
	o.Keyring = keys.NewKeyring(master)
	w := &world{master: master, stored: map[string]stored{}}
	w.env = testenv.New(t, testenv.Options{Object: o, Prefix: o.Prefix})
	for name, data := range content {
		must(t, os.WriteFile(w.env.Path(name), data, 0o640))
		must(t, os.Chtimes(w.env.Path(name), stamp, stamp))
	}
	must(t, syscall.Setxattr(w.env.Path("x"), "user.note", []byte("sealed"), 0))
	must(t, os.Symlink("some/target", w.env.Path("link")))
	must(t, os.Mkdir(w.env.Path("d"), 0o750))
	must(t, os.WriteFile(w.env.Path("d/inner"), content["f"], 0o600))
	w.env.Sync()
	must(t, os.Chmod(w.env.Path("t"), 0o644)) // more rights: it is a tag
	w.env.Sync()
	w.seen = testenv.Tree(t, w.env.Dir)
	w.env.Unmount()
	for _, o := range w.env.Server.Objects(testenv.Bucket) {
		body, h, err := w.env.Server.ReadObject(testenv.Bucket, o.Key)
		must(t, err)
		w.stored[o.Key] = stored{h, body}
	}
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// restore puts the bucket back into the state before any attack.
func (w *world) restore(t testing.TB) {
	t.Helper()
	for _, o := range w.env.Server.Objects(testenv.Bucket) {
		if _, ok := w.stored[o.Key]; !ok {
			must(t, w.env.Server.RemoveObject(testenv.Bucket, o.Key))
		}
	}
	for key, s := range w.stored {
		w.put(t, key, s)
	}
}

// put stores an object as the owner of the bucket can.
func (w *world) put(t testing.TB, key string, s stored) {
	t.Helper()
	must(t, w.env.Server.WriteObject(testenv.Bucket, key, s.h.Clone(), bytes.Clone(s.body)))
}

// alter changes an object's headers, or what its body becomes.
func (w *world) alter(t testing.TB, key string, change func(h http.Header, body []byte) []byte) {
	t.Helper()
	must(t, w.env.Server.AlterObject(testenv.Bucket, key, change))
}

// flip changes one bit of a body.
func (w *world) flip(t testing.TB, key string, off int) {
	t.Helper()
	w.alter(t, key, func(_ http.Header, body []byte) []byte {
		body[off] ^= 1
		return body
	})
}

// notices collects what a mount reports.
type notices struct {
	mu   sync.Mutex // guards the field below
	seen []object.Notice
}

func (n *notices) add(x object.Notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen = append(n.seen, x)
}

// about reports whether a key was reported as something.
func (n *notices) about(key string, kind object.NoticeKind) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, x := range n.seen {
		if x.Key == key && x.Kind == kind {
			return true
		}
	}
	return false
}

// mount mounts the bucket as it is now with an empty cache, and ends it with the test.
func (w *world) mount(t *testing.T, o object.Options) (*testenv.Env, *notices) {
	t.Helper()
	n := &notices{}
	o.Keyring, o.Notice = keys.NewKeyring(w.master), n.add
	return testenv.New(t, testenv.Options{Share: w.env, Object: o, Cache: cache.Options{Umask: 0o022}}), n
}

// open opens the bucket as a mount does and returns why that is refused.
func (w *world) open(t testing.TB, o object.Options) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testenv.Patience)
	defer cancel()
	o.Keyring = keys.NewKeyring(w.master)
	o.Connection = w.connection()
	b, err := object.Open(ctx, o)
	must(t, err)
	defer b.Close()
	return b.VerifyKey(ctx)
}

func (w *world) connection() object.Connection {
	s := w.env.Server
	return object.Connection{Endpoint: s.Endpoint(), Region: s.Region(), Bucket: testenv.Bucket,
		Credentials: object.StaticCredentials{ID: s.AccessKeyID(), Secret: s.AccessKeySecret()}}
}

// state is what a program sees of a file: its attributes and content, or the error of reading.
func state(t testing.TB, path string) (line string, err error) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	if info.Mode()&os.ModeSymlink != 0 {
		_, err = os.Readlink(path)
	} else if info.Mode().IsRegular() {
		err = readAll(path)
	}
	return fmt.Sprintf("%v %d", info.Mode(), info.Size()), err
}

func readAll(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(io.Discard, f)
	return err
}

// check compares a mount with what was written: the files in broken give EIO and show nothing that was planted, all others are as they
// were, but for those in changed, of which only the content counts.
func (w *world) check(t *testing.T, e *testenv.Env, broken, changed []string) {
	t.Helper()
	isBroken, isChanged := map[string]bool{}, map[string]bool{}
	for _, name := range broken {
		isBroken[name] = true
	}
	for _, name := range changed {
		isChanged[name] = true
	}
	for name, want := range w.seen {
		path := e.Path(name)
		line, err := state(t, path)
		switch {
		case isBroken[name]:
			if !errors.Is(err, syscall.EIO) {
				t.Errorf("%s: reading gives %v (%s), want EIO", name, err, line)
			}
			w.wantNothingPlanted(t, path)
		case err != nil:
			t.Errorf("%s: %v, want it as it was", name, err)
		case isChanged[name]:
			if want, ok := content[name]; ok && !bytes.Equal(read(t, path), want) {
				t.Errorf("%s: other content", name)
			}
			w.wantNothingPlanted(t, path)
		default:
			if got, err := testenv.Describe(path); err != nil || got != want {
				t.Errorf("%s:\n got  %s, %v\n want %s", name, got, err, want)
			}
		}
	}
}

// wantNothingPlanted checks that what is shown of a file has no privilege that nobody gave it.
func (w *world) wantNothingPlanted(t *testing.T, path string) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Error(err)
		return
	}
	if info.Mode()&os.ModeSymlink != 0 {
		return // a link shows all permissions on every system
	}
	if info.Mode()&(os.ModeSetuid|os.ModeSetgid|os.ModeDevice) != 0 || info.Mode().Perm()&0o022 != 0 {
		t.Errorf("%s: shows %v", path, info.Mode())
	}
}

// sdkObject makes an object as the official SDK writes it under the world's public key, which is all that an attacker needs for it.
func (w *world) sdkObject(t *testing.T, key string, data []byte) stored {
	t.Helper()
	public, err := w.master.MarshalPublic()
	must(t, err)
	client, err := sdk.New(w.env.Server.Endpoint(), w.env.Server.AccessKeyID(), w.env.Server.AccessKeySecret(),
		sdk.Region(w.env.Server.Region()), sdk.AuthVersion(sdk.AuthV4), sdk.ForcePathStyle(true))
	must(t, err)
	master, err := sdkcrypto.CreateMasterRsa(nil, string(public), "")
	must(t, err)
	bucket, err := sdkcrypto.GetCryptoBucket(client, testenv.Bucket, sdkcrypto.CreateAesCtrCipher(master))
	must(t, err)
	must(t, bucket.PutObject(key, bytes.NewReader(data)))
	body, h, err := w.env.Server.ReadObject(testenv.Bucket, key)
	must(t, err)
	return stored{h, body}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	return data
}

// place is where the world's volume is.
func (w *world) place() keys.Place {
	return keys.Place{Bucket: testenv.Bucket, Region: w.env.Server.Region()}
}
