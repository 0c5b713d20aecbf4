package emulator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	sdkerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// eventually waits for a condition that another goroutine brings about.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for !cond() {
		if !pause(ctx, time.Millisecond) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

func has(s *Server, key string) bool {
	_, _, err := s.ReadObject(testBucket, key)
	return err == nil
}

func isServiceError(err error) bool {
	var e sdk.ServiceError
	return errors.As(err, &e)
}

func TestFaultErrors(t *testing.T) {
	s := start(t, Options{})
	b := sdkBucket(t, s)
	put := func(key string) error { return b.PutObject(key, strings.NewReader("x")) }
	s.AddFault(Fault{Operation: "PutObject", Key: "a*", Skip: 1, Count: 2, Status: 503, Code: "ServiceUnavailable", EC: "0001-00000001", QosDelayMs: 250})
	if err := put("a1"); err != nil {
		t.Errorf("skipped: %v", err)
	}
	for range 2 {
		err := put("a2")
		refusedAs(t, err, "0001-00000001")
	}
	if has(s, "a2") {
		t.Error("a refused put was executed")
	}
	if err := put("b"); err != nil {
		t.Errorf("other key: %v", err)
	}
	if err := put("a3"); err != nil {
		t.Errorf("after the count: %v", err)
	}
	s.ClearFaults()
	s.AddFault(Fault{Key: "dir/**", Code: "Throttled", QosDelayMs: 250})
	req, err := http.NewRequest("PUT", s.Endpoint()+"/"+testBucket+"/dir/x/y", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 503 || resp.Header.Get("X-Oss-Qos-Delay-Time") != "250" {
		t.Errorf("got %d %v", resp.StatusCode, resp.Header)
	}
	if s.AddFault(Fault{Key: "["}) != "" || s.AddFault(Fault{Probability: 2}) != "" || s.AddFault(Fault{Status: 200}) != "" || s.AddFault(Fault{Skip: -1}) != "" {
		t.Error("a meaningless fault was taken")
	}
}

func TestFaultConnections(t *testing.T) {
	for store, dir := range map[string]string{"memory": "", "folder": t.TempDir()} {
		t.Run(store, func(t *testing.T) {
			s := start(t, Options{Dir: dir, TLS: true})
			b := sdkBucket(t, s)
			data := randomBytes(400 << 10)
			if err := b.PutObject("o", bytes.NewReader(data)); err != nil {
				t.Fatal(err)
			}
			s.AddFault(Fault{Operation: "PutObject", Key: "lost", Count: 1, LoseResponse: true})
			if err := b.PutObject("lost", bytes.NewReader(data)); err == nil || isServiceError(err) {
				t.Errorf("lost response: %v", err)
			}
			if !has(s, "lost") {
				t.Error("a request whose response was lost was not executed")
			}
			s.AddFault(Fault{Operation: "PutObject", Key: "cut", Count: 1, ResetAfterBytes: 100 << 10})
			if err := b.PutObject("cut", bytes.NewReader(data)); err == nil || isServiceError(err) {
				t.Errorf("reset in the request: %v", err)
			}
			s.AddFault(Fault{Operation: "PutObject", Key: "at once", Count: 1, ResetAfterBytes: -1})
			if err := b.PutObject("at once", bytes.NewReader(data)); err == nil || isServiceError(err) {
				t.Errorf("reset at once: %v", err)
			}
			if has(s, "cut") || has(s, "at once") {
				t.Error("a request that was cut short was executed")
			}
			s.AddFault(Fault{Operation: "GetObject", Count: 1, ResetAfterBytes: 100 << 10})
			r, err := b.GetObject("o")
			if err != nil {
				t.Fatalf("the headers must arrive: %v", err)
			}
			got, err := io.ReadAll(r)
			r.Close()
			if err == nil || len(got) > 100<<10 {
				t.Errorf("reset in the response: %d bytes, %v", len(got), err)
			}
			s.AddFault(Fault{Operation: "GetObject", Count: 1, CorruptBody: true})
			if got := getAll(t, b, "o"); bytes.Equal(got, data) || !bytes.Equal(got[1:], data[1:]) {
				t.Error("the response was not corrupted in its first byte")
			}
			if got := getAll(t, b, "o"); !bytes.Equal(got, data) {
				t.Error("corruption of a response reached the store")
			}
			s.AddFault(Fault{Operation: "PutObject", Count: 1, CorruptStored: true})
			if err := b.PutObject("rotten", bytes.NewReader(data)); err != nil {
				t.Errorf("checksums must be those of what was sent: %v", err)
			}
			if got := getAll(t, b, "rotten"); bytes.Equal(got, data) {
				t.Error("the store was not corrupted")
			}
		})
	}
}

func TestFaultLate(t *testing.T) {
	for store, dir := range map[string]string{"memory": "", "folder": t.TempDir()} {
		t.Run(store, func(t *testing.T) {
			s := start(t, Options{Dir: dir})
			b := sdkBucket(t, s)
			s.AddFault(Fault{Operation: "PutObject", Count: 1, LateBy: 30 * time.Millisecond})
			data := randomBytes(200 << 10)
			if err := b.PutObject("late", bytes.NewReader(data)); err == nil || isServiceError(err) {
				t.Errorf("late: %v", err)
			}
			eventually(t, "the late put is executed", func() bool { return has(s, "late") })
			if got := getAll(t, b, "late"); !bytes.Equal(got, data) {
				t.Error("the late put stored other bytes")
			}
			s.AddFault(Fault{Operation: "DeleteObject", Count: 1, LateBy: time.Millisecond})
			if err := b.DeleteObject("late"); err == nil {
				t.Error("the answer to a late delete came")
			}
			eventually(t, "the late delete is executed", func() bool { return !has(s, "late") })
			s.AddFault(Fault{Operation: "PutObject", LateBy: time.Hour})
			if err := b.PutObject("never", bytes.NewReader(data)); err == nil {
				t.Error("the answer to a late put came")
			}
			// Close, at the end of the test, must not wait for an hour.
		})
	}
}

func TestFaultTimes(t *testing.T) {
	s := start(t, Options{})
	b := sdkBucket(t, s)
	took := func(f func()) time.Duration {
		at := time.Now()
		f()
		return time.Since(at)
	}
	put := func() {
		if err := b.PutObject("o", bytes.NewReader(make([]byte, 20<<10))); err != nil {
			t.Error(err)
		}
	}
	s.AddFault(Fault{Operation: "PutObject", Count: 1, Delay: 50 * time.Millisecond})
	if d := took(put); d < 50*time.Millisecond {
		t.Errorf("delayed put took %v", d)
	}
	s.AddFault(Fault{Operation: "PutObject", Count: 1, Throttle: 200 << 10})
	if d := took(put); d < 80*time.Millisecond {
		t.Errorf("20 KiB at 200 KiB/s took %v", d)
	}
	s.AddFault(Fault{Operation: "GetObject", Count: 1, Throttle: 200 << 10})
	if d := took(func() { getAll(t, b, "o") }); d < 80*time.Millisecond {
		t.Errorf("20 KiB at 200 KiB/s took %v", d)
	}
}

func TestFaultBarrier(t *testing.T) {
	s := start(t, Options{})
	b := sdkBucket(t, s)
	s.AddFault(Fault{Operation: "PutObject", Barrier: 3})
	var wg sync.WaitGroup
	done := make(chan error, 3)
	for i := range 3 {
		wg.Go(func() { done <- b.PutObject(fmt.Sprint(i), strings.NewReader("x")) })
		if i < 2 {
			eventually(t, "the request waits", func() bool {
				s.faults.mu.Lock()
				defer s.faults.mu.Unlock()
				return s.faults.list[0].waiting == i+1
			})
			if len(done) > 0 {
				t.Fatal("a request passed a barrier of three alone")
			}
		}
	}
	wg.Wait()
	close(done)
	for err := range done {
		if err != nil {
			t.Error(err)
		}
	}
	wg.Go(func() {
		if err := b.PutObject("held", strings.NewReader("x")); err != nil {
			t.Errorf("released by ClearFaults: %v", err)
		}
	})
	eventually(t, "one more request waits", func() bool {
		s.faults.mu.Lock()
		defer s.faults.mu.Unlock()
		return s.faults.list[0].waiting == 1
	})
	s.ClearFaults()
	wg.Wait()
}

func TestFaultKMS(t *testing.T) {
	s := start(t, Options{})
	c := kmsClient(t, s, s.AccessKeyID(), s.AccessKeySecret(), "", false)
	s.AddFault(Fault{Operation: "GenerateDataKey", Count: 1, Status: 429, Code: "Rejected.Throttling"})
	_, err := generate(c, s.KMSKeyID(), "")
	refusedByKMS(t, err, "Rejected.Throttling")
	if e, ok := err.(*sdkerrors.ServerError); !ok || e.HttpStatus() != 429 {
		t.Errorf("got %v", err)
	}
	s.AddFault(Fault{Operation: "GenerateDataKey", Count: 1, LoseResponse: true})
	if _, err = generate(c, s.KMSKeyID(), ""); err == nil {
		t.Error("the response was not lost")
	}
	if _, err = generate(c, s.KMSKeyID(), ""); err != nil {
		t.Error(err)
	}
}

// control sends one request to the control interface.
func control(t *testing.T, s *Server, method, path, body string, into any) int {
	t.Helper()
	req, err := http.NewRequest(method, s.Endpoint()+"/-/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if into != nil {
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
			t.Errorf("%s %s: %v", method, path, err)
		}
	}
	return resp.StatusCode
}

