package cache_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// newScenarioKey makes a key file for all scenarios.
func newScenarioKey(t *testing.T) string {
	t.Helper()
	k, err := keys.GenerateRSA(2048, nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := k.WritePrivate(path, nil); err != nil {
		t.Fatal(err)
	}
	return path
}

// lateScenario is L of the scenarios. A run in which a late request would come later is void.
const lateScenario = time.Second

// playScenario plays a script in a run that counts, and returns how many requests changed the bucket and how many steps there are.
func playScenario(t *testing.T, key, script string, i injection) (requests, steps int) {
	t.Helper()
	for late := lateScenario; ; late *= 2 {
		p := newPlay(t, key, script, i, late)
		valid := p.play()
		if valid || t.Failed() {
			return p.gate.count, len(p.steps)
		}
		if late > 8*lateScenario {
			t.Fatalf("this machine is too slow: requests could not be executed within half of %v", late)
		}
	}
}

// play is one run.
type play struct {
	t      *testing.T
	server *emulator.Server
	gate   *gate
	setup  childSetup
	steps  []string
	i      injection
	base   string

	proc    *process
	want    map[string]string // what the tree has to be
	opened  map[string]string // content of open files that have no name
	version int
	probes  int

	mu      sync.Mutex    // guards the field below
	crashed chan struct{} // closed when the injection has come
}

func newPlay(t *testing.T, key, script string, i injection, late time.Duration) *play {
	t.Helper()
	server, err := emulator.Start(emulator.Options{Buckets: []string{testenv.Bucket}})
	if err != nil {
		t.Fatal(err)
	}
	p := &play{t: t, server: server, gate: newGate(server, late/2), i: i, base: t.TempDir(), want: map[string]string{}, opened: map[string]string{},
		crashed: make(chan struct{})}
	p.setup = childSetup{server.Endpoint(), server.Region(), server.AccessKeyID(), server.AccessKeySecret(), key, filepath.Join(p.base, "cache"), late}
	for step := range strings.SplitSeq(script, ";") {
		p.steps = append(p.steps, strings.TrimSpace(step))
	}
	return p
}

// play plays the script and compares the end; false: it is void, since a request was held for too long.
func (p *play) play() (valid bool) {
	p.t.Helper()
	defer func() {
		p.gate.disarm()
		p.gate.finishAll(false)
		p.proc.kill()
		if err := p.server.Close(); err != nil {
			p.t.Error(err)
		}
	}()
	p.server.AddFault(emulator.Fault{Operation: "HeadObject", Delay: 5 * time.Millisecond})
	p.gate.strike = func(n int, m emulator.Moment) {
		if p.i.request == n && p.i.moment == m {
			p.inject()
		}
	}
	p.proc = p.start(p.setup.Dir)
	for n, step := range p.steps {
		p.arm(n)
		p.step(step)
		if p.i.step == n+1 {
			p.inject()
		}
		if p.t.Failed() {
			return true
		}
	}
	p.gate.disarm()
	p.gate.finishAll(false)
	p.do([]string{"sync"}, nil)
	if p.gate.tooLong {
		return false
	}
	p.compare("the cache", p.tree())
	p.bucket()
	p.proc.kill()
	p.proc = p.start(filepath.Join(p.base, "fresh"))
	p.compare("the bucket", p.tree())
	return true
}

// inject kills the process at a moment that the script does not name. From then on requests are not held any more.
func (p *play) inject() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.injected() {
		return
	}
	close(p.crashed)
	p.gate.disarm()
	p.proc.kill()
}

func (p *play) injected() bool {
	select {
	case <-p.crashed:
		return true
	default:
		return false
	}
}

