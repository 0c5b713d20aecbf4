package emulator

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"sort"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
)

func TestCRC(t *testing.T) {
	if got := crcOf([]byte("123456789")); got != 0x995DC9BBDF1939FA {
		t.Errorf("check value %X", got)
	}
	for _, n := range []int{0, 1, 7, 8, 1000, 100003} {
		data := randomBytes(n + 50)
		a, b := data[:50], data[50:]
		if got, want := crcCombine(crcOf(a), crcOf(b), int64(n)), crcOf(data); got != want {
			t.Errorf("combine with %d bytes: %X, want %X", n, got, want)
		}
	}
}

// TestOrdered compares the ordered map with a plain map and sorted keys.
func TestOrdered(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var o ordered[int]
	model := map[string]int{}
	for i := range 20000 {
		key := fmt.Sprintf("%x", rnd.IntN(6000))
		if i%7 == 0 {
			key = fmt.Sprintf("s%07d", i) // in order, as uploads of a tree arrive
		}
		if rnd.IntN(3) == 0 {
			o.Delete(key)
			delete(model, key)
		} else {
			o.Set(key, i)
			model[key] = i
		}
	}
	keys := sortedKeys(model)
	if o.Len() != len(keys) {
		t.Fatalf("%d keys, want %d", o.Len(), len(keys))
	}
	for _, from := range []string{"", "3", "3ff", "s0000500", "zzz", keys[10], keys[len(keys)-1]} {
		i := sort.SearchStrings(keys, from)
		for c := o.Seek(from); ; i++ {
			key, val, ok := c.Next()
			if !ok {
				break
			}
			if i >= len(keys) || key != keys[i] || val != model[key] {
				t.Fatalf("from %q: got %q=%d at %d", from, key, val, i)
			}
		}
		if i != len(keys) {
			t.Errorf("from %q: stopped at %d of %d", from, i, len(keys))
		}
	}
	for _, key := range keys {
		if v, ok := o.Get(key); !ok || v != model[key] {
			t.Fatalf("get %q: %d, %v", key, v, ok)
		}
		o.Delete(key)
	}
	if o.Len() != 0 || len(o.chunks) != 0 {
		t.Errorf("%d keys in %d chunks are left", o.Len(), len(o.chunks))
	}
}

// TestListPages walks pages of every size and compares with a whole listing.
func TestListPages(t *testing.T) {
	b := &bucket{}
	rnd := rand.New(rand.NewPCG(3, 4))
	keys := map[string]bool{"a/": true, "a-b/c": true, "a/b": true, "\U0010FFFF/x": true}
	for range 400 {
		var parts []string
		for range 1 + rnd.IntN(4) {
			parts = append(parts, string(rune('a'+rnd.IntN(4)))+strings.Repeat("-", rnd.IntN(2)))
		}
		keys[strings.Join(parts, "/")] = true
	}
	for key := range keys {
		b.keys.Set(key, []*version{{meta: meta{Key: key}}})
	}
	for _, prefix := range []string{"", "a", "a/", "a/b", "zz"} {
		for _, delimiter := range []string{"", "/", "-/"} {
			seen := map[string]bool{}
			for key := range keys {
				if rest, ok := strings.CutPrefix(key, prefix); ok {
					if i := strings.Index(rest, delimiter); delimiter != "" && i >= 0 {
						key = prefix + rest[:i+len(delimiter)]
					}
					seen[key] = true
				}
			}
			want := sortedKeys(seen)
			for _, limit := range []int{1, 2, 7, 1000} {
				var got []string
				marker := ""
				for {
					p := b.list(prefix, delimiter, marker, limit)
					for _, it := range p.items {
						got = append(got, it.name)
					}
					if !p.truncated {
						break
					}
					marker = p.next
				}
				if strings.Join(got, "\n") != strings.Join(want, "\n") {
					t.Errorf("prefix %q delimiter %q limit %d: %d names %q, want %d %q", prefix, delimiter, limit, len(got), got, len(want), want)
				}
			}
		}
	}
}

