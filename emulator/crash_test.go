package emulator

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// crashDir names the folder that a child of TestKill serves.
const crashDir = "EMULATOR_TEST_CRASH_DIR"

// TestMain turns the test binary into a server when TestKill starts it as a child.
func TestMain(m *testing.M) {
	dir := os.Getenv(crashDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	s, err := Start(Options{Dir: dir, Buckets: []string{testBucket}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(s.Ready()); err != nil {
		os.Exit(1)
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed, or its parent is gone
	os.Exit(0)
}

// TestKill kills a server process in the middle of many writes: what it acknowledged is there and whole.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil { // held open for as long as this process lives
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	var ready Ready
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &ready)
	}
	if err != nil {
		t.Fatalf("child said %q: %v", line, err)
	}
	c, err := sdk.New(ready.OSS, ready.AccessKeyID, ready.AccessKeySecret, sdk.ForcePathStyle(true))
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.Bucket(testBucket)
	if err != nil {
		t.Fatal(err)
	}
	acked := make([]int, 4) // by writer: how many puts were acknowledged
	var wg sync.WaitGroup
	for w := range acked {
		wg.Go(func() {
			for i := 0; ; i++ {
				data := bytes.Repeat([]byte{byte(i)}, []int{100, inlineMax + 100}[i%2])
				if b.PutObject(fmt.Sprintf("%d/%d", w, i%10), bytes.NewReader(data)) != nil {
					return
				}
				acked[w] = i + 1
				if i == 25 && w == 0 {
					if err := cmd.Process.Kill(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if err := cmd.Wait(); err == nil {
		t.Error("the child ended by itself")
	}
	s, err := Start(Options{Dir: dir})
	if err != nil {
		t.Fatalf("open the folder of a killed server: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for w, n := range acked {
		for i := max(0, n-10); i < n; i++ {
			data, _, err := s.ReadObject(testBucket, fmt.Sprintf("%d/%d", w, i%10))
			if err != nil || len(data) == 0 || bytes.Count(data, data[:1]) != len(data) {
				t.Errorf("writer %d, put %d: %d bytes, %v", w, i, len(data), err)
				continue
			}
			if got := data[0]; got != byte(i) && got != byte(n) { // put n may have happened without an answer
				t.Errorf("writer %d, put %d: content of put %d", w, i, got)
			}
		}
	}
}
