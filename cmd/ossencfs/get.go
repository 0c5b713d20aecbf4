package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"syscall"
	"time"

	"github.com/ossencfs/ossencfs/localfile"
	"github.com/ossencfs/ossencfs/object"
)

func getCommand() *command {
	return &command{name: "get", usage: getUsage, run: runGet, bucket: bucketAt(0),
		options: join(generalOptions, bucketOptions, keyOptions, trustOptions, []option{{name: "quiet", cli: true}, {name: "force", cli: true}})}
}

func runGet(ctx context.Context, c *call) error {
	if err := c.wantArgs("oss://BUCKET/KEY", "FILE"); err != nil {
		return err
	}
	t, err := c.bucketOf(0)
	if err != nil {
		return err
	}
	if t.key == "" {
		return usageError(fmt.Errorf("%s names no object", c.args[0]), "an object is written oss://BUCKET/KEY")
	}
	r := c.read()
	quiet, force := r.is("quiet"), r.is("force")
	if r.err != nil {
		return r.err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	dest := c.args[1]
	if info, err := os.Stat(dest); err == nil && info.IsDir() {
		dest = filepath.Join(dest, path.Base(t.key))
	}
	if _, err := os.Lstat(dest); dest != "-" && !force && !errors.Is(err, iofs.ErrNotExist) {
		return fail(exitFailure, fmt.Errorf("%s exists already", dest), "--force replaces it")
	}
	if dest != "-" {
		if err := localfile.CheckReplace(dest); err != nil {
			return fail(exitFailure, err, "- is the standard output")
		}
	}
	b, err := c.openBucket(ctx, t, true)
	if err != nil {
		return err
	}
	bar := c.newProgress(-1, path.Base(t.key), quiet || dest == "-")
	if dest == "-" {
		err = getStream(ctx, b, t.key, c.stdout.content(), bar)
	} else {
		err = getFile(ctx, b, t.key, dest, force, bar)
	}
	bar.finish()
	return errors.Join(err, b.Close())
}

// getStream writes an object to a pipe or the terminal.
func getStream(ctx context.Context, b *object.Bucket, key string, w io.Writer, bar progress) error {
	buf := bufio.NewWriterSize(w, 1<<20)
	if _, err := b.GetFile(ctx, key, buf, bar.add); err != nil {
		return err
	}
	return buf.Flush()
}

// getFile writes an object to a file beside dest, which takes its name when it is whole and on the disk.
func getFile(ctx context.Context, b *object.Bucket, key, dest string, force bool, bar progress) (err error) {
	f, err := os.CreateTemp(filepath.Dir(dest), ".ossencfs-get-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
	}()
	info, err := b.GetFile(ctx, key, f, bar.add)
	if err != nil {
		return err
	}
	if err := errors.Join(giveAttr(f, &info), f.Sync()); err != nil {
		return err
	}
	if err := rename(f.Name(), dest, force); err != nil {
		return err
	}
	return f.Close()
}

// giveAttr gives a file mode and time of its object when a key holder wrote them, and no rights but those of reading, writing and
// executing. The file of any other object is this user's alone, as it was made: its headers are whatever the bucket's owner likes.
func giveAttr(f *os.File, info *object.Info) error {
	if info.State != object.StateAuthentic || !info.HasAttr || info.Unproven&object.FieldMode != 0 {
		return nil
	}
	if err := f.Chmod(os.FileMode(info.Attr.Mode & 0o777)); err != nil {
		return err
	}
	if info.Attr.Mtime == 0 {
		return nil
	}
	at := time.Unix(0, info.Attr.Mtime)
	return os.Chtimes(pathOf(f), at, at) // whatever has its name by now
}

// rename gives a file its final name; without force it does not replace one that appeared meanwhile.
func rename(from, to string, force bool) error {
	if force {
		return os.Rename(from, to)
	}
	err := localfile.PlaceNew(from, to)
	if errors.Is(err, iofs.ErrExist) {
		return fail(exitFailure, fmt.Errorf("%s was made by somebody else meanwhile", to), "--force replaces it")
	}
	return err
}
