package object

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
)

// volumesOf opens the records of a bucket with these keys.
func volumesOf(t *testing.T, o Options, code string, ring ...keys.MasterKey) *Volumes {
	t.Helper()
	if len(ring) > 0 {
		o.Keyring = keys.NewKeyring(ring[0], ring[1:]...)
	}
	v, err := OpenVolumes(t.Context(), o, code)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	return v
}

// opens reports whether the volume of a bucket opens with these keys, all of its records.
func opens(t *testing.T, o Options, code string, ring ...keys.MasterKey) bool {
	t.Helper()
	v := volumesOf(t, o, code, ring...)
	return len(v.entries) > 0 && len(v.opened()) == len(v.entries)
}

// recordsOf are the keys of all records in the bucket.
func recordsOf(s *emulator.Server) (list []string) {
	for _, o := range s.Objects(testBucket) {
		if strings.Contains(o.Key, volumeDir) {
			list = append(list, o.Key)
		}
	}
	return list
}

// TestSlotsComeAndGo: RSA, KMS and a recovery code open what the first key made, each alone, until their slot is removed.
func TestSlotsComeAndGo(t *testing.T) {
	s := emulated(t, emulator.Options{})
	o := Options{Connection: connection(s)}
	k1, k2, k3 := masterRSA(t, 0), masterRSA(t, 1), masterKMS(t, s)
	opened(t, o)
	v := volumesOf(t, o, "", k1)
	for _, k := range []keys.MasterKey{k2, k3, k2} {
		if _, err := v.AddSlot(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	code, err := v.AddRecovery(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		code string
		ring []keys.MasterKey
	}{"first": {"", []keys.MasterKey{k1}}, "second": {"", []keys.MasterKey{k2}}, "KMS": {"", []keys.MasterKey{k3}}, "code": {code, nil}} {
		if !opens(t, o, tc.code, tc.ring...) {
			t.Errorf("%s does not open the volume", name)
		}
	}
	if got := recordsOf(s); len(got) != 1 || !strings.HasSuffix(got[0], "/00000004") {
		t.Errorf("the bucket has records %q, want one of revision 4", got)
	}
	v = volumesOf(t, o, code)
	if n, err := v.RemoveSlot(t.Context(), k1.ID(), false); n != 1 || err != nil {
		t.Fatalf("remove: %d records, %v", n, err)
	}
	if opens(t, o, "", k1) || !opens(t, o, "", k2) {
		t.Error("the wrong slot was removed")
	}
	if _, err := v.RemoveSlot(t.Context(), k1.ID(), false); !errors.Is(err, keys.ErrNoSlot) {
		t.Errorf("again: got %v, want ErrNoSlot", err)
	}
}

// TestSlotsThatStay: what would lock somebody out is refused before anything is changed.
func TestSlotsThatStay(t *testing.T) {
	s := emulated(t, emulator.Options{})
	o := Options{Connection: connection(s)}
	k1, k2 := masterRSA(t, 0), masterRSA(t, 1)
	opened(t, o)
	v := volumesOf(t, o, "", k1)
	if _, err := v.RemoveSlot(t.Context(), k1.ID(), true); !errors.Is(err, keys.ErrLastSlot) {
		t.Errorf("last slot: got %v, want ErrLastSlot", err)
	}
	if _, err := v.AddRecovery(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := v.RemoveSlot(t.Context(), k1.ID(), false); !errors.Is(err, ErrLockout) {
		t.Errorf("all but the code: got %v, want ErrLockout", err)
	}
	if _, err := v.NewEpoch(t.Context(), EpochRequest{Add: []keys.MasterKey{k2}}); !errors.Is(err, ErrLockout) {
		t.Errorf("epoch without the code: got %v, want ErrLockout", err)
	}
	got, err := v.NewEpoch(t.Context(), EpochRequest{Add: []keys.MasterKey{k2}, Force: true})
	if err != nil || len(got.Missing) != 1 || got.Missing[0].Type != "recovery" || got.Number != 2 {
		t.Fatalf("epoch by force: got %+v, %v", got, err)
	}
	// The first epoch has no slot for the second key, which therefore may not take the slot of both away.
	before := recordsOf(s)
	if _, err := volumesOf(t, o, "", k2).RemoveSlot(t.Context(), k1.ID(), true); !errors.Is(err, ErrWrongKey) {
		t.Errorf("a record that does not open: got %v, want ErrWrongKey", err)
	}
	if after := recordsOf(s); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("a removal that was refused changed %q to %q", before, after)
	}
	if _, err := volumesOf(t, o, "", masterKMS(t, s)).AddSlot(t.Context(), k2); !errors.Is(err, ErrWrongKey) {
		t.Errorf("with a key without slot: got %v, want ErrWrongKey", err)
	}
	if _, err := v.AddSlot(t.Context(), mustPublic(t, masterRSA(t, 1))); !errors.Is(err, keys.ErrPublicOnly) {
		t.Errorf("public key: got %v, want ErrPublicOnly", err)
	}
}

// mustPublic is the public half of a key.
func mustPublic(t *testing.T, k *keys.RSA) *keys.RSA {
	t.Helper()
	text, err := k.MarshalPublic()
	if err != nil {
		t.Fatal(err)
	}
	public, err := keys.ParseRSA(text, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// TestNewEpoch: new objects go under the new volume key, the old ones stay readable, and the same code and keys open both.
func TestNewEpoch(t *testing.T) {
	s := emulated(t, emulator.Options{})
	o := Options{Connection: connection(s)}
	k1, k2 := masterRSA(t, 0), masterRSA(t, 1)
	b := opened(t, o)
	putText(t, b, "old", "written in epoch 1")
	v := volumesOf(t, o, "", k1)
	code, err := v.AddRecovery(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v = volumesOf(t, o, code, k1)
	epoch, err := v.NewEpoch(t.Context(), EpochRequest{Add: []keys.MasterKey{k2}})
	if err != nil || epoch.Number != 2 || len(epoch.Missing) != 0 {
		t.Fatalf("got %+v, %v", epoch, err)
	}
	b = opened(t, o)
	if got := b.Volume(); got.Writer != epoch.ID || got.Epoch != 2 || !got.Authentic || len(got.Keys) != 2 {
		t.Errorf("volume: got %+v", got)
	}
	putText(t, b, "new", "written in epoch 2")
	for key, want := range map[string]string{"old": "written in epoch 1", "new": "written in epoch 2"} {
		if got, err := getText(t, b, key); got != want || err != nil {
			t.Errorf("%s: got %q, %v", key, got, err)
		}
	}
	if !opens(t, o, code) {
		t.Error("the recovery code does not open both epochs")
	}
	var writes []string
	for _, r := range volumesOf(t, o, "", k2).Describe() {
		if r.Writes {
			writes = append(writes, r.ID)
		}
	}
	if len(writes) != 1 || writes[0] != epoch.ID {
		t.Errorf("with the second key %q write, want %s", writes, epoch.ID)
	}
}

// TestTwoNewEpochs: two hosts that make a new epoch at the same moment make one volume, also when the epoch before, which vouches for both, is retired.
func TestTwoNewEpochs(t *testing.T) {
	for name, late := range map[string]bool{"they see each other": false, "made by a version that did not look": true} {
		t.Run(name, func(t *testing.T) {
			s := emulated(t, emulator.Options{})
			o := Options{Connection: connection(s)}
			k := masterRSA(t, 0)
			opened(t, o)
			one, two := volumesOf(t, o, "", k), volumesOf(t, o, "", k)
			for _, v := range []*Volumes{one, two} {
				epoch, err := v.NewEpoch(t.Context(), EpochRequest{})
				must(t, err)
				if late && v == two {
					forgetVouching(t, v, epoch.ID)
				}
			}
			v := volumesOf(t, o, "", k)
			list, err := v.Retiring(1, false)
			must(t, err)
			must(t, v.Retire(t.Context(), list))
			b := opened(t, o)
			if got := b.Volume(); len(got.Keys) != 3 || got.Epoch != 2 {
				t.Errorf("a new machine sees %+v", got)
			}
		})
	}
}

// forgetVouching leaves of the record of a volume key only the word of the first epoch.
func forgetVouching(t *testing.T, v *Volumes, id string) {
	t.Helper()
	e := v.entryOf(id)
	_, err := v.change(t.Context(), e.id, func(next *keys.Record, _ *keys.VolumeKey) (bool, error) {
		next.Endorsements = slices.DeleteFunc(next.Endorsements, func(x keys.Endorsement) bool {
			by := v.find(x.By)
			return by == nil || by.record.Epoch != 1
		})
		return true, nil
	})
	must(t, err)
}

// putText writes a small object.
func putText(t *testing.T, b *Bucket, key, text string) {
	t.Helper()
	_, err := b.PutFile(t.Context(), FileRequest{Key: key, Source: strings.NewReader(text), Size: int64(len(text)), Attr: Attr{Mode: ModeRegular | 0o600}})
	if err != nil {
		t.Fatal(err)
	}
}

// getText reads a small object.
func getText(t *testing.T, b *Bucket, key string) (string, error) {
	t.Helper()
	var text strings.Builder
	_, err := b.GetFile(t.Context(), key, &text, nil)
	return text.String(), err
}

// TestChangesMeet: changes of two hosts at the same moment are both kept.
func TestChangesMeet(t *testing.T) {
	s := emulated(t, emulator.Options{})
	o := Options{Connection: connection(s)}
	k := masterRSA(t, 0)
	opened(t, o)
	const hosts = 6
	var wait sync.WaitGroup
	errs := make([]error, hosts)
	for i := range hosts {
		v := volumesOf(t, o, "", k)
		host, err := keys.NewHostKey(fmt.Sprint("host ", i), []string{""})
		if err != nil {
			t.Fatal(err)
		}
		wait.Go(func() { _, errs[i] = v.AddHost(context.WithoutCancel(t.Context()), host, k) })
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	list := volumesOf(t, o, "", k).Describe()
	if len(list) != 1 || len(list[0].Hosts) != hosts || list[0].Revision != hosts+1 {
		t.Errorf("got %+v, want %d hosts", list, hosts)
	}
	if got := recordsOf(s); len(got) != 1 {
		t.Errorf("the bucket has records %q, want one", got)
	}
}

// TestReplacedWhileRead: a revision that goes between listing and reading means that there is a newer one, also where an older one is still
// there.
func TestReplacedWhileRead(t *testing.T) {
	for name, read := range map[string]func(t *testing.T, o Options, k keys.MasterKey) uint32{
		"edit": func(t *testing.T, o Options, k keys.MasterKey) uint32 {
			return volumesOf(t, o, "", k).Describe()[0].Revision
		},
		"mount": func(t *testing.T, o Options, _ keys.MasterKey) uint32 {
			f, err := unopened(t, o).findRecords(t.Context(), new(pins))
			if err != nil || len(f.entries) != 1 {
				t.Errorf("got %+v, %v", f, err)
				return 0
			}
			return f.entries[0].record.Revision
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := emulated(t, emulator.Options{})
			o := Options{Connection: connection(s)}
			k := masterRSA(t, 0)
			opened(t, o)
			first := recordsOf(s)[0]
			body, h, err := s.ReadObject(testBucket, first)
			if err != nil {
				t.Fatal(err)
			}
			putBack := func() {
				if err := s.WriteObject(testBucket, first, h, body); err != nil {
					t.Error(err)
				}
			}
			v := volumesOf(t, o, "", k)
			addHost := func(n int) {
				host, err := keys.NewHostKey(fmt.Sprint("host ", n), []string{""})
				if err == nil {
					_, err = v.AddHost(t.Context(), host, k)
				}
				if err != nil {
					t.Error(err)
				}
			}
			addHost(1)
			putBack()
			s.ResetRequests()
			id := s.AddFault(emulator.Fault{Operation: "GetObject", Key: "*/*/*/00000002", Barrier: 2})
			got := make(chan uint32)
			go func() { got <- read(t, o, k) }()
			for s.Requests()["GetObject"] == 0 {
				runtime.Gosched()
			}
			addHost(2)
			putBack()
			s.RemoveFault(id)
			if revision := <-got; revision != 3 {
				t.Errorf("got revision %d, want 3", revision)
			}
		})
	}
}

// TestHostsComeAndGo: a bundle names what its host needs, and a removed host is gone.
func TestHostsComeAndGo(t *testing.T) {
	s := emulated(t, emulator.Options{})
	o := Options{Connection: connection(s)}
	k := masterRSA(t, 0)
	volume := opened(t, o).Volume()
	host, err := keys.NewHostKey("web 1", []string{"backup/web1/"})
	if err != nil {
		t.Fatal(err)
	}
	v := volumesOf(t, o, "", k)
	bundle, err := v.AddHost(t.Context(), host, mustPublic(t, k))
	if err != nil {
		t.Fatal(err)
	}
	if bundle.Volume().ID.String() != volume.Writer || bundle.Revision() != 2 || bundle.Key().Host().ID != host.Host().ID {
		t.Errorf("bundle of volume %s, revision %d", bundle.Volume().ID, bundle.Revision())
	}
	for i, want := range []int{1, 0} {
		if n, err := v.RetireHost(t.Context(), host.Host().ID); n != want || err != nil {
			t.Errorf("retire %d: %d records, %v, want %d", i, n, err, want)
		}
	}
	if hosts := v.Describe()[0].Hosts; len(hosts) != 1 || hosts[0].Retired == "" {
		t.Errorf("after it was retired: %+v", hosts)
	}
	if n, err := v.ForgetHost(t.Context(), host.Host().ID); n != 1 || err != nil {
		t.Errorf("forget: %d, %v", n, err)
	}
	for name, end := range map[string]func(context.Context, keys.HostID) (int, error){"retire": v.RetireHost, "forget": v.ForgetHost} {
		if _, err := end(t.Context(), host.Host().ID); !errors.Is(err, keys.ErrNoHost) {
			t.Errorf("%s again: got %v, want ErrNoHost", name, err)
		}
	}
}

// TestExportImport: records that were removed, altered or rolled back come back, newer ones stay, and nothing older than what is known.
func TestExportImport(t *testing.T) {
	ctx := t.Context()
	k1, k2 := masterRSA(t, 0), masterRSA(t, 1)
	for _, tc := range []struct {
		name  string
		alter func(t *testing.T, s *emulator.Server, o Options)
		ring  keys.MasterKey
		want  error
		kept  bool
	}{
		{"there", func(*testing.T, *emulator.Server, Options) {}, k1, nil, true},
		{"removed", func(t *testing.T, s *emulator.Server, _ Options) {
			for _, key := range recordsOf(s) {
				must(t, s.RemoveObject(testBucket, key))
			}
		}, k1, nil, false},
		{"altered", func(t *testing.T, s *emulator.Server, _ Options) {
			must(t, s.WriteObject(testBucket, recordsOf(s)[0], nil, []byte("{}")))
		}, k1, nil, false},
		{"newer one there", func(t *testing.T, _ *emulator.Server, o Options) {
			_, err := volumesOf(t, Options{Connection: o.Connection}, "", k1).AddSlot(ctx, k2)
			must(t, err)
		}, k1, nil, true},
		{"with another key", func(*testing.T, *emulator.Server, Options) {}, k2, ErrWrongKey, false},
		{"older than what is known", func(t *testing.T, s *emulator.Server, o Options) {
			v := volumesOf(t, o, "", k1)
			must(t, v.Pin(o.PinFile))
			_, err := v.AddSlot(ctx, k2)
			must(t, err)
			for _, key := range recordsOf(s) {
				must(t, s.RemoveObject(testBucket, key))
			}
		}, k1, ErrRecordRolledBack, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := emulated(t, emulator.Options{})
			o := Options{Connection: connection(s), PinFile: filepath.Join(t.TempDir(), "pin.json")}
			before := opened(t, Options{Connection: o.Connection}).Volume()
			text, err := volumesOf(t, o, "", k1).Export()
			must(t, err)
			tc.alter(t, s, o)
			out, err := volumesOf(t, o, "", tc.ring).Import(ctx, text, false)
			if !errors.Is(err, tc.want) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
			if tc.want != nil {
				return
			}
			if kept := len(out.Kept) == 1 && len(out.Stored) == 0; kept != tc.kept || len(out.Kept)+len(out.Stored) != 1 {
				t.Errorf("got %+v, kept is to be %v", out, tc.kept)
			}
			if got := opened(t, o).Volume(); got.Writer != before.Writer || len(recordsOf(s)) != 1 {
				t.Errorf("volume %s with records %q, want %s", got.Writer, recordsOf(s), before.Writer)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestForgedRecordInTheWay: what somebody put where the next revision goes is not taken for a record, and keeps nobody from changing it.
func TestForgedRecordInTheWay(t *testing.T) {
	s := emulated(t, emulator.Options{})
	o := Options{Connection: connection(s)}
	opened(t, o)
	next := strings.TrimSuffix(recordsOf(s)[0], "1") + "2"
	must(t, s.WriteObject(testBucket, next, nil, []byte("{}")))
	v := volumesOf(t, o, "", masterRSA(t, 0))
	if list := v.Describe(); len(list) != 1 || !list[0].Opens || !errors.Is(list[0].Forged, ErrRecordForged) {
		t.Errorf("got %+v", list)
	}
	if _, err := v.AddSlot(t.Context(), masterRSA(t, 1)); err != nil {
		t.Error(err)
	}
	if list := recordsOf(s); len(list) != 1 || list[0] != strings.TrimSuffix(next, "2")+"3" {
		t.Errorf("records %q", list)
	}
	if got := fmt.Sprintf("%v %+v %s", v, v, v); strings.Contains(got, "00000001") {
		t.Errorf("it prints as %s", got)
	}
}

func FuzzParseExport(f *testing.F) {
	two, err := rsaKeys()
	if err != nil {
		f.Fatal(err)
	}
	k, err := keys.NewVolumeKey(1, true)
	if err != nil {
		f.Fatal(err)
	}
	r := keys.NewRecord(k, keys.Place{})
	if err := r.AddSlot(f.Context(), k, two[0]); err != nil {
		f.Fatal(err)
	}
	v := &Volumes{newRecords(&Bucket{ring: keys.NewKeyring(two[0])}, &pins{})}
	v.root, v.entries = "a/", []*volumeEntry{{id: r.ID, record: r, secret: k}}
	text, err := v.Export()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"format":"` + exportFormat + `","root":"","records":[]}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		root, records, err := parseExport(text)
		if err != nil {
			if !errors.Is(err, ErrExport) {
				t.Errorf("got %v, want ErrExport", err)
			}
			return
		}
		if clean, err := CleanPrefix(root); err != nil || clean != root || len(records) == 0 {
			t.Errorf("root %q with %d records", root, len(records))
		}
	})
}
