package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
	client "github.com/ossencfs/ossencfs/oss"
	"github.com/ossencfs/ossencfs/test/procenv"
)

// unbind writes the record of a bucket as the version before did: bound to no place.
func unbind(t *testing.T, w *procenv.World) (id string) {
	t.Helper()
	ctx := context.Background()
	master, err := keys.LoadRSA(w.Key, nil, nil)
	must(t, err)
	for name, body := range copyRecords(t, w) {
		r, err := keys.ParseRecord(body)
		must(t, err)
		k, err := r.Open(ctx, keys.NewKeyring(master))
		must(t, err)
		old := keys.NewRecord(k, keys.Place{})
		must(t, old.AddSlot(ctx, k, master))
		text, err := old.Marshal(k)
		must(t, err)
		must(t, w.Server.WriteObject(procenv.Bucket, name, nil, text))
		id = r.ID.String()
	}
	return id
}

// TestUpgradeOfAVolume: a volume of the version before is taken where it is known, or its id was given, and bound by one command.
func TestUpgradeOfAVolume(t *testing.T) {
	w, _ := keyWorld(t)
	id := unbind(t, w)
	get := []string{"get", oss + "/file", "-", "--rsa-key", w.Key}
	ask(t, w, nil, get...).want(t, ok)
	ask(t, w, newMachine(w, "b"), get...).want(t, trust, "not bound to its bucket", "hint: on a machine that knows the volume", "key bind")
	ask(t, w, newMachine(w, "c"), append(get, "--volume-id", id)...).want(t, ok)
	ask(t, w, newMachine(w, "d"), "key", "bind", oss, "--rsa-key", w.Key).want(t, trust, "not bound")
	if a := ask(t, w, nil, "key", "list", oss, "--rsa-key", w.Key); strings.Contains(a.stdout, "bound to") {
		t.Errorf("list says:\n%s", a.stdout)
	}
	ask(t, w, nil, "key", "rotate", oss, "--rsa-key", w.Key, "--new-epoch").want(t, trust, "not bound", "key bind")
	ask(t, w, nil, "key", "bind", oss, "--rsa-key", w.Key).want(t, ok, "volume key "+id+" is bound to "+oss)
	ask(t, w, nil, "key", "bind", oss, "--rsa-key", w.Key).want(t, ok, "already")
	if a := ask(t, w, nil, "key", "list", oss, "--rsa-key", w.Key); !strings.Contains(a.stdout, "bound to "+oss) {
		t.Errorf("list says:\n%s", a.stdout)
	}
	ask(t, w, newMachine(w, "b"), get...).want(t, ok)
}

// TestRecordOfAnotherBucket: it is refused with the command for those who copied the bucket themselves, and beside the right one it is told
// and means nothing.
func TestRecordOfAnotherBucket(t *testing.T) {
	w, _ := keyWorld(t)
	must(t, w.Server.CreateBucket("second"))
	ask(t, w, nil, "put", w.Key, "oss://second/file", "--rsa-key", w.Key, "--quiet").want(t, ok)
	theirs := map[string][]byte{}
	for _, o := range w.Server.Objects("second") {
		if strings.HasPrefix(o.Key, ".ossencfs/volume/") {
			body, _, err := w.Server.ReadObject("second", o.Key)
			must(t, err)
			theirs[o.Key] = body
		}
	}
	own := copyRecords(t, w)
	for key, body := range theirs {
		must(t, w.Server.WriteObject(procenv.Bucket, key, nil, body))
	}
	get := []string{"get", oss + "/file", "-", "--rsa-key", w.Key}
	ask(t, w, nil, get...).want(t, ok, "ossencfs: warning: ", "oss://second")
	for key := range own {
		must(t, w.Server.RemoveObject(procenv.Bucket, key))
	}
	ask(t, w, newMachine(w, "b"), get...).want(t, trust, "it was made for oss://second", "hint: somebody brought the record of another bucket here", "key bind --from")
}

// TestHostOfAPlantedRecord: a record that does not open makes no name of a host ambiguous.
func TestHostOfAPlantedRecord(t *testing.T) {
	w, _ := keyWorld(t)
	ask(t, w, nil, "key", "export-host", oss, filepath.Join(w.Base, "web1.host"), "--rsa-key", w.Key, "--name", "web1").want(t, ok)
	his, err := keys.GenerateRSA(2048, nil)
	must(t, err)
	v, err := keys.NewVolumeKey(1, true)
	must(t, err)
	host, err := keys.NewHostKey("web1", []string{""})
	must(t, err)
	r := keys.NewRecord(v, keys.Place{Bucket: procenv.Bucket})
	must(t, r.AddSlot(context.Background(), v, his))
	must(t, r.AddHost(host.Host()))
	text, err := r.Marshal(v)
	must(t, err)
	must(t, w.Server.WriteObject(procenv.Bucket, ".ossencfs/volume/"+v.ID().String()+"/00000001", nil, text))
	ask(t, w, nil, "key", "remove-host", oss, "web1", "--rsa-key", w.Key).want(t, ok)
}

