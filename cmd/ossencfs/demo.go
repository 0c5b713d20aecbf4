package main

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/localfile"
)

// demoBucket is the emulated bucket's name.
const demoBucket = "demo"

func demoCommand() *command {
	return &command{name: "demo", usage: demoUsage, run: runDemo, options: demoOptions()}
}

// demoOptions are the options of a mount that make sense in a demonstration.
func demoOptions() []option {
	var list []option
	for _, o := range join(mountOptions, cacheOptions, logOptions) {
		switch o.name {
		case "allow-other", "writeback", "fsync", "close", "settle", "cache-size", "log-level":
			list = append(list, o)
		}
	}
	return list
}

// demo is where a demonstration keeps its things.
type demo struct {
	dir   string // mount point
	state string // folder of all below
	store string // the emulated bucket
	key   string // RSA key
	env   string // shell variables for other commands
	umask int    // of the user, for the command
}

func runDemo(ctx context.Context, c *call) error {
	args, command := splitCommand(c.args)
	if len(args) != 1 {
		c.args = args
		return c.wantArgs("DIR")
	}
	if err := checkFUSE(); err != nil {
		return err
	}
	if err := os.MkdirAll(args[0], 0o755); err != nil && !isDead(err) && !errors.Is(err, iofs.ErrExist) {
		return fail(exitMountPoint, fmt.Errorf("mount point: %w", err))
	}
	umask := privateFiles()
	d, err := newDemo(args[0])
	if err != nil {
		return err
	}
	d.umask = umask
	server, err := d.serve()
	if err != nil {
		return err
	}
	err = c.demonstrate(ctx, d, server, command)
	return errors.Join(err, server.Close())
}

// splitCommand splits the arguments at "--".
func splitCommand(all []string) (args, command []string) {
	for i, a := range all {
		if a == "--" {
			return all[:i], all[i+1:]
		}
	}
	return all, nil
}

// newDemo makes the folders and the key, or finds those of the last time.
func newDemo(dir string) (*demo, error) {
	abs, err := resolveDir(dir)
	if err != nil {
		return nil, fail(exitMountPoint, err)
	}
	state := abs + ".demo"
	d := &demo{dir: abs, state: state, store: filepath.Join(state, "store"), key: filepath.Join(state, "key.pem"), env: filepath.Join(state, "env")}
	if err := makePrivateDir(state); err != nil {
		return nil, fail(exitFailure, fmt.Errorf("folder of the demo: %w", err), "choose another DIR")
	}
	if _, err := os.Stat(d.key); errors.Is(err, iofs.ErrNotExist) {
		k, err := keys.GenerateRSA(2048, nil)
		if err == nil {
			err = k.WritePrivate(d.key, nil)
		}
		if err != nil {
			return nil, err
		}
	}
	return d, nil
}

// serve starts the emulator. Only who has the access key, which is in a file of this user's, gets at the bucket.
func (d *demo) serve() (*emulator.Server, error) {
	server, err := emulator.Start(emulator.Options{Dir: d.store, Buckets: []string{demoBucket}, NoControl: true})
	if err != nil {
		return nil, fail(exitFailure, fmt.Errorf("start the emulator: %w", err))
	}
	return server, nil
}

// pin is where the demo remembers its volume: under a name of its own, since the emulator has another port each time.
func (d *demo) pin() (pin, error) {
	dir := filepath.Join(d.state, "volumes")
	if err := makePrivateDir(dir); err != nil {
		return pin{}, fail(exitFailure, fmt.Errorf("folder of the demo: %w", err))
	}
	n := pin{path: filepath.Join(dir, demoBucket+".json")}
	err := checkPrivateFile(n.path)
	n.known = err == nil
	if errors.Is(err, iofs.ErrNotExist) {
		err = nil
	}
	return n, err
}

