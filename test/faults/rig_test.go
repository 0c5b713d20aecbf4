// Package faults takes real mounts through what can go wrong with the bucket, and prints what programs see of it.
package faults

import (
	"context"
	"errors"
	"flag"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/emulator"
	gofs "github.com/ossencfs/ossencfs/fs"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// Deadlines of a mount under test, and how long no call may take that has one. That is far above, because the machine may be busy.
const (
	deadline = 500 * time.Millisecond
	late     = 600 * time.Millisecond
	tooLong  = 20 * time.Second
)

func TestMain(m *testing.M) {
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: names.dial}
	flag.Parse()
	_ = flag.Set("test.parallel", "8") // the faults mostly wait; the flag exists
	os.Exit(m.Run())
}

// rig is one mount under one fault, with a second mount of the same bucket that is to be unmounted meanwhile.
type rig struct {
	*testing.T
	kms   *emulator.Server // nil: the master key is RSA
	env   *testenv.Env
	leave *testenv.Env
	line  *line
	name  string        // of the server; "": its address
	wait  time.Duration // deadline of its reads
	clock atomic.Int64
	creds atomic.Pointer[object.Credentials]
	asked atomic.Int64 // writes that the mount under test asked for
}

// options are those of every mount of the rig.
func (r *rig) options() testenv.Options {
	o := testenv.Options{
		Cache: cache.Options{ReadWait: r.wait, AttrWait: r.wait, ListWait: r.wait, LateLimit: late, Settle: 10 * time.Millisecond},
		Connect: func(s *emulator.Server, c *object.Connection) {
			r.connect(s, c)
		},
		Emulator: func(o *emulator.Options) {
			o.Now = func() time.Time { return time.Now().Add(time.Duration(r.clock.Load())) }
		},
		Bucket: func(b *object.Bucket) cache.Bucket { return &counted{b, r} },
	}
	if r.kms != nil {
		o.Object.Keyring = r.ring()
	}
	return o
}

// connect makes a client impatient and takes it through the rig's line.
func (r *rig) connect(s *emulator.Server, c *object.Connection) {
	if r.line == nil {
		r.line = newLine(r.T, strings.TrimPrefix(s.Endpoint(), "http://"))
	}
	if r.creds.Load() == nil {
		r.creds.Store(&object.Credentials{ID: "STS.rig", Secret: "secret of the rig", Token: "token"})
		s.AddSTS("STS.rig", "secret of the rig", "token", time.Time{})
	}
	c.Endpoint, c.Credentials = "http://"+r.line.addr, r
	if r.name != "" {
		_, port, _ := net.SplitHostPort(r.line.addr)
		c.Endpoint, c.AllowHTTP = "http://"+r.name+":"+port, true
	}
	c.ConnectTimeout, c.CallTimeout, c.LongTimeout, c.BodyTimeout, c.Retries = deadline, deadline/2, deadline/2, deadline/2, 1
}

// Credentials implements object.CredentialsProvider.
func (r *rig) Credentials(context.Context) (object.Credentials, error) { return *r.creds.Load(), nil }

// ring is a keyring under the key of the rig's KMS.
func (r *rig) ring() *keys.Keyring {
	k, err := keys.NewKMS(keys.KMSConfig{KeyID: r.kms.KMSKeyID(), Region: r.kms.Region(), Endpoint: r.kms.KMSEndpoint(), Deadline: deadline, QPS: 10_000,
		Credentials: func(context.Context) (string, string, string, error) {
			return r.kms.AccessKeyID(), r.kms.AccessKeySecret(), "", nil
		}})
	r.must(err)
	r.Cleanup(k.Close)
	return keys.NewKeyring(k)
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// counted counts the writes that are asked for.
type counted struct {
	*object.Bucket
	r *rig
}

// Put counts and passes on, as do those below.
func (c *counted) Put(ctx context.Context, p object.PutRequest) (object.Info, error) {
	c.r.asked.Add(1)
	return c.Bucket.Put(ctx, p)
}

func (c *counted) Copy(ctx context.Context, p object.CopyRequest) (object.Info, error) {
	c.r.asked.Add(1)
	return c.Bucket.Copy(ctx, p)
}

func (c *counted) SetAttr(ctx context.Context, p object.TagRequest) error {
	c.r.asked.Add(1)
	return c.Bucket.SetAttr(ctx, p)
}

func (c *counted) Remove(ctx context.Context, key string) (version string, err error) {
	c.r.asked.Add(1)
	return c.Bucket.Remove(ctx, key)
}

// sent counts the writes that reached the server.
func (r *rig) sent() (n int64) {
	for _, op := range []string{"PutObject", "CopyObject", "PutObjectTagging", "DeleteObjectTagging", "DeleteObject"} {
		n += int64(r.env.Server.Requests()[op])
	}
	return n
}

// outcomes of calls that are not errno.
const (
	ok      = "ok"
	left    = "left" // the mount ended, and uploads are left for the next one
	tooLate = "hung"
)

// timed runs one call of a program and tells what came of it.
func timed(call func() error) string {
	done := make(chan error, 1)
	go func() { done <- call() }()
	timer := time.NewTimer(2 * tooLong)
	defer timer.Stop()
	select {
	case err := <-done:
		return outcome(err)
	case <-timer.C:
		return tooLate
	}
}

// kinds are the words for failures of a mount command, in the order of trial.
var kinds = []struct {
	err  error
	word string
}{
	{object.ErrDenied, "denied"}, {object.ErrCredentials, "credentials"}, {object.ErrNoSuchBucket, "no bucket"},
	{object.ErrQuota, "quota"}, {object.ErrKMSDenied, "KMS denied"}, {object.ErrKMSUnreachable, "KMS unreachable"},
	{object.ErrThrottled, "throttled"}, {object.ErrUnreachable, "unreachable"}, {object.ErrUnavailable, "unavailable"},
	{object.ErrBadDigest, "bad digest"}, {object.ErrTruncated, "truncated"}, {context.DeadlineExceeded, "timeout"},
}

// outcome is the errno of a call, or what a mount command says.
func outcome(err error) string {
	var errno unix.Errno
	if err == nil {
		return ok
	}
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return k.word
		}
	}
	if errors.As(err, &errno) {
		return unix.ErrnoName(errno)
	}
	return err.Error()
}