func TestControl(t *testing.T) {
	s := start(t, Options{})
	b := sdkBucket(t, s)
	var id struct{ ID string }
	if n := control(t, s, "POST", "faults", `{"operation":"PutObject","count":1,"status":500,"delay":"1ms"}`, &id); n != 201 || id.ID == "" {
		t.Errorf("add: %d %v", n, id)
	}
	again, err := json.Marshal(Fault{Operation: "GetObject", Delay: time.Millisecond, LateBy: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	control(t, s, "POST", "faults", string(again), &id)
	var list []Fault
	if control(t, s, "GET", "faults", "", &list); len(list) != 2 || list[0].Delay != time.Millisecond || list[1].LateBy != time.Second {
		t.Errorf("list: %+v", list)
	}
	if n := control(t, s, "DELETE", "faults/"+id.ID, "", nil); n != 204 || len(s.Faults()) != 1 {
		t.Errorf("delete one: %d, %d left", n, len(s.Faults()))
	}
	refusedAs(t, b.PutObject("o", strings.NewReader("x")), ecInjected)
	if err := b.PutObject("o", strings.NewReader("12345")); err != nil {
		t.Error(err)
	}
	var counts map[string]int
	if control(t, s, "GET", "requests", "", &counts); counts["PutObject"] != 2 {
		t.Errorf("counts %v", counts)
	}
	var moved Bytes
	if control(t, s, "GET", "bytes", "", &moved); moved.In < 5 {
		t.Errorf("bytes %+v", moved)
	}
	if n := control(t, s, "DELETE", "requests", "", nil); n != 204 || len(s.Requests()) != 0 {
		t.Errorf("reset: %d %v", n, s.Requests())
	}
	if n := control(t, s, "DELETE", "faults", "", nil); n != 204 || len(s.Faults()) != 0 {
		t.Errorf("clear: %d", n)
	}
	for _, bad := range []string{`{`, `{"delay":"x"}`, `{"key":"["}`, `{"status":200}`} {
		if n := control(t, s, "POST", "faults", bad, nil); n != 400 {
			t.Errorf("fault %s: %d", bad, n)
		}
	}
	if n := control(t, s, "GET", "nothing", "", nil); n != 404 {
		t.Errorf("unknown control: %d", n)
	}
	control(t, s, "POST", "sts", `{"access_key_id":"STS.x","access_key_secret":"y","security_token":"z"}`, nil)
	if err := tryPut(t, s, "STS.x", "y", sdk.SecurityToken("z")); err != nil {
		t.Errorf("registered over HTTP: %v", err)
	}
	if n := control(t, s, "POST", "sts", `{}`, nil); n != 400 {
		t.Errorf("empty credentials: %d", n)
	}
}