// demonstrate mounts the emulated bucket and runs the command, or waits for Ctrl-C.
func (c *call) demonstrate(ctx context.Context, d *demo, server *emulator.Server, command []string) error {
	if err := d.writeEnv(server); err != nil {
		return err
	}
	mount, err := c.demoMount(d, server)
	if err != nil {
		return err
	}
	cfg, err := mount.mountConfig(mount.read())
	if err != nil {
		return err
	}
	if cfg.pin, err = d.pin(); err != nil {
		return err
	}
	p, err := mount.prepare(ctx, cfg, nil)
	if err != nil {
		return err
	}
	if p.told != "" {
		c.stderr.printf("ossencfs: %s\n", p.told)
	}
	var ran error
	err = mount.serve(ctx, cfg, p, newLogger(c.stderr.log(), cfg.logLevel), func(s *session) error {
		if len(command) == 0 {
			c.stdout.show(d.greeting())
			return nil
		}
		ran = c.runInDemo(d, command)
		return s.requestUnmount(false)
	})
	if err == nil && len(command) == 0 {
		c.stdout.printf("\nunmounted; the bucket has everything, encrypted, in %s\n`%s demo %s` shows it again\n", d.store, ownName(), localfile.Word(d.dir))
	}
	return errors.Join(ran, err)
}

// demoMount is the call of `ossencfs mount` that a user would make.
func (c *call) demoMount(d *demo, server *emulator.Server) (*call, error) {
	env := map[string]string{"OSS_ACCESS_KEY_ID": server.AccessKeyID(), "OSS_ACCESS_KEY_SECRET": server.AccessKeySecret(), "OSS_SESSION_TOKEN": ""}
	for name, value := range env {
		if err := os.Setenv(name, value); err != nil {
			return nil, err
		}
	}
	options := mountCommand().options
	v := values{}
	for name, s := range c.values {
		v[name] = s
	}
	for name, value := range map[string]string{"endpoint": server.Endpoint(), "region": server.Region(), "credentials": "env", "rsa-key": d.key,
		"cache-dir": filepath.Join(d.state, "cache")} {
		v[name] = setting{list: []string{value}, from: "demo"}
	}
	return &call{program: c.program, options: options, values: v, args: []string{"oss://" + demoBucket, d.dir}}, nil
}

// runInDemo runs a command in the mount. Its exit code becomes ours. A shell changes to the mount, not the fork of this
// process: that would wait for our answer while it holds up our threads.
func (c *call) runInDemo(d *demo, command []string) error {
	script := fmt.Sprintf(`umask %04o && cd "$0" && exec "$@"`, d.umask)
	cmd := exec.Command("/bin/sh", append([]string{"-c", script, d.dir}, command...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.stdin, c.stdout.content(), c.stderr.content()
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return quiet(max(exit.ExitCode(), exitFailure))
	}
	if err != nil {
		return fail(exitFailure, fmt.Errorf("run %s: %w", command[0], err))
	}
	return nil
}

// writeEnv writes the variables with which other commands reach the emulated bucket.
func (d *demo) writeEnv(server *emulator.Server) error {
	text := fmt.Sprintf("export OSS_ENDPOINT=%s OSS_REGION=%s OSS_ACCESS_KEY_ID=%s OSS_ACCESS_KEY_SECRET=%s OSSENCFS_RSA_KEY=%s OSSENCFS_STATE_DIR=%s\n",
		server.Endpoint(), server.Region(), server.AccessKeyID(), server.AccessKeySecret(), localfile.Word(d.key), localfile.Word(d.state))
	return os.WriteFile(d.env, []byte(text), 0o600)
}

// ownName is how this program can be called: by its name, where the search path has it, else by its path.
func ownName() string {
	const name = "ossencfs"
	own, err := os.Executable()
	if err != nil {
		return name
	}
	if found, err := exec.LookPath(name); err == nil {
		a, errA := os.Stat(found)
		b, errB := os.Stat(own)
		if errA == nil && errB == nil && os.SameFile(a, b) {
			return name
		}
	}
	return localfile.Word(own)
}

// greeting says what to try.
func (d *demo) greeting() string {
	return sprintf(`an encrypted bucket is mounted on %[5]s; try in another terminal:

    cp -a /etc/hosts %[1]s/ && ls -l %[1]s
    %[6]s sync %[1]s              returns when the bucket has it
    %[6]s status                  uploads, cache, rates
    . %[2]s                          lets put, get and inspect find the emulated bucket
    %[6]s inspect oss://%[3]s/hosts
    grep -r localhost %[4]s          finds nothing: the bucket holds ciphertext only

Ctrl-C uploads what is pending and unmounts
`, localfile.Word(d.dir), localfile.Word(d.env), demoBucket, localfile.Word(d.store), d.dir, ownName())
}