// mountAnew does what the mount command does, with an empty cache, and unmounts.
func (r *rig) mountAnew(limit time.Duration) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	store, err := object.Open(ctx, r.env.ObjectOptions())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := store.VerifyKey(ctx); err != nil {
		return err
	}
	c, err := cache.Open(ctx, cache.Options{Bucket: store, Dir: r.TempDir()})
	if err != nil {
		return err
	}
	m, err := gofs.Mount(ctx, c, r.TempDir(), gofs.Options{})
	if err == nil {
		err = m.Unmount()
	}
	return errors.Join(err, c.Close(context.Background(), cache.CloseNow))
}

// unmount ends the second mount as a user does who does not wait for uploads longer than the deadline.
func (r *rig) unmount(limit time.Duration) string {
	if err := r.leave.Mount.Unmount(); err != nil {
		return outcome(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	err := r.leave.Forsake(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return left
	}
	return outcome(err)
}

// line carries connections to the server, unless it is cut.
type line struct {
	t        *testing.T
	to, addr string
	ln       net.Listener
	conns    chan net.Conn
}

func newLine(t *testing.T, to string) *line {
	l := &line{t: t, to: to, addr: "127.0.0.1:0", conns: make(chan net.Conn, 10_000)}
	l.mend()
	t.Cleanup(l.cut)
	return l
}

// cut closes all connections and refuses new ones.
func (l *line) cut() {
	_ = l.ln.Close() // a second cut finds it closed
	for {
		select {
		case c := <-l.conns:
			_ = c.Close()
		default:
			return
		}
	}
}

// mend accepts connections, at the same address as before.
func (l *line) mend() {
	ln, err := net.Listen("tcp", l.addr)
	if err != nil {
		l.t.Fatal(err)
	}
	l.ln, l.addr = ln, ln.Addr().String()
	go func() {
		for {
			a, err := ln.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", l.to)
			if err != nil {
				_ = a.Close()
				continue
			}
			l.conns <- a
			l.conns <- b
			go pipe(a, b)
			go pipe(b, a)
		}
	}()
}

// pipe copies until one side ends, how it ended included.
func pipe(to, from net.Conn) {
	_, err := to.(*net.TCPConn).ReadFrom(from)
	if err != nil {
		_ = to.(*net.TCPConn).SetLinger(0)
	}
	_ = to.Close()
}

// names answers for the domain name system.
var names resolver

// resolver knows every name as the loopback address, except those that are gone.
type resolver struct{ gone atomic.Pointer[string] }

func (n *resolver) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go n.answer(theirs)
	return ours, nil
}

// answer serves one query in the framing of TCP: the question comes back, with one address or with the code for "no such name".
func (n *resolver) answer(c net.Conn) {
	defer c.Close()
	q := make([]byte, 4096)
	size, err := c.Read(q[:])
	for err == nil && (size < 2 || size < 2+int(q[0])<<8+int(q[1])) {
		var more int
		more, err = c.Read(q[size:])
		size += more
	}
	if err != nil || size < 14 {
		return
	}
	name, end := "", 14
	for end < size && q[end] != 0 {
		name += string(q[end+1:end+1+int(q[end])]) + "."
		end += 1 + int(q[end])
	}
	end += 5
	a := append([]byte{0, 0, q[2], q[3], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, q[14:end]...)
	if gone := n.gone.Load(); gone != nil && strings.Contains(name, *gone) {
		a[5] = 0x83
	} else if q[end-3] == 1 { // type A
		a[9] = 1
		a = append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1)
	}
	a[0], a[1] = byte((len(a)-2)>>8), byte(len(a)-2)
	_, _ = c.Write(a) // who asked may be gone
}