// arm has the gate stop what the rest of the script up to the next rest wants to hold.
func (p *play) arm(from int) {
	stops := map[[2]string]int{}
	var lose *[2]string
	seen := map[string]bool{}
	for _, step := range p.steps[from:] {
		w := strings.Fields(step)
		if w[0] == "up" {
			break
		}
		if w[0] != "send" && w[0] != "lose" {
			continue
		}
		k := [2]string{opNames[w[1]], w[2]}
		if w[0] == "lose" && !seen[w[2]] && lose == nil {
			lose = &k
		}
		if w[0] == "send" {
			stops[k]++
		}
		seen[w[2]] = true
	}
	if lose != nil && p.gate.find(lose[1], true) != nil {
		lose = nil // it is lost already
	}
	p.gate.arm(stops, lose)
}

// step plays one word.
func (p *play) step(step string) {
	p.t.Helper()
	w := append(strings.Fields(step), "", "")
	switch w[0] {
	case "up":
		p.gate.finishAll(false)
		p.do([]string{"sync"}, nil)
	case "send", "lose":
		if p.injected() {
			return
		}
		if p.gate.wait(w[2], w[0] == "lose", p.crashed) == nil && !p.injected() {
			p.t.Fatalf("%s: it does not come; the process says:\n%s", step, p.proc.errors())
		}
	case "exec", "answer":
		if h := p.gate.find(w[1], false); h != nil && w[0] == "exec" {
			h.run()
		} else if h != nil {
			p.gate.finish(h)
		}
	case "late":
		if h := p.gate.find(w[1], true); h != nil {
			p.gate.finish(h)
		}
	case "crash":
		p.proc.kill()
		p.proc = p.start(p.setup.Dir)
		clear(p.opened)
	case "turn":
		p.turn()
	case "read":
		p.compare("in the middle", p.tree())
	case "reread":
		if reply, ok := p.ask([]string{"reread", w[1]}); ok && (reply.Err != "" || reply.Text != p.opened[w[1]]) && p.opened[w[1]] != "" {
			p.t.Errorf("%s: got %q, %s, want %q", step, reply.Text, reply.Err, p.opened[w[1]])
		}
	default:
		p.call(w)
	}
}

// turn makes a file and waits until the bucket has it: whatever could be sent beside it was.
func (p *play) turn() {
	p.t.Helper()
	p.probes++
	name := fmt.Sprintf("probe-%d", p.probes)
	p.call([]string{"put", name})
	testenv.Eventually(p.t, name+" in the bucket", func() bool {
		p.revive()
		return slices.ContainsFunc(p.server.Objects(testenv.Bucket), func(o emulator.ObjectInfo) bool { return o.Key == name })
	})
}

// call makes a call and changes what is wanted.
func (p *play) call(w []string) {
	p.t.Helper()
	next := maps.Clone(p.want)
	args := []string{w[0], w[1]}
	switch w[0] {
	case "put":
		p.version++
		text := fmt.Sprintf("%s, version %d", w[1], p.version)
		mode, _, found := strings.Cut(next[w[1]], " ")
		if !found {
			mode = "640"
		}
		args, next[w[1]] = append(args, text), mode+" "+text
	case "chmod", "widen":
		_, text, _ := strings.Cut(next[w[1]], " ")
		next[w[1]] = map[string]string{"chmod": "604 ", "widen": "644 "}[w[0]] + text
	case "mkdir":
		next[w[1]] = "dir"
	case "rm":
		delete(next, w[1])
	case "open":
		_, p.opened[w[1]], _ = strings.Cut(next[w[1]], " ")
	case "mv", "xchg":
		args = append(args, w[2])
		next = move(p.want, w[1], w[2], w[0] == "xchg")
	}
	p.do(args, next)
	p.want = next
}

// move gives what is at and below one path to the other one, and the reverse in an exchange.
func move(was map[string]string, from, to string, exchange bool) map[string]string {
	next := map[string]string{}
	for path, what := range was {
		switch {
		case below(path, from):
			path = to + path[len(from):]
		case below(path, to) && !exchange:
			continue
		case below(path, to):
			path = from + path[len(to):]
		}
		next[path] = what
	}
	return next
}

