package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/terminal"
)

// secrets are passphrases that were typed at the terminal, by key file. A background mount gets them through a pipe,
// because it has no terminal.
type secrets map[string][]byte

// wipe forgets the passphrases as far as Go allows.
func (s secrets) wipe() {
	for _, p := range s {
		keys.Wipe(p)
	}
}

// packet is what secrets are on their way to a daemon: a JSON object, in one buffer that the caller wipes. Package json would leave
// copies in buffers of its own.
func (s secrets) packet() []byte {
	room := 2
	for name, p := range s {
		room += 6*len(name) + base64.StdEncoding.EncodedLen(len(p)) + 6
	}
	packet := append(make([]byte, 0, room), '{')
	for name, p := range s {
		if len(packet) > 1 {
			packet = append(packet, ',')
		}
		quoted, _ := json.Marshal(name) // text has no other form
		packet = append(append(packet, quoted...), `:"`...)
		packet = append(base64.StdEncoding.AppendEncode(packet, p), '"')
	}
	return append(packet, '}')
}

// keyring loads the master keys that the options name. typed may be nil; otherwise passphrases in it are used, and what
// has to be asked for is added.
func (c *call) keyring(ctx context.Context, r *reader, conn object.Connection, typed secrets) (*keys.Keyring, error) {
	if !r.namesKey() && r.err == nil {
		return nil, fail(exitKey, errors.New("no master key is given"), "give --rsa-key FILE or --kms-key ID; `ossencfs keygen FILE` makes an RSA key")
	}
	load, err := newKeyLoader(ctx, r, conn, "", typed)
	if err != nil {
		return nil, err
	}
	all, err := load.named()
	if err != nil {
		return nil, err
	}
	return keys.NewKeyring(all[0], all[1:]...), nil
}

// namesKey reports whether a primary master key is given.
func (r *reader) namesKey() bool { return r.text("rsa-key") != "" || r.text("kms-key") != "" }

// named loads the primary key and those for reading, the primary one first; none when none is named.
func (l *keyLoader) named() ([]keys.MasterKey, error) {
	r, matdesc := l.reader, l.reader.matdesc()
	rsaFile, kmsID := r.text("rsa-key"), r.text("kms-key")
	if r.err != nil {
		return nil, r.err
	}
	if rsaFile != "" && kmsID != "" {
		return nil, usageError(errors.New("--rsa-key and --kms-key are both given, and new files are wrapped under one key"),
			"give the other one as --read-rsa-key or --read-kms-key")
	}
	var all []keys.MasterKey
	for _, file := range append(nonEmpty(rsaFile), r.list("read-rsa-key")...) {
		k, err := l.rsa(file, matdescFor(file, rsaFile, matdesc))
		if err != nil {
			return nil, err
		}
		all = append(all, k)
	}
	for _, id := range append(nonEmpty(kmsID), r.list("read-kms-key")...) {
		k, err := l.kms(id, matdescFor(id, kmsID, matdesc))
		if err != nil {
			return nil, err
		}
		if id == kmsID {
			all = append([]keys.MasterKey{k}, all...)
			continue
		}
		all = append(all, k)
	}
	return all, nil
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// matdescFor is the description of the primary key; the others have none, and are found by trial.
func matdescFor(name, primary string, matdesc map[string]string) map[string]string {
	if name == primary {
		return matdesc
	}
	return nil
}

// keyLoader loads master keys.
type keyLoader struct {
	ctx         context.Context // of the command: its end ends the waiting for a pipe
	reader      *reader
	conn        object.Connection
	kind        string          // "" for keys that are there, "new-" for one that is added: what the options of its passphrase begin with
	source      keys.Passphrase // nil: none was named
	typed       secrets
	limiter     *keys.Limiter // of all KMS keys together: what KMS limits is the account
	credentials func(context.Context) (id, secret, token string, err error)
}

// newKeyLoader makes the loader of all keys of a kind of one command, see keyLoader.
func newKeyLoader(ctx context.Context, r *reader, conn object.Connection, kind string, typed secrets) (*keyLoader, error) {
	source := r.passphraseSource(ctx, kind)
	limiter, err := keys.NewLimiter(float64(r.number("kms-qps", 10, 0, 1, 100_000)))
	if r.err != nil || err != nil {
		return nil, errors.Join(r.err, err)
	}
	return &keyLoader{ctx: ctx, reader: r, conn: conn, kind: kind, source: source, typed: typed, limiter: limiter,
		credentials: (&kmsCredentials{provider: conn.Credentials}).get}, nil
}

// rsa loads an RSA key. Where its file needs a passphrase and no source was named, the passphrase is asked for.
func (l *keyLoader) rsa(file string, matdesc map[string]string) (keys.MasterKey, error) {
	file = expandHome(file)
	source := l.source
	if source == nil {
		source = func() ([]byte, error) {
			if p, ok := l.typed[file]; ok {
				return append([]byte(nil), p...), nil
			}
			p, err := keys.PassphrasePrompt(l.ctx, "passphrase of "+terminal.Text(file)+": ")()
			if err == nil && l.typed != nil {
				l.typed[file] = append([]byte(nil), p...)
			}
			return p, err
		}
	}
	k, err := keys.LoadOwnRSA(l.ctx, file, source, matdesc)
	if err != nil {
		return nil, failKey(err, passphraseHint(err, l.kind))
	}
	return k, nil
}

// failKey is the failure of a key that could not be loaded, unless the loading was interrupted.
func failKey(err error, hints ...string) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return fail(exitKey, err, hints...)
}

