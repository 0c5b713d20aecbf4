package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/test/procenv"
)

// verdict is the last line of `ossencfs verify --json`, and the findings before it.
type verdict struct {
	What             string
	Objects, Bytes   int64
	Damaged          int64
	Repaired         int64
	Counts           map[string]int64
	findings, repair []string
}

func readVerdict(t *testing.T, a answer) verdict {
	t.Helper()
	var v verdict
	reported := false
	for lines := bufio.NewScanner(strings.NewReader(a.stdout)); lines.Scan(); {
		var line struct {
			Finding *struct{ Kind, Key, Repaired string }
			Report  *verdict
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil || reported {
			t.Fatalf("%v, report before the end %v: %s", err, reported, lines.Text())
		}
		if f := line.Finding; f != nil {
			v.findings = append(v.findings, f.Kind+" "+f.Key)
			v.repair = append(v.repair, f.Repaired)
		}
		if line.Report != nil {
			found, repair := v.findings, v.repair
			v, reported = *line.Report, true
			v.findings, v.repair = found, repair
		}
	}
	if !reported {
		t.Fatalf("no report in:\n%s%s", a.stdout, a.stderr)
	}
	return v
}

// TestVerifyAMount: the mount verifies with its keys and its memory, says what is wrong by the exit code, and uploads again what it holds.
func TestVerifyAMount(t *testing.T) {
	w := procenv.New(t)
	mount(t, w)
	must(t, os.Mkdir(filepath.Join(w.Dir, "d"), 0o755))
	for _, name := range []string{"d/good", "d/bad", "beside"} {
		must(t, os.WriteFile(filepath.Join(w.Dir, name), []byte("content of "+name), 0o600))
	}
	ask(t, w, nil, "sync", w.Dir).want(t, ok)
	a := ask(t, w, nil, "verify", w.Dir, "--deep")
	a.want(t, ok)
	if !strings.Contains(a.stdout, w.Dir+": ") || !strings.Contains(a.stdout, "damage        none") {
		t.Errorf("healthy:\n%s", a.stdout)
	}
	must(t, w.Server.AlterObject(procenv.Bucket, "d/bad", flipFirst))
	must(t, w.Server.RemoveObject(procenv.Bucket, "beside"))
	a = ask(t, w, nil, "verify", filepath.Join(w.Dir, "d"), "--deep")
	a.want(t, trust, "1 finding is damage", "--repair")
	if !strings.Contains(a.stdout, "1 tampered") || !strings.Contains(a.stdout, "tampered: d/bad: ") || strings.Contains(a.stdout, "beside") {
		t.Errorf("one bad file:\n%s", a.stdout)
	}
	v := readVerdict(t, ask(t, w, nil, "verify", w.Dir, "--deep", "--json", "--repair"))
	if v.Damaged != 0 || v.Repaired != 2 || v.Counts["tampered"] != 1 || v.Counts["vanished"] != 1 || len(v.findings) != 2 {
		t.Errorf("repair: %+v", v)
	}
	ask(t, w, nil, "sync", w.Dir).want(t, ok)
	ask(t, w, nil, "verify", w.Dir, "--deep").want(t, ok)
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
	ask(t, w, nil, "verify", w.Dir).want(t, mountPoint, "is not in a mount")
	ask(t, w, nil, "verify", "oss://"+procenv.Bucket, "--rsa-key", w.Key, "--deep").want(t, ok)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// flipFirst flips a bit of the first byte.
func flipFirst(_ http.Header, body []byte) []byte {
	body[0] ^= 1
	return body
}

// TestVerifyABucket: without a mount, of a bucket, a directory or one object; and an interrupted one goes on.
func TestVerifyABucket(t *testing.T) {
	w := procenv.New(t)
	url := "oss://" + procenv.Bucket + "/back/up"
	in := write(t, filepath.Join(w.Base, "in"), "content", 0o640)
	ask(t, w, nil, "put", in, url+"/good", "--rsa-key", w.Key).want(t, ok)
	ask(t, w, nil, "verify", url, "--rsa-key", w.Key, "--deep").want(t, ok)
	for i := range 300 {
		must(t, w.Server.WriteObject(procenv.Bucket, fmt.Sprintf("back/up/plain%03d", i), nil, []byte("plain")))
	}
	ask(t, w, nil, "verify", url+"/good", "--rsa-key", w.Key).want(t, ok)
	v := readVerdict(t, ask(t, w, nil, "verify", url, "--rsa-key", w.Key, "--json"))
	if v.Counts["unauthentic"] != 300 || v.Damaged != 300 || len(v.findings) != 300 || v.What != url {
		t.Errorf("got %+v", v.Counts)
	}
	ask(t, w, nil, "verify", url, "--rsa-key", w.Key, "--accept-foreign").want(t, ok)
	fault := w.Server.AddFault(emulator.Fault{Operation: "HeadObject", Key: "back/up/plain250", Status: 403, Code: "InvalidAccessKeyId"})
	ask(t, w, nil, "verify", url, "--rsa-key", w.Key, "--workers", "1").want(t, credentials, "so far", "--resume goes on behind")
	w.Server.RemoveFault(fault)
	w.Server.ResetRequests()
	v = readVerdict(t, ask(t, w, nil, "verify", url, "--rsa-key", w.Key, "--json", "--resume"))
	if v.Counts["unauthentic"] != 300 || len(v.findings) >= 200 {
		t.Errorf("resumed: %v, %d found anew", v.Counts, len(v.findings))
	}
	ask(t, w, nil, "verify", url, "--rsa-key", w.Key, "--resume").want(t, trust, "300 findings") // from the front: nothing is left to go on with
	ask(t, w, nil, "verify", url, "--rsa-key", w.Key, "--workers", "0").want(t, usage, "--workers")
	ask(t, w, nil, "verify", url+"/none", "--rsa-key", w.Key, "--repair").want(t, ok)
	must(t, w.Server.CreateBucket("without-volume"))
	ask(t, w, nil, "verify", "oss://without-volume", "--rsa-key", w.Key, "--repair").want(t, trust, "no volume record")
	if left := w.Server.Objects("without-volume"); len(left) != 0 {
		t.Errorf("verify made %v", left)
	}
	ask(t, w, nil, "verify").want(t, usage, "is missing")
}
