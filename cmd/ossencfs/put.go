package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/ossencfs/ossencfs/localfile"
	"github.com/ossencfs/ossencfs/object"
)

func putCommand() *command {
	return &command{name: "put", usage: putUsage, run: runPut, bucket: bucketAt(1),
		options: join(generalOptions, bucketOptions, keyOptions, trustOptions, transferOptions, []option{newVolumeOption, {name: "quiet", cli: true}})}
}

func runPut(ctx context.Context, c *call) error {
	if err := c.wantArgs("FILE", "oss://BUCKET/KEY"); err != nil {
		return err
	}
	t, err := c.bucketOf(1)
	if err != nil {
		return err
	}
	if t.key == "" || strings.HasSuffix(t.key, "/") {
		t.key += filepath.Base(c.args[0])
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	source, err := localfile.OpenSource(ctx, c.args[0])
	if err != nil {
		return err
	}
	defer source.Close()
	if source.Info.IsDir() {
		return usageError(fmt.Errorf("%s is a directory", c.args[0]), "put uploads single files; mount the bucket to copy a tree")
	}
	b, err := c.openBucket(ctx, t, false)
	if err != nil {
		return err
	}
	return errors.Join(c.putFile(ctx, b, source, t.key), b.Close())
}

// putFile uploads an open file. What is no regular file, such as a pipe, has a size that nobody knows.
func (c *call) putFile(ctx context.Context, b *object.Bucket, source *localfile.Source, key string) error {
	r := c.read()
	quiet := r.is("quiet")
	if r.err != nil {
		return r.err
	}
	size := source.Info.Size()
	if !source.Info.Mode().IsRegular() {
		size = -1
	}
	bar := c.newProgress(size, filepath.Base(key), quiet)
	_, err := b.PutFile(ctx, object.FileRequest{Key: key, Source: source.Reader, Size: size, Attr: attrOf(source.Info), Progress: bar.add})
	bar.finish()
	if err != nil {
		return err
	}
	if !quiet {
		c.stdout.printf("oss://%s/%s\n", b.Name(), key)
	}
	return nil
}

// attrOf is what the bucket keeps of a local file.
func attrOf(info os.FileInfo) object.Attr {
	a := object.Attr{Mode: object.ModeRegular | uint32(info.Mode().Perm()), Mtime: object.Nanoseconds(info.ModTime())}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		a.UID, a.GID = st.Uid, st.Gid
		if info.Mode().IsRegular() {
			a.Mode = object.ModeRegular | st.Mode&object.ModePerm
		}
	}
	return a
}
