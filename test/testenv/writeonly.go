package testenv

import (
	"errors"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
)

// Bundle lets a new host write below the prefixes ("" is all of the bucket), and returns what it needs for that.
func (e *Env) Bundle(prefixes ...string) *keys.Bundle {
	e.t.Helper()
	ctx, cancel := e.context()
	defer cancel()
	master, err := masterKey()
	if err != nil {
		e.t.Fatal(err)
	}
	host, err := keys.NewHostKey("host of a test", prefixes)
	if err != nil {
		e.t.Fatal(err)
	}
	v, err := object.OpenVolumes(ctx, e.objectOptions(master), "")
	if err != nil {
		e.t.Fatal(err)
	}
	bundle, err := v.AddHost(ctx, host, master.(*keys.RSA)) //nolint:forcetypeassert // masterKey makes nothing else
	if err := errors.Join(err, v.Close()); err != nil {
		e.t.Fatal(err)
	}
	return bundle
}

// WriteOnly are the options of a second mount of this bucket by a host that cannot read.
func (e *Env) WriteOnly(bundle *keys.Bundle) Options {
	e.t.Helper()
	machine, err := keys.NewMachineKey(make([]byte, 32))
	if err != nil {
		e.t.Fatal(err)
	}
	return Options{Share: e, NoMount: e.o.NoMount, Prefix: e.o.Prefix, Object: object.Options{Bundle: bundle, MachineKey: machine}}
}
