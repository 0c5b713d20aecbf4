package object

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
)

func isSymlink(err error) bool  { return errors.Is(err, ErrSymlink) }
func isNotFound(err error) bool { return errors.Is(err, ErrNotFound) }

// TestWritesAreSentOnce checks that no write is repeated inside: converge has to know of each attempt.
func TestWritesAreSentOnce(t *testing.T) {
	s := emulated(t, emulator.Options{})
	con := connection(s)
	con.Retries = 3
	b := opened(t, Options{Connection: con})
	src := put(t, b, request(t, "src", []byte("x")))
	ctx := t.Context()
	for _, tt := range []struct {
		op    string
		write func() error
	}{
		{"PutObject", func() error { return errOf(b.Put(ctx, request(t, "f", []byte("x")))) }},
		{"CopyObject", func() error {
			return errOf(b.Copy(ctx, CopyRequest{Src: "src", Dst: "dst", Generation: src.Generation, Attr: src.Attr, Upload: NewID()}))
		}},
		{"PutObjectTagging", func() error {
			return b.SetAttr(ctx, TagRequest{Key: "src", Attr: src.Attr, Generation: src.Generation, Upload: NewID()})
		}},
		{"DeleteObject", func() error { return b.Delete(ctx, "dst") }},
		{"CompleteMultipartUpload", func() error { return errOf(b.Put(ctx, request(t, "big", make([]byte, 3<<20)))) }},
	} {
		for _, fault := range []emulator.Fault{{Status: 503, Code: "ServiceUnavailable"}, {Status: 500, Code: "InternalError"}, {LoseResponse: true}} {
			s.ResetRequests()
			fault.Operation = tt.op
			s.AddFault(fault)
			err := tt.write()
			s.ClearFaults()
			if n := s.Requests()[tt.op]; !Retryable(err) || n != 1 {
				t.Errorf("%s, %+v: %d requests, error %v", tt.op, fault, n, err)
			}
		}
	}
}

// TestNoEffect checks which failures promise that the object is as it was.
func TestNoEffect(t *testing.T) {
	s := emulated(t, emulator.Options{})
	kms := masterKMS(t, s)
	rsa := opened(t, Options{Connection: connection(s), Prefix: "rsa"})
	b := opened(t, Options{Connection: connection(s), Prefix: "kms", Keyring: keys.NewKeyring(kms)})
	big := make([]byte, 3<<20)
	for _, tt := range []struct {
		name  string
		fault emulator.Fault
		run   func() error
		want  bool
	}{
		{"key cannot be wrapped", emulator.Fault{Operation: "Encrypt", Status: 400, Code: "Forbidden.KeyNotFound"},
			func() error { return errOf(b.Put(t.Context(), request(t, "f", nil))) }, true},
		{"answer of a put lost", emulator.Fault{Operation: "PutObject", LoseResponse: true},
			func() error { return errOf(rsa.Put(t.Context(), request(t, "f", nil))) }, false},
		{"put fails with 500", emulator.Fault{Operation: "PutObject", Status: 500, Code: "InternalError"},
			func() error { return errOf(rsa.Put(t.Context(), request(t, "f", nil))) }, false},
		{"answer of a begin lost", emulator.Fault{Operation: "InitiateMultipartUpload", LoseResponse: true},
			func() error { return errOf(rsa.Put(t.Context(), request(t, "f", big))) }, true},
		{"answer of a part lost", emulator.Fault{Operation: "UploadPart", LoseResponse: true},
			func() error { return errOf(rsa.Put(t.Context(), request(t, "f", big))) }, true},
		{"answer of a complete lost", emulator.Fault{Operation: "CompleteMultipartUpload", LoseResponse: true},
			func() error { return errOf(rsa.Put(t.Context(), request(t, "f", big))) }, false},
		{"tags cannot be read", emulator.Fault{Operation: "GetObjectTagging", LoseResponse: true},
			func() error { return rsa.SetAttr(t.Context(), TagRequest{Key: "f", Attr: Attr{Mode: ModeRegular}}) }, true},
	} {
		s.AddFault(tt.fault)
		err := tt.run()
		s.ClearFaults()
		if err == nil || NoEffect(err) != tt.want {
			t.Errorf("%s: NoEffect is %v, want %v: %v", tt.name, NoEffect(err), tt.want, err)
		}
	}
	down := fmt.Errorf("put: %w", keys.ErrKMSUnreachable)
	if !Retryable(down) || Retryable(errors.Join(down, context.Canceled)) || Retryable(keys.ErrKMSDenied) {
		t.Error("an unreachable KMS, and nothing else of KMS, is worth another try")
	}
}