// passphraseHint says which options give a passphrase of a kind.
func passphraseHint(err error, kind string) string {
	switch {
	case errors.Is(err, keys.ErrNoPassphrase):
		return sprintf("give --%[1]skey-passphrase-file, --%[1]skey-passphrase-env or --%[1]skey-passphrase-command, or run it in a terminal", kind)
	case errors.Is(err, keys.ErrPassphrase):
		return "a file's last line end is not part of the passphrase; everything else in it is"
	}
	return ""
}

// kms makes a KMS key; it sends nothing. A passphrase becomes the encryption context, as in the Python SDK.
func (l *keyLoader) kms(id string, matdesc map[string]string) (keys.MasterKey, error) {
	c := keys.KMSConfig{KeyID: id, Region: l.reader.text("kms-region"), Endpoint: l.reader.text("kms-endpoint"), AllowHTTP: l.conn.AllowHTTP,
		CAFile: l.conn.CAFile, MatDesc: matdesc, Credentials: l.credentials, Limiter: l.limiter}
	if c.Region == "" {
		c.Region = l.conn.Region
	}
	if l.source != nil {
		p, err := l.source()
		if err != nil {
			return nil, failKey(err, passphraseHint(err, l.kind))
		}
		c.Passphrase = string(p)
		keys.Wipe(p)
	}
	k, err := keys.NewKMS(c)
	if err != nil {
		return nil, usageError(fmt.Errorf("KMS key %s: %w", id, err))
	}
	return k, nil
}

// passphraseSource is the source that the options name, nil when there is none. kind is "" for the key that is there, "new-" for one
// that is added.
func (r *reader) passphraseSource(ctx context.Context, kind string) keys.Passphrase {
	var source keys.Passphrase
	named := ""
	for _, s := range []struct {
		name string
		make func(string) keys.Passphrase
	}{
		{"key-passphrase-file", func(path string) keys.Passphrase { return keys.PassphraseFile(ctx, expandHome(path)) }},
		{"key-passphrase-env", keys.PassphraseEnv},
		{"key-passphrase-command", func(line string) keys.Passphrase { return keys.PassphraseCommand(ctx, line) }},
	} {
		name := kind + s.name
		value := r.text(name)
		if value == "" {
			continue
		}
		if source != nil && r.err == nil {
			r.err = usageError(fmt.Errorf("--%s and --%s are both given", named, name), "the passphrase comes from one place")
		}
		source, named = s.make(value), name
	}
	return source
}

// matdesc reads the description of the primary key.
func (r *reader) matdesc() map[string]string {
	list := r.list("matdesc")
	if len(list) == 0 {
		return nil
	}
	m := make(map[string]string, len(list))
	for _, pair := range list {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			r.bad("matdesc", "want NAME=VALUE")
		}
		m[name] = value
	}
	return m
}
