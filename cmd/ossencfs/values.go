package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// text is the value of an option, or its default.
func (v values) text(options []option, name string) string {
	if s, ok := v[name]; ok && len(s.list) > 0 {
		return s.list[len(s.list)-1]
	}
	if o := findOption(options, name); o != nil {
		return o.def
	}
	return ""
}

// reader reads typed values and keeps the first error, so that callers check once.
type reader struct {
	values  values
	options []option
	err     error
}

// read begins to read the settings of a call.
func (c *call) read() *reader { return &reader{values: c.values, options: c.options} }

// text is the value as it is.
func (r *reader) text(name string) string { return r.values.text(r.options, name) }

// list is all values of a repeatable option.
func (r *reader) list(name string) []string { return r.values[name].list }

// is reports whether a switch is on.
func (r *reader) is(name string) bool {
	s := r.text(name)
	if s == "" {
		return false
	}
	on, err := strconv.ParseBool(s)
	if err != nil {
		r.bad(name, "want true or false")
	}
	return on
}

// size is a number of bytes; 0 when the option is not set and has no default.
func (r *reader) size(name string) int64 {
	s := r.text(name)
	if s == "" {
		return 0
	}
	n, err := parseSize(s)
	if err != nil {
		r.bad(name, err.Error())
	}
	return n
}

// duration is a span of time.
func (r *reader) duration(name string) time.Duration {
	d, err := time.ParseDuration(r.text(name))
	if err != nil || d < 0 {
		r.bad(name, "want a duration as 500ms, 2s or 1m30s")
	}
	return d
}

// number is a whole number within limits; def when the option is not set.
func (r *reader) number(name string, base int, def, lowest, highest int64) int64 {
	s := r.text(name)
	if s == "" {
		return def
	}
	n, err := strconv.ParseInt(s, base, 64)
	if err != nil || n < lowest || n > highest {
		r.bad(name, fmt.Sprintf("want a number from %s to %s", strconv.FormatInt(lowest, base), strconv.FormatInt(highest, base)))
	}
	return n
}

// choice is one of the words in the option's placeholder.
func (r *reader) choice(name string) string {
	s := r.text(name)
	words := strings.Split(findOption(r.options, name).arg, "|")
	for _, w := range words {
		if s == w {
			return s
		}
	}
	r.bad(name, "want "+strings.Join(words[:len(words)-1], ", ")+" or "+words[len(words)-1])
	return s
}

// bad records that a value cannot be used.
func (r *reader) bad(name, why string) {
	if r.err != nil {
		return
	}
	r.err = usageError(fmt.Errorf("%s: %q cannot be used: %s", r.from(name), r.text(name), why))
}

// from is where an option was set.
func (r *reader) from(name string) string {
	if from := r.values[name].from; from != "" {
		return from
	}
	return "--" + name
}

// sizeUnits are the factors of sizes; a bare letter is binary, as for dd and rclone.
var sizeUnits = map[string]int64{
	"": 1, "b": 1,
	"k": 1 << 10, "kib": 1 << 10, "kb": 1e3,
	"m": 1 << 20, "mib": 1 << 20, "mb": 1e6,
	"g": 1 << 30, "gib": 1 << 30, "gb": 1e9,
	"t": 1 << 40, "tib": 1 << 40, "tb": 1e12,
}

var errSize = errors.New("want a size as 100000, 64MiB or 10GiB")

// parseSize reads a positive number of bytes with an optional unit.
func parseSize(s string) (int64, error) {
	digits := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	unit, ok := sizeUnits[strings.ToLower(strings.TrimSpace(s[len(digits):]))]
	if !ok || strings.Trim(digits, "0123456789.") != "" {
		return 0, errSize
	}
	if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
		if n <= 0 || n > math.MaxInt64/unit {
			return 0, errSize
		}
		return n * unit, nil
	}
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil || !(f > 0) || f > 1e18/float64(unit) {
		return 0, errSize
	}
	return int64(f * float64(unit)), nil
}

// formatSize shows a number of bytes to people.
func formatSize(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), 0
	for f >= 1024 && unit < 5 {
		f, unit = f/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", f, " KMGTP"[unit])
}

// files is a number of files in words.
func files(n int64) string {
	if n == 1 {
		return "1 file"
	}
	return fmt.Sprintf("%d files", n)
}

// readLimited reads a small file whole, and fails when it is not small.
func readLimited(r io.Reader, limit int64) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("longer than %s", formatSize(limit))
	}
	return raw, nil
}
