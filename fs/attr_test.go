package fs

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
)

func TestTimes(t *testing.T) {
	for _, ns := range []int64{0, 1, 999_999_999, 1_000_000_000, 1_700_000_000_123_456_789, -1, -1_000_000_000, -1_500_000_000} {
		sec, nsec := splitTime(ns)
		if nsec >= uint32(time.Second) {
			t.Errorf("%d: got %d nanoseconds, want less than a second", ns, nsec)
		}
		if got := joinTime(sec, nsec); got != ns {
			t.Errorf("got %d, want %d", got, ns)
		}
	}
	const first, last = -9223372036, 9223372036 // seconds, of the years 1677 and 2262
	for _, tt := range []struct {
		sec  int64
		nsec uint32
		want int64
	}{
		{last - 1, 999_999_999, (last-1)*1e9 + 999_999_999}, {last, 0, last * 1e9}, {last, 999_999_999, last * 1e9}, {last + 1, 5, last * 1e9}, {math.MaxInt64, 5, last * 1e9},
		{first, 7, first*1e9 + 7}, {first - 1, 7, first * 1e9}, {math.MinInt64, 7, first * 1e9},
	} {
		if got := joinTime(uint64(tt.sec), tt.nsec); got != tt.want {
			t.Errorf("%d.%09d: got %d, want %d", tt.sec, tt.nsec, got, tt.want)
		}
	}
}

func TestErrno(t *testing.T) {
	for _, c := range []struct {
		err   error
		want  unix.Errno
		known bool
	}{
		{fmt.Errorf("create: %w", cache.ErrExist), unix.EEXIST, true},
		{cache.ErrNoSpace, unix.ENOSPC, true},
		{fmt.Errorf("wait: %w", context.Canceled), unix.EINTR, true},
		{context.DeadlineExceeded, unix.ETIMEDOUT, true},
		{errors.New("disk on fire"), unix.EIO, false},
	} {
		got, _, known := errnoOf(c.err)
		if got != c.want || known != c.known {
			t.Errorf("%v: got %v, %v, want %v, %v", c.err, got, known, c.want, c.known)
		}
	}
}

func TestChange(t *testing.T) {
	in := &fuse.SetAttrIn{}
	in.Valid = fuse.FATTR_MODE | fuse.FATTR_SIZE | fuse.FATTR_MTIME | fuse.FATTR_KILL_SUIDGID
	in.Mode, in.Size, in.Mtime, in.Mtimensec = unix.S_IFREG|0o4755, 17, 5, 6
	got := change(in)
	want := cache.Change{Set: cache.SetMode | cache.SetSize | cache.SetMtime, Mode: 0o4755, Size: 17, Mtime: 5_000_000_006,
		By: &caller{unprivileged: true}, Asked: &caller{}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for name, tt := range map[string]struct {
		valid uint32
		want  cache.Caller
	}{
		"truncate":            {fuse.FATTR_SIZE, nil},
		"truncate, privilege": {fuse.FATTR_SIZE | fuse.FATTR_KILL_SUIDGID, &caller{unprivileged: true}},
		"chown":               {fuse.FATTR_UID | fuse.FATTR_KILL_SUIDGID, &caller{}},
		"chgrp":               {fuse.FATTR_GID | fuse.FATTR_CTIME | fuse.FATTR_KILL_SUIDGID, &caller{}},
		"chown of nothing":    {fuse.FATTR_CTIME, &caller{}},
		"chmod":               {fuse.FATTR_MODE, nil},
		"utimensat":           {fuse.FATTR_MTIME | fuse.FATTR_CTIME, nil},
	} {
		in.Valid = tt.valid
		if got := change(in).By; !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, tt.want)
		}
	}
	const written = fuse.FATTR_MTIME | fuse.FATTR_CTIME // with --writeback
	for name, tt := range map[string]struct {
		valid uint32
		asked cache.Caller
		touch bool
	}{
		"truncate":               {fuse.FATTR_SIZE, &caller{}, false},
		"ftruncate":              {fuse.FATTR_SIZE | fuse.FATTR_FH, nil, false},
		"touch":                  {fuse.FATTR_ATIME | fuse.FATTR_ATIME_NOW | fuse.FATTR_MTIME | fuse.FATTR_MTIME_NOW, &caller{}, true},
		"touch, writeback":       {fuse.FATTR_ATIME | fuse.FATTR_ATIME_NOW | written, &caller{}, true},
		"utimes":                 {fuse.FATTR_ATIME | fuse.FATTR_MTIME, &caller{}, false},
		"utimes, writeback":      {fuse.FATTR_ATIME | written, &caller{}, false},
		"atime now":              {fuse.FATTR_ATIME | fuse.FATTR_ATIME_NOW | fuse.FATTR_MTIME, &caller{}, false},
		"times of an open file":  {written | fuse.FATTR_FH, nil, false},
		"times after setxattr":   {written, nil, false},
		"nothing but who it was": {fuse.FATTR_CTIME, nil, false},
	} {
		in.Valid = tt.valid
		if got := change(in); !reflect.DeepEqual(got.Asked, tt.asked) || got.Touch != tt.touch {
			t.Errorf("%s: asked by %v, touch %t, want %v, %t", name, got.Asked, got.Touch, tt.asked, tt.touch)
		}
	}
	before := time.Now().UnixNano()
	in.Valid = fuse.FATTR_ATIME | fuse.FATTR_ATIME_NOW
	if got := change(in); got.Atime < before {
		t.Errorf("got atime %d, want now", got.Atime)
	}
}

func TestRequestCancel(t *testing.T) {
	cancel := make(chan struct{})
	r := newRequest(cancel)
	if r.Err() != nil {
		t.Error("a new request is cancelled")
	}
	done := r.Done()
	close(cancel)
	<-done
	if !errors.Is(r.Err(), context.Canceled) {
		t.Errorf("got %v, want Canceled", r.Err())
	}
	r.finish()
	quiet := newRequest(make(chan struct{}))
	quiet.Done()
	quiet.finish() // must not hang
}

func TestXattrNames(t *testing.T) {
	for name, want := range map[string]bool{
		"user.a": true, "trusted.x": true, "user.": false, "security.selinux": false, "system.posix_acl_access": false, "": false,
	} {
		if got := xattrAllowed(name); got != want {
			t.Errorf("%q: got %v, want %v", name, got, want)
		}
	}
	if n, st := fillBuffer(nil, []byte("abc")); n != 3 || st != fuse.ERANGE {
		t.Errorf("got %d, %v, want 3 and ERANGE", n, st)
	}
}