// saving is a request whose multipart state is kept.
type saving struct {
	PutRequest
	saves int
}

func newSaving(t *testing.T, key string, text []byte) *saving {
	s := &saving{PutRequest: request(t, key, text)}
	s.SaveMultipart = func(p []byte) error {
		s.Multipart, s.saves = p, s.saves+1
		return nil
	}
	return s
}

// TestMultipartResumes checks that a later attempt sends only the parts that are missing.
func TestMultipartResumes(t *testing.T) {
	s := emulated(t, emulator.Options{})
	con := connection(s)
	var sent atomic.Int64 // counted here: the server may still see one that was cut off before
	con.OnRequest = func(a Attempt) {
		if a.Op == "UploadPart" {
			sent.Add(1)
		}
	}
	b := opened(t, Options{Connection: con})
	text := random(7<<20 + 1)
	r := newSaving(t, "big", text)
	s.AddFault(emulator.Fault{Operation: "UploadPart", Skip: 5, Status: 500, Code: "InternalError"})
	if _, err := b.Put(t.Context(), r.PutRequest); !Retryable(err) {
		t.Fatalf("got %v", err)
	}
	s.ClearFaults()
	state, err := parsePartState(r.Multipart)
	if err != nil {
		t.Fatal(err)
	}
	done, err := b.oss.ListParts(t.Context(), "big", state.UploadID)
	if err != nil || len(done) < 2 { // of five parts that were let through at most three were cut off
		t.Fatalf("%d parts done, %v", len(done), err)
	}
	s.ResetRequests()
	sent.Store(0)
	told := make(chan int64, 1000)
	r.Progress = func(n int64) { told <- n }
	put(t, b, r.PutRequest)
	close(told)
	sum := int64(0)
	for n := range told {
		sum += n
	}
	parts := int(sent.Load())
	if n := s.Requests(); parts > 8-len(done) || parts < 1 || n["InitiateMultipartUpload"] != 0 || n["ListParts"] != 1 || sum != int64(len(text)) || r.saves != 1 {
		t.Errorf("%d parts sent, requests %v, %d bytes told, %d saves", parts, n, sum, r.saves)
	}
	wantText(t, b, "big", string(text))
}

// TestMultipartAnswerLost checks that a repeated Put finds out that its object is complete.
func TestMultipartAnswerLost(t *testing.T) {
	s := emulated(t, emulator.Options{})
	b := opened(t, Options{Connection: connection(s)})
	r := newSaving(t, "big", random(2<<20))
	r.IfAbsent = true
	s.AddFault(emulator.Fault{Operation: "CompleteMultipartUpload", LoseResponse: true, Count: 1})
	if _, err := b.Put(t.Context(), r.PutRequest); !Retryable(err) {
		t.Fatalf("got %v", err)
	}
	s.ResetRequests()
	info := put(t, b, r.PutRequest)
	if n := s.Requests(); n["UploadPart"]+n["InitiateMultipartUpload"]+n["CompleteMultipartUpload"] != 0 || info.ETag != head(t, b, "big").ETag {
		t.Errorf("requests %v, info %+v", n, info)
	}
}

// TestMultipartStartsOver checks what a saved state must not be used for.
func TestMultipartStartsOver(t *testing.T) {
	s := emulated(t, emulator.Options{})
	b := opened(t, Options{Connection: connection(s)})
	text := random(3 << 20)
	for name, change := range map[string]func(*saving){
		"aborted upload": func(r *saving) {
			if err := b.AbortMultipart(t.Context(), r.Multipart); err != nil {
				t.Fatal(err)
			}
		},
		"another request":    func(r *saving) { r.Upload = NewID() },
		"another generation": func(r *saving) { q := request(t, r.Key, text); r.Sealed, r.Body = q.Sealed, q.Body },
		"another key":        func(r *saving) { r.Key += "2" },
		"another condition":  func(r *saving) { r.IfAbsent = true },
		"damaged state":      func(r *saving) { r.Multipart = r.Multipart[1:] },
	} {
		r := newSaving(t, name, text)
		s.AddFault(emulator.Fault{Operation: "CompleteMultipartUpload", Status: 500, Code: "InternalError", Count: 1})
		if _, err := b.Put(t.Context(), r.PutRequest); !Retryable(err) {
			t.Fatalf("%s: got %v", name, err)
		}
		change(r)
		s.ResetRequests()
		info := put(t, b, r.PutRequest)
		if n := s.Requests(); n["UploadPart"] != 3 || n["InitiateMultipartUpload"] != 1 {
			t.Errorf("%s: requests %v", name, n)
		}
		if got := head(t, b, r.Key); got.Upload != r.Upload || got.Generation != info.Generation {
			t.Errorf("%s: head %+v", name, got)
		}
		wantText(t, b, r.Key, string(text))
	}
}

