package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// estate is one owner with several buckets under one master key. A colleague has a slot in the second one only, which is an epoch ahead; the
// attacker can write to the first, which is testenv.Bucket.
type estate struct {
	s             *emulator.Server
	master        keys.MasterKey
	colleague     *keys.RSA
	ours          []string          // ids of the volume keys of the first bucket
	before        map[string]stored // the first bucket before any attack
	older         map[string]stored // its record before the last change
	inner         map[string]stored // the volume of a directory that was there before, and is gone
	bundle        *keys.Bundle      // of a write-only host of it
	colleagueKeys []*keys.VolumeKey // what the colleague can open
	ahead         atomic.Int64      // how far the bucket's clock is ahead, in nanoseconds
}

const secondBucket = "second"

// newEstate makes both buckets.
func newEstate(t *testing.T, master func(s *emulator.Server) keys.MasterKey) *estate {
	t.Helper()
	e := &estate{}
	s, err := emulator.Start(emulator.Options{Buckets: []string{testenv.Bucket, secondBucket, "copied"},
		Now: func() time.Time { return time.Now().Add(time.Duration(e.ahead.Load())) }})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	e.s, e.master = s, master(s)
	e.colleague, err = keys.GenerateRSA(2048, nil)
	must(t, err)
	ctx := context.Background()
	must(t, e.open(t, testenv.Bucket, object.Options{Prefix: "inner"}).VerifyKey(ctx))
	e.inner = e.all(t, testenv.Bucket)
	e.set(t, testenv.Bucket, nil)
	for _, bucket := range []string{testenv.Bucket, secondBucket} {
		b := e.open(t, bucket, object.Options{})
		must(t, b.VerifyKey(ctx))
		putFile(t, b, "ours")
		putFile(t, b, "planted-in-"+bucket)
	}
	v := e.volumes(t, secondBucket, object.Options{})
	_, err = v.AddSlot(ctx, e.colleague)
	must(t, err)
	_, err = v.NewEpoch(ctx, object.EpochRequest{Add: []keys.MasterKey{e.colleague}})
	must(t, err)
	for _, key := range e.recordsOf(secondBucket, "") {
		r := e.record(t, secondBucket, key)
		k, err := r.Open(ctx, keys.NewKeyring(e.colleague))
		must(t, err)
		e.colleagueKeys = append(e.colleagueKeys, k)
	}
	e.older = e.all(t, testenv.Bucket)
	v = e.volumes(t, testenv.Bucket, object.Options{})
	host, err := keys.NewHostKey("web", []string{""})
	must(t, err)
	rsa, ok := e.master.(*keys.RSA)
	if !ok {
		rsa = e.colleague // whose public half wraps for the SDKs
	}
	e.bundle, err = v.AddHost(ctx, host, rsa)
	must(t, err)
	for _, r := range v.Describe() {
		e.ours = append(e.ours, r.ID)
	}
	e.before = e.all(t, testenv.Bucket)
	return e
}

func (e *estate) connection(bucket string) object.Connection {
	return object.Connection{Endpoint: e.s.Endpoint(), Region: e.s.Region(), Bucket: bucket,
		Credentials: object.StaticCredentials{ID: e.s.AccessKeyID(), Secret: e.s.AccessKeySecret()}}
}

func (e *estate) open(t *testing.T, bucket string, o object.Options) *object.Bucket {
	t.Helper()
	o.Connection = e.connection(bucket)
	if o.Bundle == nil && o.Keyring == nil {
		o.Keyring = keys.NewKeyring(e.master)
	}
	b, err := object.Open(context.Background(), o)
	must(t, err)
	t.Cleanup(func() { must(t, b.Close()) })
	return b
}

func (e *estate) volumes(t *testing.T, bucket string, o object.Options) *object.Volumes {
	t.Helper()
	o.Connection, o.Keyring = e.connection(bucket), keys.NewKeyring(e.master)
	v, err := object.OpenVolumes(context.Background(), o, "")
	must(t, err)
	t.Cleanup(func() { must(t, v.Close()) })
	return v
}

// all is everything in a bucket.
func (e *estate) all(t *testing.T, bucket string) map[string]stored {
	t.Helper()
	out := map[string]stored{}
	for _, o := range e.s.Objects(bucket) {
		body, h, err := e.s.ReadObject(bucket, o.Key)
		must(t, err)
		out[o.Key] = stored{h, body}
	}
	return out
}