// TestRetireEpochForeign: attributes that a mount signed for an object of others refuse it, too, though no option says that such objects are accepted.
func TestRetireEpochForeign(t *testing.T) {
	w, _ := keyWorld(t)
	ctx := context.Background()
	must(t, w.Server.WriteObject(procenv.Bucket, "theirs", nil, []byte("plain")))
	master, err := keys.LoadRSA(w.Key, nil, nil)
	must(t, err)
	b, err := object.Open(ctx, object.Options{Keyring: keys.NewKeyring(master), Trust: object.Trust{AcceptForeign: []string{""}}, Connection: object.Connection{
		Endpoint: w.Server.Endpoint(), Region: w.Server.Region(), Bucket: procenv.Bucket,
		Credentials: client.Static{ID: w.Server.AccessKeyID(), Secret: w.Server.AccessKeySecret()}}})
	must(t, err)
	t.Cleanup(func() { must(t, b.Close()) })
	must(t, b.OpenVolume(ctx))
	must(t, b.SetAttr(ctx, object.TagRequest{Key: "theirs", Upload: object.NewID(), Attr: object.Attr{Mode: object.ModeRegular | 0o600}}))
	ask(t, w, nil, "key", "rotate", oss, "--rsa-key", w.Key, "--new-epoch").want(t, ok)
	retire := []string{"key", "retire-epoch", oss, "1", "--rsa-key", w.Key, "--now", "--quiet"}
	ask(t, w, nil, retire...).want(t, incomplete, "under it are file, theirs", "2 objects", "--accept-foreign")
	ask(t, w, nil, "key", "rotate", oss, "--rsa-key", w.Key, "--rewrap", "--accept-foreign", "--quiet").want(t, ok)
	ask(t, w, nil, retire...).want(t, ok)
}

// TestRetireEpoch: it comes after the rotation and the rewrap, and refuses to come before.
func TestRetireEpoch(t *testing.T) {
	w, _ := keyWorld(t)
	retire := []string{"key", "retire-epoch", oss, "1", "--rsa-key", w.Key}
	ask(t, w, nil, retire...).want(t, usage, "epoch 1, the one in use is 1")
	ask(t, w, nil, "key", "rotate", oss, "--rsa-key", w.Key, "--new-epoch").want(t, ok, "within 5 minutes")
	ask(t, w, nil, retire...).want(t, incomplete, "less than 10m0s ago", "--now")
	ask(t, w, nil, append(retire, "--now")...).want(t, incomplete, "under it are file", "1 objects are sealed or signed under it", "--rewrap", "--force")
	ask(t, w, nil, append(retire, "--now", "--force")...).want(t, ok, "is retired")
	ask(t, w, nil, "get", oss+"/file", "-", "--rsa-key", w.Key).want(t, trust, "retired", "--undo")
	ask(t, w, nil, append(retire, "--undo")...).want(t, ok, "counts again")
	ask(t, w, nil, "key", "rotate", oss, "--rsa-key", w.Key, "--rewrap", "--quiet").want(t, ok)
	before, h, err := w.Server.ReadObject(procenv.Bucket, "file")
	must(t, err)
	ask(t, w, nil, append(retire, "--now")...).want(t, ok, "is retired")
	if a := ask(t, w, nil, "key", "list", oss, "--rsa-key", w.Key); !strings.Contains(words(a.stdout), "authentic, retired") {
		t.Errorf("list says:\n%s", a.stdout)
	}
	ask(t, w, nil, append(retire, "--now")...).want(t, usage, "no such epoch")
	ask(t, w, nil, "get", oss+"/file", "-", "--rsa-key", w.Key).want(t, ok)
	ask(t, w, nil, append(retire, "--undo")...).want(t, ok, "counts again")
	if after, g, err := w.Server.ReadObject(procenv.Bucket, "file"); err != nil || string(after) != string(before) || h.Get("ETag") != g.Get("ETag") {
		t.Errorf("the object was written again, %v", err)
	}
	ask(t, w, nil, append(retire, "--now")...).want(t, ok, "is retired")
	ask(t, w, nil, "key", "rotate", oss, "--rsa-key", w.Key, "--new-epoch").want(t, ok)
	ask(t, w, nil, "key", "rotate", oss, "--rsa-key", w.Key, "--rewrap", "--quiet").want(t, ok)
	second := []string{"key", "retire-epoch", oss, "2", "--rsa-key", w.Key}
	ask(t, w, nil, append(second, "--now")...).want(t, ok, "is retired")
	ask(t, w, nil, append(retire, "--undo")...).want(t, ok, "counts again", "epoch 2, stays retired")
	ask(t, w, nil, append(second, "--undo")...).want(t, ok, "counts again")
	for _, name := range []string{"0", "x", "-1"} {
		ask(t, w, nil, "key", "retire-epoch", oss, name, "--rsa-key", w.Key).want(t, usage)
	}
	if _, err := os.Stat(w.Cache); err == nil {
		t.Error("a command of keys made a cache")
	}
}