// TestFailedPartsKeepTheOldObject checks that whole files leave neither objects nor parts behind when they fail.
func TestFailedPartsKeepTheOldObject(t *testing.T) {
	s := emulated(t, emulator.Options{})
	b := opened(t, Options{Connection: connection(s)})
	put(t, b, request(t, "f", []byte("old")))
	s.AddFault(emulator.Fault{Operation: "UploadPart", Skip: 2, Status: 403, Code: "AccessDenied"})
	_, err := b.PutFile(t.Context(), FileRequest{Key: "f", Source: bytes.NewReader(random(9 << 20)), Size: 9 << 20})
	if !errors.Is(err, ErrDenied) {
		t.Errorf("got %v", err)
	}
	wantText(t, b, "f", "old")
	if n := s.Requests()["AbortMultipartUpload"]; n != 1 {
		t.Errorf("%d uploads aborted, want 1", n)
	}
}

// TestGetFileTampered checks that damaged bytes are noticed, on the way and in the bucket, in one range and in many.
func TestGetFileTampered(t *testing.T) {
	s := emulated(t, emulator.Options{})
	b := opened(t, Options{Connection: connection(s)})
	for _, size := range []int{1000, fetchChunk*2 + 5} {
		if _, err := b.PutFile(t.Context(), FileRequest{Key: "f", Source: bytes.NewReader(random(size)), Size: int64(size)}); err != nil {
			t.Fatal(err)
		}
		s.AddFault(emulator.Fault{Operation: "GetObject", CorruptBody: true})
		var out bytes.Buffer
		if _, err := b.GetFile(t.Context(), "f", &out, nil); !errors.Is(err, ErrTampered) && !errors.Is(err, ErrBadDigest) {
			t.Errorf("%d bytes, corrupt on the way: got %v", size, err)
		}
		s.ClearFaults()
	}
	s.AddFault(emulator.Fault{Operation: "GetObject", Count: 3, ResetAfterBytes: 5000})
	var out bytes.Buffer
	if _, err := b.GetFile(t.Context(), "f", &out, nil); err != nil || out.Len() != fetchChunk*2+5 {
		t.Errorf("connection breaks three times: %d bytes, %v", out.Len(), err)
	}
}

