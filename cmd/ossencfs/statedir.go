package main

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ossencfs/ossencfs/localfile"
	"github.com/ossencfs/ossencfs/object"
)

// stateDir is the folder of what this machine must remember: which volume a bucket has, as ssh remembers host keys.
func (p *program) stateDir() (string, error) {
	dir := ""
	switch {
	case p.getenv("OSSENCFS_STATE_DIR") != "":
		dir = p.getenv("OSSENCFS_STATE_DIR")
	case os.Geteuid() == 0:
		dir = "/var/lib/ossencfs"
	case p.getenv("XDG_STATE_HOME") != "":
		dir = filepath.Join(p.getenv("XDG_STATE_HOME"), "ossencfs")
	case p.getenv("HOME") != "":
		dir = filepath.Join(p.getenv("HOME"), ".local", "state", "ossencfs")
	default:
		return "", usageError(errors.New("there is no place to remember the volume in: HOME is not set"), "name a folder in OSSENCFS_STATE_DIR")
	}
	return filepath.Abs(dir)
}

// pin is the file that remembers the volume of a bucket below a prefix.
type pin struct {
	path   string
	prefix string // "" or ending in "/"
	known  bool   // the file exists
	conn   object.Connection
}

// file is what object.Options.PinFile is set to: nothing as long as nothing is remembered. The volume's root is not known before it
// was looked for, and names the file.
func (n pin) file() string {
	if n.known {
		return n.path
	}
	return ""
}

// remember pins the volume of a bucket that was not known.
func (p *program) remember(b *object.Bucket, n pin) error {
	v := b.Volume()
	if n.known || v.Writer == "" || v.WriteOnly {
		return nil
	}
	path := n.path
	if n.conn.Bucket != "" {
		path = filepath.Join(filepath.Dir(n.path), pinName(n.conn, v.Root))
	}
	return b.PinVolume(path)
}

// explain adds to an error about the volume's record how to trust the bucket anew.
func (n pin) explain(err error) error {
	if !n.known {
		return err
	}
	for _, kind := range []error{object.ErrRecordMissing, object.ErrRecordRolledBack, object.ErrRecordForged} {
		if errors.Is(err, kind) {
			f := explain(err)
			return fail(f.code, err, append(f.hints, "if you know who did it and why: rm "+localfile.Word(n.path)+" forgets what this machine knew of the volume")...)
		}
	}
	return err
}

// findPin finds what this machine remembers: of the prefix, else of the nearest above it. When there is nothing the place is that of
// the prefix itself. Files and folders that others can write are refused.
func (p *program) findPin(conn object.Connection, prefix string) (pin, error) {
	dir, err := p.stateDir()
	if err != nil {
		return pin{}, err
	}
	dir = filepath.Join(dir, "volumes")
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := makePrivateDir(d); err != nil {
			return pin{}, fail(exitFailure, fmt.Errorf("folder of remembered volumes: %w", err),
				"it must be yours alone: chmod 700 "+localfile.Word(d)+"; OSSENCFS_STATE_DIR names another one")
		}
	}
	first := pin{path: filepath.Join(dir, pinName(conn, prefix)), prefix: prefix, conn: conn}
	for at := prefix; ; at = at[:strings.LastIndexByte(strings.TrimSuffix(at, "/"), '/')+1] {
		for _, name := range pinNames(conn, at) {
			path := filepath.Join(dir, name)
			err := checkPrivateFile(path)
			switch {
			case err == nil:
				return pin{path: path, prefix: at, known: true, conn: conn}, nil
			case !errors.Is(err, iofs.ErrNotExist):
				return pin{}, err
			}
		}
		if at == "" {
			return first, nil
		}
	}
}

// checkPrivateFile refuses a file that is not this user's alone.
func checkPrivateFile(path string) error {
	f, err := localfile.Open(path, localfile.Own)
	if err != nil {
		return fmt.Errorf("remembered volume: %w", err)
	}
	return f.Close()
}