func below(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

// do makes a call until it has happened: after a crash it may have happened or not.
func (p *play) do(args []string, next map[string]string) {
	p.t.Helper()
	for {
		reply, ok := p.ask(args)
		if ok && reply.Err != "" {
			p.t.Fatalf("%q: %s\n%s", args, reply.Err, p.proc.errors())
		}
		if ok {
			return
		}
		if args[0] == "put" || next == nil {
			continue // can be done twice
		}
		if got := p.tree(); maps.Equal(got, next) && !maps.Equal(next, p.want) {
			return
		} else if !maps.Equal(got, p.want) {
			p.t.Fatalf("a crash during %q left\n%v, want\n%v or\n%v", args, got, p.want, next)
		}
		if args[0] == "open" || args[0] == "evict" {
			return
		}
	}
}

func (p *play) tree() map[string]string {
	p.t.Helper()
	for {
		reply, ok := p.ask([]string{"tree"})
		if !ok {
			continue
		}
		if reply.Err != "" {
			p.t.Fatalf("read the tree: %s\n%s", reply.Err, p.proc.errors())
		}
		return reply.Tree
	}
}

func (p *play) compare(where string, got map[string]string) {
	p.t.Helper()
	if !maps.Equal(got, p.want) {
		p.t.Errorf("%s has\n%v, want\n%v\n%s", where, got, p.want, p.proc.errors())
	}
}

// bucket compares keys: no other than those of the tree are there.
func (p *play) bucket() {
	p.t.Helper()
	var got, want []string
	for path, what := range p.want {
		if what == "dir" {
			path += "/"
		}
		want = append(want, path)
	}
	for _, o := range p.server.Objects(testenv.Bucket) {
		if !ofVolume(o.Key) {
			got = append(got, o.Key)
		}
	}
	slices.Sort(want)
	if slices.Sort(got); !slices.Equal(got, want) {
		p.t.Errorf("the bucket has the keys %q, want %q\n%s", got, want, p.proc.errors())
	}
}

// revive starts the process again after the injected crash.
func (p *play) revive() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proc.dead() {
		p.proc = p.start(p.setup.Dir)
		clear(p.opened)
	}
}

// ask sends a command to the process; false: it died of the injection.
func (p *play) ask(args []string) (reply childReply, ok bool) {
	p.t.Helper()
	p.revive()
	err := p.proc.ask(args, &reply)
	if err != nil && !p.injected() {
		p.t.Fatalf("%q: %v\n%s", args, err, p.proc.errors())
	}
	return reply, err == nil
}

// process is the cache in a process of its own.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Scanner
	stderr *bytes.Buffer
	ended  chan struct{}
}

func (p *play) start(dir string) *process {
	p.t.Helper()
	setup := p.setup
	setup.Dir = dir
	text, err := json.Marshal(setup)
	if err != nil {
		p.t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	c := &process{cmd: exec.Command(self), stderr: &bytes.Buffer{}, ended: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	c.cmd.Stderr = c.stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		p.t.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		p.t.Fatal(err)
	}
	c.cmd.Stdout, c.out = write, bufio.NewScanner(read)
	if err := c.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	write.Close()
	go func() {
		_ = c.cmd.Wait() // killed, in the end
		close(c.ended)
	}()
	p.t.Cleanup(func() { read.Close() })
	if !c.out.Scan() {
		<-c.ended
		p.t.Fatalf("the process did not start: %s", c.errors())
	}
	return c
}

// kill ends it with SIGKILL.
func (c *process) kill() {
	_ = c.cmd.Process.Kill()
	<-c.ended
}

func (c *process) dead() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// errors is what it wrote, once it is dead.
func (c *process) errors() string {
	c.kill()
	return c.stderr.String()
}

func (c *process) ask(args []string, reply *childReply) error {
	line, err := json.Marshal(args)
	if err != nil {
		return err
	}
	if _, err := c.in.Write(append(line, '\n')); err != nil {
		return err
	}
	if !c.out.Scan() {
		return io.ErrUnexpectedEOF
	}
	return json.Unmarshal(c.out.Bytes(), reply)
}
