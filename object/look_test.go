package object

import (
	"errors"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
)

// TestLookThatFailsIsTold: a mount that cannot learn of new volume keys says so.
func TestLookThatFailsIsTold(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer emulator.Fault
		want   error // of the notice
	}{
		{"denied", emulator.Fault{Status: 403, Code: "AccessDenied"}, ErrDenied},
		{"nonsense", emulator.Fault{Status: 400, Code: "InvalidArgument"}, ErrInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := emulated(t, emulator.Options{})
			var told []error
			b := opened(t, Options{Connection: connection(s), Notice: func(n Notice) {
				if n.Kind == NoticeRecord {
					told = append(told, n.Err)
				}
			}})
			tc.answer.Operation = "ListObjectsV2"
			s.AddFault(tc.answer)
			b.volume.setLooked(b.volume.lastLook().Add(-lookEvery))
			if _, err := b.PutFile(t.Context(), FileRequest{Key: "f", Source: strings.NewReader("words"), Size: 5, Attr: Attr{Mode: ModeRegular | 0o600}}); err != nil {
				t.Fatal(err)
			}
			if len(told) != 1 || !errors.Is(told[0], tc.want) {
				t.Errorf("told %v, want %v", told, tc.want)
			}
		})
	}
}
