package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"os/signal"
	"syscall"

	"github.com/ossencfs/ossencfs/keys"
)

func keygenCommand() *command {
	return &command{name: "keygen", usage: keygenUsage, run: runKeygen, options: []option{
		{name: "bits", arg: "2048|3072|4096", def: "3072", cli: true},
		{name: "passphrase", cli: true},
		{name: "key-passphrase-file", arg: "FILE", cli: true},
		{name: "key-passphrase-env", arg: "NAME", cli: true},
		{name: "key-passphrase-command", arg: "LINE", cli: true},
	}}
}

func runKeygen(ctx context.Context, c *call) error {
	if err := c.wantArgs("FILE"); err != nil {
		return err
	}
	path := c.args[0]
	r := c.read()
	r.choice("bits")
	bits := int(r.number("bits", 10, 0, keys.MinRSABits, keys.MaxRSABits))
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	source, ask := r.passphraseSource(ctx, ""), r.is("passphrase")
	if r.err != nil {
		return r.err
	}
	for _, file := range []string{path, path + ".pub"} {
		if _, err := os.Lstat(file); !errors.Is(err, iofs.ErrNotExist) {
			return fail(exitFailure, fmt.Errorf("%s exists already", file), "keys are never replaced; choose another name")
		}
	}
	if source == nil && ask {
		source = func() ([]byte, error) { return askTwice(ctx) }
	}
	var passphrase []byte
	if source != nil {
		var err error
		if passphrase, err = source(); err != nil {
			return failKey(err, passphraseHint(err, ""))
		}
		defer keys.Wipe(passphrase)
	}
	k, err := keys.GenerateRSA(bits, nil)
	if err != nil {
		return err
	}
	if err := k.WritePrivate(path, passphrase); err != nil {
		return err
	}
	if err := k.WritePublic(path + ".pub"); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	c.stdout.printf("private key: %s\npublic key:  %s.pub\nname:        %s\n", path, path, k.ID())
	c.stdout.printf("whoever loses the private key loses the files: keep a copy of it where the bucket is not\n")
	return nil
}

// askTwice asks for a new passphrase, and again to catch typing errors.
func askTwice(ctx context.Context) ([]byte, error) {
	first, err := keys.PassphrasePrompt(ctx, "passphrase for the new key: ")()
	if err != nil {
		return nil, err
	}
	second, err := keys.PassphrasePrompt(ctx, "once more: ")()
	if err != nil {
		keys.Wipe(first)
		return nil, err
	}
	defer keys.Wipe(second)
	if !bytes.Equal(first, second) {
		keys.Wipe(first)
		return nil, errors.New("the two passphrases differ")
	}
	return first, nil
}