// recordsOf lists the records below a root.
func (e *estate) recordsOf(bucket, root string) (list []string) {
	for _, o := range e.s.Objects(bucket) {
		if strings.HasPrefix(o.Key, root+volumeDir) {
			list = append(list, o.Key)
		}
	}
	return list
}

func (e *estate) record(t *testing.T, bucket, key string) *keys.Record {
	t.Helper()
	body, _, err := e.s.ReadObject(bucket, key)
	must(t, err)
	r, err := keys.ParseRecord(body)
	must(t, err)
	return r
}

// set makes a bucket hold just these objects.
func (e *estate) set(t *testing.T, bucket string, want map[string]stored) {
	t.Helper()
	for _, o := range e.s.Objects(bucket) {
		must(t, e.s.RemoveObject(bucket, o.Key))
	}
	for key, s := range want {
		must(t, e.s.WriteObject(bucket, key, s.h.Clone(), bytes.Clone(s.body)))
	}
}

// plant puts an object into the first bucket.
func (e *estate) plant(t *testing.T, key string, s stored) {
	t.Helper()
	must(t, e.s.WriteObject(testenv.Bucket, key, s.h.Clone(), bytes.Clone(s.body)))
}

// plantSecond brings what the second bucket has into the first: records and one file.
func (e *estate) plantSecond(t *testing.T) {
	for key, s := range e.all(t, secondBucket) {
		if strings.HasPrefix(key, volumeDir) || key == "planted-in-"+secondBucket {
			e.plant(t, key, s)
		}
	}
}

// plantUnbound plants records of the second bucket in the form of the version before, which the attacker may have kept.
func (e *estate) plantUnbound(t *testing.T) {
	e.plantSecond(t)
	for _, key := range e.recordsOf(secondBucket, "") {
		r := e.record(t, secondBucket, key)
		k, err := r.Open(context.Background(), keys.NewKeyring(e.master))
		must(t, err)
		old := keys.NewRecord(k, keys.Place{})
		old.Revision = r.Revision
		must(t, errors.Join(old.AddSlot(context.Background(), k, e.master), old.AddSlot(context.Background(), k, e.colleague)))
		text, err := old.Marshal(k)
		must(t, err)
		e.plant(t, key, stored{body: text})
	}
}

// plantOnUnbound plants, beside those, newer revisions for the first bucket with the same slots, which the colleague made.
func (e *estate) plantOnUnbound(t *testing.T) {
	e.plantUnbound(t)
	for n, key := range e.recordsOf(secondBucket, "") {
		old := e.record(t, testenv.Bucket, key)
		forged := keys.NewRecord(e.colleagueKeys[n], keys.Place{Bucket: testenv.Bucket, Region: e.s.Region()})
		forged.Slots, forged.Revision = old.Slots, old.Revision+1
		for _, other := range e.colleagueKeys {
			if other.ID() != old.ID {
				must(t, forged.Endorse(other))
			}
		}
		text, err := forged.Marshal(e.colleagueKeys[n])
		must(t, err)
		e.plant(t, fmt.Sprintf("%s%s/%08d", volumeDir, forged.ID, forged.Revision), stored{body: text})
	}
}

// plantByColleague plants records that the colleague made for the first bucket with what he has: the volume keys of the second, and the
// slots of the owner there.
func (e *estate) plantByColleague(t *testing.T) {
	e.plantSecond(t)
	for n, key := range e.recordsOf(secondBucket, "") {
		r := e.record(t, secondBucket, key)
		forged := keys.NewRecord(e.colleagueKeys[n], keys.Place{Bucket: testenv.Bucket, Region: e.s.Region()})
		forged.Slots, forged.Revision = r.Slots, r.Revision
		for _, other := range e.colleagueKeys {
			if other.ID() != r.ID {
				must(t, forged.Endorse(other))
			}
		}
		text, err := forged.Marshal(e.colleagueKeys[n])
		must(t, err)
		e.plant(t, key, stored{body: text})
	}
}

func (e *estate) removeRecords(t *testing.T) {
	for _, key := range e.recordsOf(testenv.Bucket, "") {
		must(t, e.s.RemoveObject(testenv.Bucket, key))
	}
}

// got is a value without its error.
func got[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		must(t, err)
		return v
	}
}
