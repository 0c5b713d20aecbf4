package emulator

import (
	"strings"
	"sync"
	"testing"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// TestWatch: a watcher hears of each request twice, also of a late one and of one that is refused.
func TestWatch(t *testing.T) {
	s := start(t, Options{})
	b := sdkBucket(t, s)
	var mu sync.Mutex
	var heard []Step
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(heard)
	}
	s.Watch(func(step Step) {
		if step.Moment == Before && step.Operation == "PutObject" && step.Key == "new" && has(s, "new") {
			t.Error("told of the PUT when it was executed already")
		}
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, step)
	})
	if err := b.PutObject("new", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	if err := b.DeleteObject("new"); err != nil {
		t.Fatal(err)
	}
	if err := b.PutObject("twice", strings.NewReader("x"), sdk.ForbidOverWrite(true)); err != nil {
		t.Fatal(err)
	}
	if err := b.PutObject("twice", strings.NewReader("x"), sdk.ForbidOverWrite(true)); err == nil {
		t.Fatal("overwritten")
	}
	want := []string{"PutObject", "DeleteObject", "PutObject", "PutObject"}
	if len(heard) != 2*len(want) {
		t.Fatalf("heard %d steps, want %d: %v", len(heard), 2*len(want), heard)
	}
	for i, step := range heard {
		if step.Operation != want[i/2] || step.Moment != Moment(i%2) || step.Bucket != testBucket || (step.Err != nil) != (i == 7) {
			t.Errorf("step %d is %+v", i, step)
		}
	}
	s.AddFault(Fault{Operation: "PutObject", LateBy: 1, Count: 1})
	if err := b.PutObject("late", strings.NewReader("x")); err == nil {
		t.Error("the answer was not lost")
	}
	eventually(t, "the late request is heard of", func() bool { return count() == 10 })
	s.Watch(nil)
	if err := b.DeleteObject("late"); err != nil {
		t.Fatal(err)
	}
	if count() != 10 {
		t.Error("heard of a request after the end")
	}
}

// TestHistory has a bucket again as it was after each change, from a store in memory and from one in a folder.
func TestHistory(t *testing.T) {
	for name, dir := range map[string]string{"memory": "", "folder": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			s := start(t, Options{Dir: dir})
			b := sdkBucket(t, s)
			large := string(randomBytes(300 << 10))
			put := func(key, content string) {
				t.Helper()
				if err := b.PutObject(key, strings.NewReader(content), sdk.Meta("of", key)); err != nil {
					t.Fatal(err)
				}
			}
			put("before", "it began")
			h, err := s.Record(testBucket)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Record(testBucket); err == nil {
				t.Error("recorded twice")
			}
			put("a", "one")
			put("a", large)
			if err := b.DeleteObject("before"); err != nil {
				t.Fatal(err)
			}
			put("b", "two")
			want := []map[string]string{
				{}, {"before": "it began"}, {"before": "it began", "a": "one"}, {"before": "it began", "a": large}, {"a": large}, {"a": large, "b": "two"},
			}
			if h.Len() != len(want) {
				t.Fatalf("%d states, want %d", h.Len(), len(want))
			}
			for n, objects := range want {
				checkState(t, h, n, objects)
			}
			if _, err := h.Start(len(want)); err == nil {
				t.Error("a state that never was")
			}
			checkServed(t, h, map[string]string{"before": "it began", "a": "one", "b": "two"})(h.StartWith(2, 4))
			if _, err := h.StartWith(3, 2); err == nil {
				t.Error("a change before the state")
			}
			if h.Key(1) != "a" || h.Key(3) != "before" {
				t.Errorf("keys %q, %q", h.Key(1), h.Key(3))
			}
			h.Close()
			if h, err = s.Record(testBucket); err != nil {
				t.Fatal(err)
			}
			h.Close()
		})
	}
}

func checkState(t *testing.T, h *History, n int, want map[string]string) {
	t.Helper()
	checkServed(t, h, want)(h.Start(n))
}

func checkServed(t *testing.T, h *History, want map[string]string) func(*Server, error) {
	return func(s *Server, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		if got := s.Objects(testBucket); len(got) != len(want) {
			t.Errorf("it has %v, want %d objects", got, len(want))
		}
		b := sdkBucket(t, s)
		for key, content := range want {
			if got := getAll(t, b, key); string(got) != content {
				t.Errorf("%s has %d bytes, want %d", key, len(got), len(content))
			}
		}
		if err := b.PutObject("own", strings.NewReader("x")); err != nil {
			t.Errorf("it cannot be changed: %v", err)
		}
		if has(h.s, "own") {
			t.Error("a change is seen where the state was taken from")
		}
	}
}