// TestReceive takes bodies in through readers that split them in every way.
func TestReceive(t *testing.T) {
	for store, dir := range map[string]string{"memory": "", "folder": t.TempDir()} {
		st, err := openStore(dir, func(msg string, err error) { t.Errorf("%s: %v", msg, err) })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = st.close() })
		for _, size := range []int{0, 1, 4095, 4096, inlineMax - 1, inlineMax, inlineMax + 1, memoryChunk, 2*memoryChunk + 1} {
			for _, hint := range []int64{-1, int64(size)} {
				t.Run(fmt.Sprint(store, " ", size, " ", hint), func(t *testing.T) {
					data := randomBytes(size)
					for name, r := range map[string]io.Reader{
						"whole": bytes.NewReader(data), "halves": iotest.HalfReader(bytes.NewReader(data)), "eof with data": iotest.DataErrReader(bytes.NewReader(data)),
					} {
						got, err := st.receive(r, hint, int64(size), false)
						if err != nil {
							t.Fatalf("%s: %v", name, err)
						}
						var out bytes.Buffer
						if err := got.body.copyTo(&out, 0, got.size); err != nil || !bytes.Equal(out.Bytes(), data) || got.crc != crcOf(data) {
							t.Errorf("%s: content differs: %v", name, err)
						}
						if back, err := io.ReadAll(&bodyReader{rest: got.body}); err != nil || !bytes.Equal(back, data) {
							t.Errorf("%s: read back differs: %v", name, err)
						}
						got.drop()
					}
					if size > 0 {
						if _, err := st.receive(bytes.NewReader(data), hint, int64(size-1), false); err == nil {
							t.Error("a body over the limit was taken")
						}
					}
				})
			}
		}
		if dir != "" && files(t, dir, "blobs") != 0 {
			t.Error("dropped bodies left blobs")
		}
	}
}

func TestTimes(t *testing.T) {
	at := time.Date(2026, 11, 3, 4, 5, 6, 789e6, time.UTC)
	if got := isoTime(at); got != "2026-11-03T04:05:06.000Z" {
		t.Errorf("got %s", got)
	}
}

func TestParseRange(t *testing.T) {
	for _, test := range []struct {
		header   string
		size     int64
		standard bool
		off, n   int64
		partial  bool
	}{
		{"", 10, false, 0, 10, false},
		{"bytes=0-0", 10, false, 0, 1, true},
		{"bytes=9-9", 10, false, 9, 1, true},
		{"bytes=3-", 10, false, 3, 7, true},
		{"bytes=-10", 10, false, 0, 10, true},
		{"bytes=-11", 10, false, 0, 10, false},
		{"bytes=-11", 10, true, 0, 10, true},
		{"bytes=0-10", 10, false, 0, 10, false},
		{"bytes=0-10", 10, true, 0, 10, true},
		{"bytes=1-2,4-5", 10, false, 0, 10, false},
		{"bytes=a-b", 10, true, 0, 10, false},
		{"lines=1-2", 10, false, 0, 10, false},
		{"bytes=0-", 0, false, 0, 0, false},
	} {
		off, n, partial, err := parseRange(test.header, test.size, test.standard)
		if err != nil || off != test.off || n != test.n || partial != test.partial {
			t.Errorf("%q of %d (standard %v): %d+%d %v, %v", test.header, test.size, test.standard, off, n, partial, err)
		}
	}
}

// FuzzRange checks that a range never leaves the object.
func FuzzRange(f *testing.F) {
	for _, seed := range []string{"bytes=0-1", "bytes=-5", "bytes=9-", "bytes=9223372036854775807-", "bytes=--1", "bytes=1-2,3-4"} {
		f.Add(seed, int64(10), true)
		f.Add(seed, int64(0), false)
	}
	f.Fuzz(func(t *testing.T, header string, size int64, standard bool) {
		if size < 0 {
			return
		}
		off, n, _, err := parseRange(header, size, standard)
		if err == nil && (off < 0 || n < 0 || off+n > size) {
			t.Errorf("%q of %d: %d+%d", header, size, off, n)
		}
	})
}

