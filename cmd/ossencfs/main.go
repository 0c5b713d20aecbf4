// Command ossencfs mounts an Alibaba Cloud OSS bucket with client-side encryption as a directory, and carries the tools
// around it. `ossencfs help` is its manual; docs/CONFIGURATION.md has every option.
//
// Glossary:
//
//	option    a setting with one name: --name, OSSENCFS_NAME, name = … in the configuration file, -o name=…
//	values    what the options were set to, and where each came from
//	session   a mount in this process: bucket, cache, file system and control socket together
//	record    the file in the runtime folder through which umount, status and sync find a session
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// program is the world of one run. Tests replace its parts.
type program struct {
	stdin  *os.File
	stdout *printer
	stderr *printer
	getenv func(string) string
}

// command is one word after `ossencfs`.
type command struct {
	name    string
	usage   string   // the manual of the command, hand-written
	options []option // what it accepts
	bucket  func(args []string) string
	run     func(ctx context.Context, c *call) error
}

// call is a command with its arguments.
type call struct {
	*program
	options []option
	values  values
	args    []string // positional arguments
	given   []string // all arguments as they were typed, for the background process
}

func main() {
	quietSDK()
	p := &program{stdin: os.Stdin, stdout: newPrinter(os.Stdout), stderr: newPrinter(os.Stderr), getenv: os.Getenv}
	os.Exit(p.run(context.Background(), os.Args))
}

// run executes one command line and returns the exit code.
func (p *program) run(ctx context.Context, argv []string) int {
	args := argv[1:]
	if isMountHelper(argv) {
		args = append([]string{"mount"}, args...)
	}
	err := p.dispatch(ctx, args)
	if err == nil {
		return exitOK
	}
	return p.complain(err)
}

// isMountHelper reports whether mount(8) called us: as mount.ossencfs or mount.fuse.ossencfs, or as mount.fuse does,
// with the bucket for the first argument.
func isMountHelper(argv []string) bool {
	name := filepath.Base(argv[0])
	return name == "mount.ossencfs" || name == "mount.fuse.ossencfs" || len(argv) > 1 && strings.HasPrefix(argv[1], "oss://")
}

func (p *program) dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 {
		p.stderr.show(overview)
		return quiet(exitUsage)
	}
	name, rest := commandName(args)
	switch name {
	case "-h", "--help", "help":
		return p.help(rest)
	case "key", "key -h", "key --help":
		return p.help([]string{"key"})
	case "-V", "--version":
		name = "version"
	}
	cmd := findCommand(name)
	if cmd == nil {
		return noCommand(name)
	}
	return p.call(ctx, cmd, rest)
}

// commandName takes the name of a command from its arguments: one word, or two that begin with "key".
func commandName(args []string) (name string, rest []string) {
	if args[0] == "key" && len(args) > 1 {
		return args[0] + " " + args[1], args[2:]
	}
	return args[0], args[1:]
}

// noCommand is the error for a command that does not exist, with the nearest that does.
func noCommand(name string) error {
	names := make([]string, 0, len(commands()))
	for _, c := range commands() {
		names = append(names, c.name)
	}
	where := "`ossencfs help` lists the commands"
	if strings.HasPrefix(name, "key ") {
		where = "`ossencfs help key` lists the commands for keys"
	}
	return usageError(fmt.Errorf("there is no command %q", name), didYouMean(name, names), where)
}

// call parses the rest of the command line, fills in the configuration and runs the command.
func (p *program) call(ctx context.Context, cmd *command, args []string) error {
	flags, rest, err := parseArgs(cmd.options, args)
	if errors.Is(err, errHelp) {
		p.stdout.show(cmd.usage)
		return nil
	}
	if err != nil {
		return withHints(err, fmt.Sprintf("`ossencfs help %s` explains it", cmd.name))
	}
	if err := harden(); err != nil {
		return err
	}
	bucket := ""
	if cmd.bucket != nil {
		bucket = cmd.bucket(rest)
	}
	v, err := p.resolve(ctx, cmd.options, flags, bucket)
	if err != nil {
		return err
	}
	c := &call{program: p, options: cmd.options, values: v, args: rest, given: args}
	if err := c.checkEndpoints(); err != nil {
		return err
	}
	return cmd.run(ctx, c)
}

// help prints the overview, or the manual of a command.
func (p *program) help(args []string) error {
	if len(args) == 0 {
		p.stdout.show(overview)
		return nil
	}
	name, _ := commandName(args)
	if name == "key" {
		p.stdout.show(keyOverview)
		return nil
	}
	cmd := findCommand(name)
	if cmd == nil {
		return noCommand(name)
	}
	p.stdout.show(cmd.usage)
	return nil
}

// commands lists all commands in the order of the overview.
func commands() []*command {
	return slices.Concat([]*command{mountCommand(), umountCommand(), upgradeCommand(), statusCommand(), syncCommand(), putCommand(), getCommand(),
		inspectCommand(), verifyCommand(), keygenCommand()}, keyCommands(), []*command{demoCommand(), emulatorCommand(), versionCommand()})
}

func findCommand(name string) *command {
	for _, c := range commands() {
		if c.name == name {
			return c
		}
	}
	return nil
}

// wantArgs checks the number of positional arguments.
func (c *call) wantArgs(names ...string) error {
	switch {
	case len(c.args) < len(names):
		return usageError(fmt.Errorf("%s is missing", names[len(c.args)]))
	case len(c.args) > len(names):
		return usageError(fmt.Errorf("argument %q is one too many", c.args[len(names)]))
	}
	return nil
}
