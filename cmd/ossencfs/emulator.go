package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/localfile"
)

func emulatorCommand() *command {
	return &command{name: "emulator", usage: emulatorUsage, run: runEmulator, options: []option{
		{name: "listen", arg: "ADDRESS", def: "127.0.0.1:0", cli: true},
		{name: "dir", arg: "DIR", cli: true},
		{name: "bucket", arg: "NAME", many: true, cli: true},
		{name: "region", arg: "REGION", cli: true},
		{name: "access-key-id", arg: "ID", cli: true},
		{name: "access-key-secret", arg: "SECRET", cli: true},
		{name: "kms-key-id", arg: "ID", cli: true},
		{name: "tls", cli: true},
		{name: "tls-listen", arg: "ADDRESS", cli: true},
		{name: "tls-name", arg: "NAME", many: true, cli: true},
		{name: "cname", arg: "HOST=BUCKET", many: true, cli: true},
		{name: "versioning", cli: true},
		{name: "accept-any-token", cli: true},
		{name: "plain-parts", cli: true},
	}}
}

func runEmulator(ctx context.Context, c *call) error {
	if err := c.wantArgs(); err != nil {
		return err
	}
	o, err := emulatorOptions(c)
	if err != nil {
		return err
	}
	if o.Dir != "" {
		if err := makeOwnDir(o.Dir); err != nil {
			return fail(exitFailure, fmt.Errorf("folder of the emulator: %w", err), "name a folder of your own, which nobody else may write to: chmod 700 "+localfile.Word(o.Dir))
		}
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	server, err := emulator.Start(o)
	if err != nil {
		return fail(exitFailure, fmt.Errorf("start the emulator: %w", err))
	}
	if err := c.stdout.json(server.Ready(), false); err != nil {
		return fmt.Errorf("print the ready line: %w", err)
	}
	<-ctx.Done()
	if err := server.Close(); err != nil {
		return fmt.Errorf("stop the emulator: %w", err)
	}
	return nil
}

// makeOwnDir makes a folder, or checks that nobody but this user and root can put anything into it.
func makeOwnDir(dir string) error {
	if err := checkWay(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	return unsharedDir(dir, info, 0o022)
}

func emulatorOptions(c *call) (emulator.Options, error) {
	r := c.read()
	o := emulator.Options{
		Listen:          r.text("listen"),
		Dir:             r.text("dir"),
		Buckets:         r.list("bucket"),
		Region:          r.text("region"),
		AccessKeyID:     r.text("access-key-id"),
		AccessKeySecret: r.text("access-key-secret"),
		KMSKeyID:        r.text("kms-key-id"),
		TLS:             r.is("tls"),
		TLSListen:       r.text("tls-listen"),
		TLSNames:        r.list("tls-name"),
		Versioning:      r.is("versioning"),
		AcceptAnyToken:  r.is("accept-any-token"),
		CNames:          map[string]string{},
		Logger:          slog.New(slog.NewTextHandler(c.stderr.log(), nil)),
	}
	if r.is("plain-parts") {
		o.CSEPartHeaders = emulator.Optional
	}
	for _, pair := range r.list("cname") {
		host, bucket, ok := strings.Cut(pair, "=")
		if !ok || host == "" || bucket == "" {
			r.bad("cname", "want HOST=BUCKET")
		}
		o.CNames[host] = bucket
	}
	return o, r.err
}