// TestUncountedTags checks that attributes in tags are found on a service that does not tell the number of tags.
func TestUncountedTags(t *testing.T) {
	s := emulated(t, emulator.Options{TaggingCount: emulator.Refuse})
	b := opened(t, Options{Connection: connection(s)})
	if err := b.VerifyKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	info := put(t, b, request(t, "f", nil))
	change := TagRequest{Key: "f", Attr: Attr{Mode: ModeRegular | 0o600}, Generation: info.Generation, Upload: NewID()}
	if err := b.SetAttr(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	if got := head(t, b, "f"); got.Upload != change.Upload || got.Attr.Mode != change.Attr.Mode || got.TagCount != 1 {
		t.Errorf("got %+v", got)
	}
}

// TestLargestPut stores bodies around the largest that the bucket takes in one request: none is too large, and parts divide those above.
func TestLargestPut(t *testing.T) {
	const largest = 1 << 20
	s := emulated(t, emulator.Options{MaxPutSize: largest, MaxPartSize: largest, MaxParts: 3})
	b := opened(t, Options{Connection: connection(s), PartSize: largest, MultipartThreshold: largest})
	for _, tt := range []struct{ size, parts int }{
		{largest - 1, 0}, {largest, 0}, {largest + 1, 2}, {2 * largest, 2}, {2*largest + 1, 3}, {3 * largest, 3},
	} {
		text := random(tt.size)
		before := s.Requests()["UploadPart"]
		put(t, b, request(t, "f", text))
		if got := s.Requests()["UploadPart"] - before; got != tt.parts {
			t.Errorf("%d bytes: got %d parts, want %d", tt.size, got, tt.parts)
		}
		wantText(t, b, "f", string(text))
	}
	if _, err := b.Put(t.Context(), request(t, "f", random(3*largest+1))); err == nil {
		t.Error("a part too many was taken")
	}
	if got, err := readText(t, b, "f"); err != nil || len(got) != 3*largest {
		t.Errorf("after a refused upload: %d bytes, %v, want the object before", len(got), err)
	}
}

// TestRequestCounts checks what the calls cost.
func TestRequestCounts(t *testing.T) {
	s := emulated(t, emulator.Options{})
	b := opened(t, Options{Connection: connection(s)})
	ctx := t.Context()
	info := put(t, b, request(t, "f", []byte("x")))
	for _, tt := range []struct {
		name string
		run  func() error
		want map[string]int
	}{
		{"put", func() error { return errOf(b.Put(ctx, request(t, "g", []byte("x")))) }, map[string]int{"PutObject": 1}},
		{"head", func() error { return errOf(b.Head(ctx, "f")) }, map[string]int{"HeadObject": 1}},
		{"get", func() error { return errOf(readText(t, b, "f")) }, map[string]int{"GetObject": 1}},
		{"small file", func() error { return errOf(b.GetFile(ctx, "f", &bytes.Buffer{}, nil)) }, map[string]int{"GetObject": 1}},
		{"copy", func() error {
			return errOf(b.Copy(ctx, CopyRequest{Src: "f", Dst: "h", Attr: info.Attr, Generation: info.Generation, Upload: NewID()}))
		}, map[string]int{"CopyObject": 1, "HeadObject": 1}},
		{"tag", func() error {
			return b.SetAttr(ctx, TagRequest{Key: "f", Attr: info.Attr, Generation: info.Generation, Upload: NewID()})
		}, map[string]int{"PutObjectTagging": 1, "GetObjectTagging": 1}},
		{"copy with tags", func() error {
			return errOf(b.Copy(ctx, CopyRequest{Src: "f", Dst: "i", Attr: info.Attr, Generation: info.Generation, Upload: NewID()}))
		}, map[string]int{"CopyObject": 1, "HeadObject": 1, "GetObjectTagging": 1}},
		{"head with tags", func() error { return errOf(b.Head(ctx, "f")) }, map[string]int{"HeadObject": 1, "GetObjectTagging": 1}},
	} {
		s.ResetRequests()
		err := tt.run()
		got := s.Requests()
		same := len(got) == len(tt.want)
		for op, n := range tt.want {
			same = same && got[op] == n
		}
		if err != nil || !same {
			t.Errorf("%s: requests %v, want %v, error %v", tt.name, got, tt.want, err)
		}
	}
}

// readText is read with its error last.
func readText(t *testing.T, b *Bucket, key string) (string, error) {
	text, _, err := read(t, b, GetRequest{Key: key})
	return text, err
}

// A mount is not given up because one answer is lost or the service is busy for a moment; a refusal that will not pass is told at once.
func TestCanaryAfterPassingFailures(t *testing.T) {
	s := emulated(t, emulator.Options{})
	b := unopened(t, Options{Connection: connection(s)})
	s.AddFault(emulator.Fault{Operation: "PutObject", Count: 1, Status: 503, Code: "ServiceUnavailable"})
	s.AddFault(emulator.Fault{Operation: "PutObject", Skip: 1, Count: 1, LoseResponse: true})
	if err := b.VerifyKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := s.Requests()["PutObject"]; n < 2 {
		t.Errorf("%d attempts: the faults did not strike", n)
	}
	refused := emulated(t, emulator.Options{})
	refused.AddFault(emulator.Fault{Operation: "PutObject", Status: 403, Code: "AccessDenied"})
	b = unopened(t, Options{Connection: connection(refused)})
	if err := b.VerifyKey(t.Context()); !errors.Is(err, ErrDenied) || refused.Requests()["PutObject"] != 1 {
		t.Errorf("got %v after %d attempts, want one refusal", err, refused.Requests()["PutObject"])
	}
}
