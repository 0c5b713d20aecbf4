package faults

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// fault is one row of the matrix: how it begins and ends, and what programs see of it. What is not named in the cells is ok.
type fault struct {
	name       string
	begin, end func(*rig)
	cells      // of operations that are not ok
	kms        bool
	host       string // name under which the server is reached; "": its address
	resign     bool   // a refused request is signed anew and sent once more
}

// cells are the outcomes of a row.
type cells map[string]string

// operations are the columns, in the order in which they are done.
var operations = []string{"list", "read", "write+close", "rename", "delete", "mount", "unmount"}

// away is what an outage looks like: reads wait, writes go on.
func away(mount string) cells {
	return cells{"list": "ETIMEDOUT", "read": "ETIMEDOUT", "mount": mount, "unmount": left}
}

// all are cells for a server that answers every request with a refusal.
func all(errno, mount string) cells {
	return cells{"list": errno, "read": errno, "mount": mount, "unmount": left}
}

// inject adds faults of the emulator.
func inject(list ...emulator.Fault) func(*rig) {
	return func(r *rig) {
		for _, f := range list {
			if r.env.Server.AddFault(f) == "" {
				r.Fatalf("fault %+v means nothing", f)
			}
		}
	}
}

// on repeats a fault for several operations.
func on(f emulator.Fault, ops ...string) func(*rig) {
	list := make([]emulator.Fault, len(ops))
	for i, op := range ops {
		list[i] = f
		list[i].Operation = op
	}
	return inject(list...)
}

func status(code int, name string) emulator.Fault { return emulator.Fault{Status: code, Code: name} }

// faultKMS adds a fault to the rig's KMS.
func faultKMS(f emulator.Fault) func(*rig) { return func(r *rig) { r.kms.AddFault(f) } }

// writes are the operations that change objects.
var writes = []string{"PutObject", "CopyObject", "DeleteObject", "PutObjectTagging"}

// every are the operations that this test causes.
var every = append([]string{"ListObjectsV2", "GetObject", "HeadObject"}, writes...)

// TestMatrix takes a mount through every fault and every operation. Each outcome is the documented one and comes in time; when the
// fault has ended, the same process goes on: what was written is uploaded and read back, and what is not here can be read. No write
// is sent more often than it was asked for.
func TestMatrix(t *testing.T) {
	testenv.RequireFUSE(t)
	rows := make([]string, len(matrix))
	t.Run("faults", func(t *testing.T) {
		for i, f := range matrix {
			t.Run(strings.ReplaceAll(f.name, " ", "-"), func(t *testing.T) {
				t.Parallel()
				rows[i] = f.run(t)
			})
		}
	})
	t.Logf("\n%s\n%s", header(), strings.Join(rows, "\n"))
	if t.Failed() || testing.Short() {
		return
	}
	text, err := os.ReadFile("../../docs/FAULTS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range append([]string{header()}, rows...) {
		if row != "" && !strings.Contains(string(text), row) {
			t.Errorf("docs/FAULTS.md does not have\n%s", row)
		}
	}
}

func header() string {
	return "| fault | " + strings.Join(operations, " | ") + " |\n|" + strings.Repeat("---|", len(operations)+1)
}

// content is what a file has at the beginning; large enough not to come along with attributes.
func content(name string) []byte {
	return bytes.Repeat([]byte(name+" as it was\n"), 100_000/(len(name)+11))
}

// run fills one row.
func (f *fault) run(t *testing.T) string {
	r := &rig{T: t, name: f.host, wait: deadline}
	if f.cells["read"] == "" {
		r.wait = tooLong // nothing is to end by it
	}
	if f.kms {
		r.startKMS()
	}
	r.env = testenv.New(t, r.options())
	for _, name := range []string{"read", "over", "old", "gone"} {
		r.must(os.WriteFile(r.env.Path(name), content(name), 0o644))
	}
	r.must(os.Mkdir(r.env.Path("dir"), 0o755))
	r.must(os.WriteFile(r.env.Path("dir", "x"), []byte("x"), 0o644))
	r.env.DropCache()
	o := r.options()
	o.Share = r.env
	r.leave = testenv.New(t, o)
	for _, env := range []*testenv.Env{r.env, r.leave} {
		for _, name := range []string{"read", "over", "old", "gone", "dir"} {
			_, err := os.Stat(env.Path(name))
			r.must(err)
		}
	}
	r.asked.Store(0)
	r.env.Server.ResetRequests()
	f.begin(r)
	row := "| " + f.name
	for _, op := range operations {
		want := f.cells[op]
		limit := 2 * deadline
		if want == "" {
			want, limit = ok, tooLong
		}
		got := r.do(op, limit)
		if got != want {
			t.Errorf("%s during %s: got %s, want %s", op, f.name, got, want)
		}
		row += " | " + got
	}
	r.finish(f)
	return row + " |"
}

