package rotate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/procenv"
	"github.com/ossencfs/ossencfs/test/testenv"
)

func TestMain(m *testing.M) { procenv.Main(m) }

// kills is how often each rewrapping is killed, half of them by SIGKILL of the program.
const kills = 25

// rotation is a bucket whose master key changes.
type rotation struct {
	*procenv.World
	rng  *rand.Rand
	tree map[string]string            // of the mount, as Tree describes it
	text map[string][]byte            // plaintext by key
	tags map[string]map[string]string // of others, by key
	sums map[string]string            // ETags by key
}

// step is a master key by its options and as the object that they name.
type step struct {
	name          string
	primary, read []string // options: as the key for writing, and as one for reading
	key           keys.MasterKey
}

// TestRotation changes the master key of a bucket from RSA-2048 to RSA-4096 to KMS. At each step a mount reads everything, before,
// while and after the envelopes are renewed; afterwards the official SDK and a mount read it with the new key alone. Each renewal is
// killed at random points and goes on. Nothing is lost or altered.
func TestRotation(t *testing.T) {
	objects := 100
	if os.Getenv("OSSENCFS_LONG") != "" {
		objects = 1000
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("%d objects, seed %d", objects, seed)
	w := procenv.New(t)
	r := &rotation{World: w, rng: rand.New(rand.NewPCG(seed, 1)), text: map[string][]byte{}, tags: map[string]map[string]string{}, sums: map[string]string{}}
	w.Extra = []string{"--accept-foreign=sdk/", "--settle", "10ms"}
	steps := r.steps(t)
	r.fill(t, steps[0], objects)
	for n := range steps[1:] {
		r.rotate(t, steps[n], steps[n+1])
	}
}

// steps makes the keys.
func (r *rotation) steps(t *testing.T) []step {
	t.Helper()
	rsa := func(name, file string) step {
		return step{name: name, primary: []string{"--rsa-key", file}, read: []string{"--read-rsa-key", file},
			key: got[*keys.RSA](t)(keys.LoadRSA(file, nil, nil))}
	}
	first, second := filepath.Join(r.Base, "rsa-2048.pem"), filepath.Join(r.Base, "rsa-4096.pem")
	r.Run(t, "keygen", first, "--bits", "2048")
	r.Run(t, "keygen", second, "--bits", "4096")
	id := r.Server.KMSKeyID()
	kms := got[*keys.KMS](t)(keys.NewKMS(keys.KMSConfig{KeyID: id, Region: r.Server.Region(), Endpoint: r.Server.KMSEndpoint(), QPS: 10_000,
		Credentials: func(context.Context) (string, string, string, error) {
			return r.Server.AccessKeyID(), r.Server.AccessKeySecret(), "", nil
		}}))
	t.Cleanup(kms.Close)
	endpoint := []string{"--kms-endpoint", r.Server.KMSEndpoint(), "--kms-qps", "10000"}
	return []step{rsa("RSA-2048", first), rsa("RSA-4096", second),
		{name: "KMS", primary: append([]string{"--kms-key", id}, endpoint...), read: append([]string{"--read-kms-key", id}, endpoint...), key: kms}}
}

// options reach the bucket with some keys, the first of which is for writing.
func (r *rotation) options(ring ...keys.MasterKey) object.Options {
	o := options(r.Server, ring...)
	o.Connection.Bucket = procenv.Bucket
	o.Trust.AcceptForeign = []string{"sdk/"}
	return o
}

// fill writes objects through a mount, and others by the official SDK, and remembers everything.
func (r *rotation) fill(t *testing.T, first step, objects int) {
	t.Helper()
	r.Keys = first.primary
	d := r.Mount(t)
	must(t, os.Mkdir(filepath.Join(r.Dir, "sdk"), 0o755))
	for n := range objects {
		dir := filepath.Join(r.Dir, fmt.Sprintf("d%d", n%7))
		must(t, os.MkdirAll(dir, 0o750))
		path := filepath.Join(dir, fmt.Sprintf("f%04d", n))
		switch {
		case n%20 == 3:
			must(t, os.Symlink(fmt.Sprintf("target %d", n), path))
			continue
		case n%20 == 7: // the SDK's
			continue
		}
		text := r.random(n)
		must(t, os.WriteFile(path, text, 0o600|os.FileMode(n%64)))
		if n%5 == 0 {
			must(t, unix.Setxattr(path, "user.number", fmt.Append(nil, n), 0))
		}
		r.text[strings.TrimPrefix(path, r.Dir+"/")] = text
	}
	r.Run(t, "sync", r.Dir)
	for key := range r.text {
		if r.rng.IntN(4) == 0 { // attributes by a tag
			must(t, os.Chmod(filepath.Join(r.Dir, key), 0o4711))
		}
	}
	r.Run(t, "sync", r.Dir)
	r.fillSDK(t, first, objects)
	d.Unmount(t)
	r.tree = r.mounted(t)
	for _, o := range r.Server.Objects(procenv.Bucket) {
		if !strings.HasPrefix(o.Key, object.Hidden) {
			r.sums[o.Key] = o.ETag
		}
	}
	if want := objects - 1; len(r.sums) < want {
		t.Fatalf("%d objects, want %d at least", len(r.sums), want)
	}
}

// random is a text of a size that depends on n.
func (r *rotation) random(n int) []byte {
	text := make([]byte, []int{0, 1, 100, 5000, 70_000}[n%5])
	if n%50 == 11 {
		text = make([]byte, 2<<20+n)
	}
	for n := range text {
		text[n] = byte(r.rng.Uint32())
	}
	return text
}

// fillSDK writes objects of the official SDK, single and in parts, and tags of others onto ours.
func (r *rotation) fillSDK(t *testing.T, first step, objects int) {
	t.Helper()
	theirs := sdkReader(t, r.Server, procenv.Bucket, first.key).bucket
	for n := 7; n < objects; n += 20 {
		key := fmt.Sprintf("sdk/f%04d", n)
		text := r.random(n)
		if n%40 == 7 {
			text = bytes.Repeat([]byte(key), 40_000)
			multipart(t, theirs, key, text, 100<<10)
		} else {
			must(t, theirs.PutObject(key, bytes.NewReader(text)))
		}
		r.text[key] = text
	}
	for key := range r.text {
		if r.rng.IntN(10) > 0 {
			continue
		}
		old := got[sdk.GetObjectTaggingResult](t)(theirs.GetObjectTagging(key))
		tags := sdk.Tagging{Tags: append(old.Tags, sdk.Tag{Key: "theirs", Value: "of " + strings.ReplaceAll(key, "/", " ")})}
		must(t, theirs.PutObjectTagging(key, tags))
		r.tags[key] = map[string]string{"theirs": tags.Tags[len(old.Tags)].Value}
	}
}

// mounted is the tree that a mount with a new cache shows.
func (r *rotation) mounted(t *testing.T) map[string]string {
	t.Helper()
	must(t, os.RemoveAll(r.Cache))
	d := r.Mount(t)
	defer d.Unmount(t)
	return testenv.Tree(t, r.Dir)
}

// rotate goes from one key to the next.
func (r *rotation) rotate(t *testing.T, from, to step) {
	t.Helper()
	if v := got[*object.Volumes](t)(object.OpenVolumes(t.Context(), r.options(from.key), "")); true {
		n, err := v.AddSlot(t.Context(), to.key)
		if err = errors.Join(err, v.Close()); err != nil || n != 1 {
			t.Fatalf("add slot: %d, %v", n, err)
		}
	}
	both := append(append([]string{}, to.primary...), from.read...)
	r.Keys = both
	testenv.SameTree(t, r.mounted(t), r.tree)
	rewrapped := int64(0)
	for n := range kills {
		if n%2 == 0 {
			r.killProgram(t, both)
		} else {
			rewrapped += r.killRun(t, from, to)
		}
	}
	r.readable(t, from, to)
	out := r.Run(t, append([]string{"key", "rotate", "oss://" + procenv.Bucket, "--rewrap", "--accept-foreign=sdk/", "--quiet"}, both...)...)
	t.Logf("%s to %s: %d objects by cancelled runs; at the end: %s", from.name, to.name, rewrapped, strings.TrimSpace(out))
	r.Keys = to.primary
	r.check(t, to)
	rep, err := open(t, r.options(to.key)).Rewrap(t.Context(), object.RewrapOptions{})
	if err != nil || rep.Rewrapped != 0 || !rep.Complete() || rep.Refused != 0 || int(rep.Done) < len(r.sums) {
		t.Errorf("after the last run: %s, %v", counts(rep), err)
	}
}

// requests counts all requests that the server has seen.
func (r *rotation) requests() (n int) {
	for _, k := range r.Server.Requests() {
		n += k
	}
	return n
}

// killProgram sends SIGKILL to `key rotate --rewrap` after some requests.
func (r *rotation) killProgram(t *testing.T, both []string) {
	t.Helper()
	cmd := exec.Command(procenv.Binary(t), append([]string{"key", "rotate", "oss://" + procenv.Bucket, "--rewrap", "--accept-foreign=sdk/", "--quiet"}, both...)...)
	cmd.Env = r.Env()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	at := r.requests() + 8 + r.rng.IntN(len(r.text))
	must(t, cmd.Start())
	end := make(chan error, 1)
	go func() { end <- cmd.Wait() }()
	procenv.WaitFor(t, "the program to begin", func() bool {
		select {
		case err := <-end:
			end <- err
			return true
		default:
			return r.requests() >= at
		}
	})
	_ = cmd.Process.Kill() // it may have come to its end
	var exit *exec.ExitError
	if err := <-end; err != nil && !(errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled()) {
		t.Errorf("it ended before it was killed: %v\n%s", err, out.String())
	}
}

// killRun ends a run in this process after some requests, with faults on the way, and returns how many objects it did.
func (r *rotation) killRun(t *testing.T, from, to step) int64 {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := r.options(to.key, from.key)
	var armed atomic.Bool
	var left atomic.Int64
	left.Store(int64(1 + r.rng.IntN(len(r.text))))
	o.Connection.OnRequest = func(object.Attempt) {
		if armed.Load() && left.Add(-1) == 0 {
			cancel()
		}
	}
	b := open(t, o)
	faults := []emulator.Fault{
		{Operation: "PutObject", LoseResponse: true, Probability: 0.2},
		{Operation: "PutObject", ResetAfterBytes: 50, Probability: 0.2},
		{Operation: "GetObject", ResetAfterBytes: 50, Probability: 0.2},
		{Operation: "CompleteMultipartUpload", LoseResponse: true, Probability: 0.5},
		{Operation: "UploadPart", ResetAfterBytes: 20_000, Probability: 0.3},
	}
	r.Server.AddFault(faults[r.rng.IntN(len(faults))])
	defer r.Server.ClearFaults()
	armed.Store(true)
	rep, err := b.Rewrap(ctx, object.RewrapOptions{Workers: 1 + r.rng.IntN(8)})
	if err != nil && !errors.Is(err, context.Canceled) || rep.Refused != 0 {
		t.Errorf("a cancelled run: %v, %s", err, counts(rep))
	}
	return rep.Rewrapped
}

// readable reads every object in the middle of a rotation, with both keys.
func (r *rotation) readable(t *testing.T, from, to step) {
	t.Helper()
	b := open(t, r.options(to.key, from.key))
	for key, text := range r.text {
		var buf bytes.Buffer
		if _, err := b.GetFile(t.Context(), key, &buf, nil); err != nil || !bytes.Equal(buf.Bytes(), text) {
			t.Errorf("%s: %d bytes that differ, or %v", key, buf.Len(), err)
		}
	}
}

// check compares everything with what was there at the beginning, with the new key alone.
func (r *rotation) check(t *testing.T, to step) {
	t.Helper()
	testenv.SameTree(t, r.mounted(t), r.tree)
	theirs := sdkReader(t, r.Server, procenv.Bucket, to.key)
	for key, text := range r.text {
		if err := theirs.want(key, text); err != nil {
			t.Error(err)
		}
	}
	seen := map[string]string{}
	for _, o := range r.Server.Objects(procenv.Bucket) {
		if strings.HasPrefix(o.Key, object.Hidden) {
			continue
		}
		seen[o.Key] = o.ETag
		tags := maps.Clone(o.Tags)
		delete(tags, "ossencfs")
		if want := r.tags[o.Key]; len(tags)+len(want) > 0 && !maps.Equal(tags, want) {
			t.Errorf("%s: tags of others %v, want %v", o.Key, tags, want)
		}
	}
	if !maps.Equal(seen, r.sums) {
		t.Errorf("%d objects, %d at the beginning, or other ETags", len(seen), len(r.sums))
	}
}