// FuzzRecord feeds foreign records to the store's parser.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"key":"k","version":"null","size":3,"crc":"0","inline":3}` + "\nabc"))
	f.Add([]byte(`{"key":"k","version":"null","size":3,"crc":"0","extents":[{"blob":"b","off":-1,"len":3}]}` + "\n"))
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, at, err := decodeRecord(bytes.NewReader(data), int64(len(data)))
		if err == nil && (at+m.Inline != int64(len(data)) || m.Key == "") {
			t.Errorf("accepted %q as %+v", data, m)
		}
	})
}

// FuzzTagging checks that what is accepted obeys the rules.
func FuzzTagging(f *testing.F) {
	for _, seed := range []string{"a=b", "a=b&a=c", "%zz", "=x", "a+b=c%2Fd", strings.Repeat("k", 129) + "="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tags, err := parseTagging(text)
		if err == nil && checkTags(tags) != nil {
			t.Errorf("%q gave %v", text, tags)
		}
	})
}

// TestConcurrent writes, lists, copies and deletes the same keys from many clients at once; every GET must
// see one whole version.
func TestConcurrent(t *testing.T) {
	for store, dir := range map[string]string{"memory": "", "folder": t.TempDir()} {
		t.Run(store, func(t *testing.T) {
			s := start(t, Options{Dir: dir})
			b := sdkBucket(t, s)
			var wg sync.WaitGroup
			for w := range 8 {
				wg.Go(func() {
					for i := range 25 {
						key := fmt.Sprint("k", (w+i)%4)
						size := []int{10, 5000, inlineMax + 5000}[i%3]
						if err := b.PutObject(key, bytes.NewReader(bytes.Repeat([]byte{byte(w*25 + i)}, size))); err != nil {
							t.Error(err)
							return
						}
						check(t, b, key)
						if _, err := b.CopyObject(key, key+"-copy"); err != nil && !isServiceError(err) {
							t.Error(err)
						}
						if _, err := b.ListObjectsV2(); err != nil {
							t.Error(err)
						}
						if i%5 == 0 {
							if err := b.DeleteObject(key); err != nil {
								t.Error(err)
							}
						}
					}
				})
			}
			wg.Wait()
			for _, o := range s.Objects(testBucket) {
				check(t, b, o.Key)
			}
			if dir == "" {
				return
			}
			want := s.Objects(testBucket)
			s = restart(t, s, Options{Dir: dir})
			if got := s.Objects(testBucket); len(got) != len(want) {
				t.Errorf("%d objects after restart, want %d", len(got), len(want))
			}
		})
	}
}

// check reads an object, if it is there: one byte, repeated.
func check(t *testing.T, b *sdk.Bucket, key string) {
	t.Helper()
	r, err := b.GetObject(key)
	if err != nil {
		if !isServiceError(err) {
			t.Error(err)
		}
		return
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil || len(data) == 0 || bytes.Count(data, data[:1]) != len(data) {
		t.Errorf("%q is mixed or cut: %d bytes, %v", key, len(data), err)
	}
}

// TestCloseWaits closes a server while requests are held by faults.
func TestCloseWaits(t *testing.T) {
	s := start(t, Options{})
	b := sdkBucket(t, s)
	s.AddFault(Fault{Delay: time.Hour})
	done := make(chan error)
	go func() { done <- b.PutObject("o", strings.NewReader("x")) }()
	eventually(t, "the request is held", func() bool { return s.Requests()["PutObject"] == 1 })
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err == nil {
		t.Error("a held request succeeded")
	}
	if err := s.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}
