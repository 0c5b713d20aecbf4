package cache_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// stranger owns nothing, is in no group and has no rights.
type stranger struct{}

func (stranger) MayChange(uint32) bool                     { return false }
func (stranger) Owner(uint32) (is, known bool)             { return false, true }
func (stranger) InGroup(uint32) bool                       { return false }
func (stranger) KeepsSetID() bool                          { return false }
func (stranger) Is(uint32) bool                            { return false }
func (stranger) Gives() (may, known bool)                  { return false, true }
func (stranger) May(*cache.Stat, uint32) (may, known bool) { return false, true }

// TestCallsDropSetID has every call that changes content made by a stranger, and by somebody who keeps the bits. When the call returns,
// the kernel has forgotten the mode.
func TestCallsDropSetID(t *testing.T) {
	env := testenv.New(t, testenv.Options{NoMount: true})
	c := env.Cache
	for _, tt := range []struct {
		name string
		call func(ctx context.Context, ino cache.Ino, by cache.Caller) error
	}{
		{"write", func(ctx context.Context, ino cache.Ino, by cache.Caller) error {
			return c.Write(ctx, ino, 3, []byte("x"), by)
		}},
		{"allocate", func(ctx context.Context, ino cache.Ino, by cache.Caller) error {
			return c.Fallocate(ctx, ino, 0, 9, 0, by)
		}},
		{"punch hole", func(ctx context.Context, ino cache.Ino, by cache.Caller) error {
			return c.Fallocate(ctx, ino, 0, 9, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, by)
		}},
		{"zero range", func(ctx context.Context, ino cache.Ino, by cache.Caller) error {
			return c.Fallocate(ctx, ino, 0, 9, unix.FALLOC_FL_ZERO_RANGE, by)
		}},
		{"copy", func(ctx context.Context, ino cache.Ino, by cache.Caller) error {
			_, err := c.CopyRange(ctx, ino, 0, ino, 4, 4, by)
			return err
		}},
		{"truncate", func(ctx context.Context, ino cache.Ino, by cache.Caller) error {
			_, err := c.SetAttr(ctx, ino, cache.Change{Set: cache.SetSize, Size: 2, By: by})
			return err
		}},
		{"open, truncate", func(ctx context.Context, ino cache.Ino, by cache.Caller) error {
			return errors.Join(c.Open(ctx, ino, cache.OpenMode{Write: true, Truncate: true, By: by}), c.Release(ctx, ino, true))
		}},
	} {
		for want, by := range map[uint32]cache.Caller{0o6767: nil, 0o767: stranger{}} {
			k := &kernel{cache: c}
			c.SetKernel(k)
			st, err := c.Create(t.Context(), cache.Root, "f", cache.New{Mode: 0o6767}, cache.OpenMode{Write: true, Exclusive: true})
			if err == nil {
				err = errors.Join(c.Write(t.Context(), st.Ino, 0, make([]byte, 16), nil), tt.call(t.Context(), st.Ino, by))
			}
			if err != nil {
				t.Fatal(tt.name, err)
			}
			if st, err = c.GetAttr(t.Context(), st.Ino); err != nil || st.Mode != unix.S_IFREG|want {
				t.Errorf("%s by %T: got %06o, %v, want %04o", tt.name, by, st.Mode, err, want)
			}
			if told := slices.Contains(k.forgot, st.Ino); told != (by != nil) {
				t.Errorf("%s by %T: the kernel was told: %v", tt.name, by, told)
			}
			if err := errors.Join(c.Unlink(t.Context(), cache.Root, "f"), c.Release(t.Context(), st.Ino, true)); err != nil {
				t.Fatal(err)
			}
		}
	}
}