// do is one cell; limit is how long mount and unmount try.
func (r *rig) do(op string, limit time.Duration) string {
	switch op {
	case "list":
		return timed(func() error { _, err := os.ReadDir(r.env.Path("dir")); return err })
	case "read":
		return timed(func() error { return same(r.env.Path("read"), content("read")) })
	case "write+close":
		return timed(func() error {
			err := os.WriteFile(r.env.Path("new"), []byte("written meanwhile"), 0o644)
			return errors.Join(err, os.WriteFile(r.env.Path("over"), []byte("overwritten meanwhile"), 0o644))
		})
	case "rename":
		return timed(func() error { return os.Rename(r.env.Path("old"), r.env.Path("renamed")) })
	case "delete":
		return timed(func() error { return os.Remove(r.env.Path("gone")) })
	case "mount":
		return timed(func() error { return r.mountAnew(limit) })
	default:
		r.must(os.WriteFile(r.leave.Path("left"), []byte("left behind"), 0o644))
		return r.unmount(limit)
	}
}

// same reads a file and compares it.
func same(path string, want []byte) error {
	got, err := os.ReadFile(path)
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("wrong bytes: %.40q, want %.40q", got, want)
	}
	return err
}

// finish ends the fault and checks that nothing is lost.
func (r *rig) finish(f *fault) {
	r.env.Server.ClearFaults()
	if f.end != nil {
		f.end(r)
	}
	if r.kms != nil {
		r.kms.ClearFaults()
	}
	r.leave.Resume()
	r.leave.Sync()
	r.env.Sync()
	testenv.Eventually(r.T, "reading after the fault", func() bool {
		_, err := os.ReadDir(r.env.Path("dir"))
		return err == nil && same(r.env.Path("read"), content("read")) == nil
	})
	asked := r.asked.Load()
	if f.resign {
		asked *= 2
	}
	if sent := r.sent(); sent > asked {
		r.Errorf("%d writes were sent for %d asked for: %v", sent, asked, r.env.Requests())
	}
	r.env.DropCache()
	for name, want := range map[string][]byte{"read": content("read"), "new": []byte("written meanwhile"), "over": []byte("overwritten meanwhile"),
		"renamed": content("old"), "left": []byte("left behind"), "dir/x": []byte("x")} {
		if err := same(r.env.Path(name), want); err != nil {
			r.Errorf("after the fault: %s: %v", name, err)
		}
	}
	want := []string{"dir/", "dir/x", "left", "new", "over", "read", "renamed"}
	if keys := r.env.Keys(); !slices.Equal(keys, want) {
		r.Errorf("the bucket has %q, want %q", keys, want)
	}
}

// startKMS gives the rig a KMS of its own.
func (r *rig) startKMS() {
	s, err := emulator.Start(emulator.Options{})
	r.must(err)
	var once sync.Once
	r.Cleanup(func() { once.Do(func() { r.must(s.Close()) }) })
	r.kms = s
}

// credentials lets the provider give others.
func credentials(id, secret, token string) func(*rig) {
	return func(r *rig) { r.creds.Store(&object.Credentials{ID: id, Secret: secret, Token: token}) }
}

// expire ends the token in use; the provider gives a new one, or not.
func expire(refreshed bool) func(*rig) {
	return func(r *rig) {
		r.env.Server.AddSTS("STS.rig", "secret of the rig", "token", time.Now().Add(-time.Minute))
		r.env.Server.AddSTS("STS.next", "next secret", "next token", time.Time{})
		if refreshed {
			credentials("STS.next", "next secret", "next token")(r)
		}
	}
}

// skew shifts the server's clock.
func skew(d time.Duration) func(*rig) { return func(r *rig) { r.clock.Store(int64(d)) } }
