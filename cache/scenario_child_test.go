package cache_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// childEnv tells the test binary that it is the process that the scenarios kill. It holds a childSetup as JSON.
const childEnv = "OSSENCFS_TEST_SCENARIO"

// childSetup is what that process opens.
type childSetup struct {
	Endpoint, Region, ID, Secret string
	Key, Dir                     string
	Late                         time.Duration
}

// Credentials implements object.CredentialsProvider.
func (s childSetup) Credentials(context.Context) (object.Credentials, error) {
	return object.Credentials{ID: s.ID, Secret: s.Secret}, nil
}

// TestMain runs the process that TestScenario kills.
func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		if err := childMain(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil { // scenarios mostly wait
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func childMain(text string) error {
	var s childSetup
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	master, err := keys.LoadRSA(s.Key, nil, nil)
	if err != nil {
		return err
	}
	ctx := context.Background()
	bucket, err := object.Open(ctx, object.Options{
		Connection: object.Connection{Bucket: testenv.Bucket, Endpoint: s.Endpoint, Region: s.Region, Credentials: s},
		Keyring:    keys.NewKeyring(master),
	})
	if err != nil {
		return err
	}
	if err := bucket.VerifyKey(ctx); err != nil {
		return err
	}
	// Long enough for the next call of a script to come before the requests of this one, on a machine that is busy, too.
	const settle = 50 * time.Millisecond
	c, err := cache.Open(ctx, cache.Options{Bucket: bucket, Dir: s.Dir, Settle: settle, LateLimit: s.Late})
	if err != nil {
		return err
	}
	child := &child{c: c, open: map[string]cache.Ino{}}
	fmt.Println(`{"ready":true}`)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var args []string
		if err := json.Unmarshal(lines.Bytes(), &args); err != nil {
			return err
		}
		reply := childReply{}
		if err := child.do(ctx, args, &reply); err != nil {
			reply.Err = err.Error()
		}
		out, err := json.Marshal(reply)
		if err != nil {
			return err
		}
		fmt.Println(string(out))
	}
	return errors.Join(c.Close(ctx, cache.CloseNow), bucket.Close())
}

// childReply answers one command.
type childReply struct {
	Err  string
	Tree map[string]string
	Text string
}

// child carries commands out on a cache.
type child struct {
	c    *cache.Cache
	open map[string]cache.Ino
}

// place finds the directory of a path.
func (ch *child) place(ctx context.Context, p string) (dir cache.Ino, name string, err error) {
	parent, name := path.Split(p)
	if parent = strings.TrimSuffix(parent, "/"); parent == "" {
		return cache.Root, name, nil
	}
	st, err := walk(ctx, ch.c, parent)
	return st.Ino, name, err
}

func (ch *child) do(ctx context.Context, args []string, reply *childReply) error {
	ctx, cancel := context.WithTimeout(ctx, testenv.Patience)
	defer cancel()
	args = append(args, "", "")
	verb, a, b := args[0], args[1], args[2]
	switch verb {
	case "put":
		return ch.put(ctx, a, b)
	case "mv", "xchg":
		return ch.rename(ctx, a, b, verb == "xchg")
	case "rm", "mkdir":
		dir, name, err := ch.place(ctx, a)
		if err == nil && verb == "rm" {
			return ch.c.Unlink(ctx, dir, name)
		}
		if err == nil {
			_, err = ch.c.Mkdir(ctx, dir, name, cache.New{Mode: 0o750})
		}
		return err
	case "chmod", "widen":
		st, err := walk(ctx, ch.c, a)
		if err == nil {
			_, err = ch.c.SetAttr(ctx, st.Ino, cache.Change{Set: cache.SetMode, Mode: map[string]uint32{"chmod": 0o604, "widen": 0o644}[verb]})
		}
		return err
	case "open":
		st, err := walk(ctx, ch.c, a)
		ch.open[a] = st.Ino
		return errors.Join(err, ch.c.Open(ctx, st.Ino, cache.OpenMode{}))
	case "reread":
		text, err := ch.read(ctx, ch.open[a])
		reply.Text = text
		return err
	case "evict":
		return ch.c.EvictAll(ctx)
	case "sync":
		return ch.c.Sync(ctx, "", nil)
	case "tree":
		reply.Tree = map[string]string{}
		return ch.tree(ctx, cache.Root, "", reply.Tree)
	}
	return fmt.Errorf("no command %q", verb)
}

// put makes a file, or writes it anew.
func (ch *child) put(ctx context.Context, p, text string) error {
	dir, name, err := ch.place(ctx, p)
	if err != nil {
		return err
	}
	st, _, err := ch.c.Lookup(ctx, dir, name)
	switch {
	case errors.Is(err, cache.ErrNotFound):
		st, err = ch.c.Create(ctx, dir, name, cache.New{Mode: 0o640}, cache.OpenMode{Write: true})
	case err == nil:
		err = ch.c.Open(ctx, st.Ino, cache.OpenMode{Write: true, Truncate: true})
	}
	if err != nil {
		return err
	}
	return errors.Join(ch.c.Write(ctx, st.Ino, 0, []byte(text), nil), ch.c.Release(ctx, st.Ino, true))
}

func (ch *child) rename(ctx context.Context, a, b string, exchange bool) error {
	from, old, err := ch.place(ctx, a)
	if err != nil {
		return err
	}
	to, name, err := ch.place(ctx, b)
	if err != nil {
		return err
	}
	mode := cache.RenameReplace
	if exchange {
		mode = cache.RenameExchange
	}
	return ch.c.Rename(ctx, from, old, to, name, mode)
}

func (ch *child) read(ctx context.Context, ino cache.Ino) (string, error) {
	buf := make([]byte, 1<<10)
	n, err := ch.c.Read(ctx, ino, 0, buf)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return string(buf[:n]), err
}

// tree describes everything below a directory: mode and content of files, "dir" for directories.
func (ch *child) tree(ctx context.Context, dir cache.Ino, prefix string, into map[string]string) error {
	d, err := ch.c.OpenDir(ctx, dir)
	if err != nil {
		return err
	}
	defer d.Close()
	var list []string
	if err := d.Read(0, true, func(e cache.DirEntry) bool {
		if e.Name != "." && e.Name != ".." {
			list = append(list, e.Name)
		}
		return true
	}); err != nil {
		return err
	}
	for _, name := range list {
		st, _, err := ch.c.Lookup(ctx, dir, name)
		if err != nil {
			return fmt.Errorf("%s%s: %w", prefix, name, err)
		}
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			into[prefix+name] = "dir"
			if err := ch.tree(ctx, st.Ino, prefix+name+"/", into); err != nil {
				return err
			}
			continue
		}
		text, err := ch.read(ctx, st.Ino)
		if err != nil {
			return fmt.Errorf("%s%s: %w", prefix, name, err)
		}
		into[prefix+name] = fmt.Sprintf("%o %s", st.Mode&0o777, text)
	}
	return nil
}
