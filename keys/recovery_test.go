package keys

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestRecoveryCodeIsReadAsTyped(t *testing.T) {
	raw := []byte("0123456789abcdef")
	code := formatRecoveryCode(raw)
	if want := "60RK4-CSM6M-V3EE1-SC5H6-6S35C-T7WQP"; code != want {
		t.Fatalf("got %s, want %s", code, want)
	}
	for name, typed := range map[string]string{
		"as shown":       code,
		"small letters":  strings.ToLower(code),
		"no hyphens":     strings.ReplaceAll(code, "-", ""),
		"blanks":         " " + strings.ReplaceAll(code, "-", " \t") + "\r\n",
		"letter o for 0": strings.ReplaceAll(code, "0", "o"),
		"letter l for 1": strings.ReplaceAll(code, "1", "l"),
		"letter I for 1": strings.ReplaceAll(code, "1", "I"),
	} {
		if got, err := parseRecoveryCode(typed); err != nil || !bytes.Equal(got, raw) {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, raw)
		}
	}
	for name, typed := range map[string]string{
		"nothing":    "",
		"short":      code[:len(code)-1],
		"long":       code + "0",
		"the sign U": "U" + code[1:],
		"umlaut":     "ö" + code[1:],
		"swapped":    code[1:2] + code[:1] + code[2:],
	} {
		if got, err := parseRecoveryCode(typed); !errors.Is(err, ErrRecoveryCode) || got != nil {
			t.Errorf("%s: got %q, %v, want ErrRecoveryCode", name, got, err)
		}
	}
}

// TestRecoveryTyposAreNoticed changes each sign into each other one: none of them costs Argon2id.
func TestRecoveryTyposAreNoticed(t *testing.T) {
	code := formatRecoveryCode([]byte("0123456789abcdef"))
	for i := range code {
		if code[i] == '-' {
			continue
		}
		for _, c := range "0123456789ABCDEFGHJKMNPQRSTVWXYZ" {
			typed := code[:i] + string(c) + code[i+1:]
			if _, err := parseRecoveryCode(typed); typed != code && !errors.Is(err, ErrRecoveryCode) {
				t.Errorf("%s: got %v, want ErrRecoveryCode", typed, err)
			}
		}
	}
}

func TestRecoverySlots(t *testing.T) {
	cheapRecovery(t)
	v := newVolume(t)
	r := NewRecord(v, here)
	var codes []string
	for range maxRecovery {
		code, err := r.AddRecovery(v)
		if err != nil {
			t.Fatal(err)
		}
		codes = append(codes, code)
	}
	if _, err := r.AddRecovery(v); err == nil {
		t.Error("more recovery codes than trying costs")
	}
	r = mustParse(t, mustMarshal(t, r, v))
	for i, code := range codes {
		if got, err := r.OpenRecovery(code); err != nil || got.secret != v.secret {
			t.Errorf("code %d: got %v, %v", i, got, err)
		}
	}
	if _, err := r.OpenRecovery(formatRecoveryCode(make([]byte, codeSize))); !errors.Is(err, ErrRecoveryCode) {
		t.Errorf("another code: got %v, want ErrRecoveryCode", err)
	}
	if _, err := r.OpenRecovery("none"); !errors.Is(err, ErrRecoveryCode) {
		t.Errorf("no code: got %v, want ErrRecoveryCode", err)
	}
	if _, err := recordFor(t, v, loadRSA1(t)).OpenRecovery(codes[0]); !errors.Is(err, ErrNoSlot) {
		t.Errorf("no recovery slot: got %v, want ErrNoSlot", err)
	}
	if _, err := r.AddRecovery(newVolume(t)); !errors.Is(err, ErrForged) {
		t.Errorf("other volume's key: got %v, want ErrForged", err)
	}
}

// TestHostileCostIsRefused: what a slot asks of memory and time is checked before it is paid, also in a record that
// was not parsed.
func TestHostileCostIsRefused(t *testing.T) {
	good := Slot{Type: slotRecovery, Salt: make([]byte, saltSize), Wrapped: make([]byte, volumeSecretSize+gcmTag)}
	good.Key = recoveryKey(good.Salt)
	good.Time, good.Memory, good.Threads = leastCost.time, leastCost.memory, leastCost.threads
	for name, change := range map[string]func(*Slot){
		"no passes":        func(s *Slot) { s.Time = 0 },
		"many passes":      func(s *Slot) { s.Time = 5 },
		"endless passes":   func(s *Slot) { s.Time = 1<<32 - 1 },
		"little memory":    func(s *Slot) { s.Memory = 8<<10 - 1 },
		"much memory":      func(s *Slot) { s.Memory = 512<<10 + 1 },
		"all memory":       func(s *Slot) { s.Memory = 1<<32 - 1 },
		"no threads":       func(s *Slot) { s.Threads = 0 },
		"many threads":     func(s *Slot) { s.Threads = 9 },
		"threads of a u8":  func(s *Slot) { s.Threads = 257 },
		"everything at 0":  func(s *Slot) { s.Time, s.Memory, s.Threads = 0, 0, 0 },
		"everything large": func(s *Slot) { s.Time, s.Memory, s.Threads = 1<<32-1, 1<<32-1, 1<<32-1 },
	} {
		s := good
		change(&s)
		if err := s.check(); err == nil {
			t.Errorf("%s: a record with it is read", name)
		}
		r := &Record{Slots: []Slot{s}}
		if _, err := r.OpenRecovery(formatRecoveryCode(make([]byte, codeSize))); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: got %v, want ErrRecord", name, err)
		}
	}
	if err := good.check(); err != nil {
		t.Errorf("least cost: %v", err)
	}
	if s := (Slot{Time: recoveryCost.time, Memory: recoveryCost.memory, Threads: recoveryCost.threads}); s.checkCost() != nil ||
		recoveryCost != (cost{3, 256 << 10, 4}) {
		t.Errorf("new slots cost %+v", recoveryCost)
	}
}

// FuzzRecoveryCode feeds what people may type.
func FuzzRecoveryCode(f *testing.F) {
	code := formatRecoveryCode([]byte("0123456789abcdef"))
	for _, seed := range []string{"", code, strings.ToLower(code), code + "-", code[1:], strings.Repeat("0", 30), "öOIL", code + code} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		raw, err := parseRecoveryCode(typed)
		if err != nil {
			if !errors.Is(err, ErrRecoveryCode) || raw != nil {
				t.Fatalf("got %x, %v", raw, err)
			}
			return
		}
		plain := strings.NewReplacer("-", "", " ", "", "\t", "", "\r", "", "\n", "").Replace(strings.ToUpper(typed))
		plain = strings.NewReplacer("O", "0", "I", "1", "L", "1").Replace(plain)
		if shown := formatRecoveryCode(raw); strings.ReplaceAll(shown, "-", "") != plain {
			t.Errorf("%q is read as %q", typed, shown)
		}
	})
}
