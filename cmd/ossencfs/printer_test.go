package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
)

// TestPrinter: a format is ours, its arguments are anybody's.
func TestPrinter(t *testing.T) {
	const hostile = "a\x1b[31m\n\u202eb"
	const spelled = `a\x1b[31m\n\u202eb`
	joined := errors.Join(errors.New("one\x1b"), errors.New("two"))
	var out bytes.Buffer
	p := newPrinter(&out)
	for _, c := range []struct {
		print func()
		want  string
	}{
		{func() { p.printf("x\t%s\n", hostile) }, "x\t" + spelled + "\n"},
		{func() { p.printf("%v %d %04o %6.2f|%-4s|%q\n", []string{hostile}, 7, 0o17, 1.5, "y", hostile) }, "[" + spelled + "] 7 0017   1.50|y   |" + fmt.Sprintf("%q", hostile) + "\n"},
		{func() { p.printf("%[2]s %[1]d\n", 1, target{"b", hostile}) }, "oss://b/" + spelled + " 1\n"},
		{func() { p.printf("%v\n", fmt.Errorf("open: %w", joined)) }, `open: one\x1b; two` + "\n"},
		{func() { p.show(sprintf("one %s\n  two\n", hostile) + "\x1b\n") }, "one " + spelled + "\n  two\n" + `\x1b` + "\n"},
		{func() { fmt.Fprintf(p.log(), "%s", "line \x1b\n") }, `line \x1b` + "\n"},
		{func() { fmt.Fprint(p.content(), hostile) }, hostile},
		{func() { writeFailure(p, &failure{err: joined, hints: []string{hostile}}) }, "ossencfs: error: one\\x1b; two\nossencfs: hint: " + spelled + "\n"},
		{func() {
			table := p.table()
			table.row("%s\t%s\n", "a", hostile)
			table.row("long\t%s\n", "b\tc")
			if err := table.flush(); err != nil {
				t.Error(err)
			}
		}, "a     " + spelled + "\nlong  b\\tc\n"},
		{p.clear, ""},
	} {
		out.Reset()
		if c.print(); out.String() != c.want {
			t.Errorf("got %q, want %q", out.String(), c.want)
		}
	}
	out.Reset()
	var back string
	if err := p.json(hostile+"\u009b\x7f<&", false); err != nil || json.Unmarshal(out.Bytes(), &back) != nil || back != hostile+"\u009b\x7f<&" {
		t.Errorf("JSON: got %q, %v", out.String(), err)
	}
	if bytes.ContainsAny(out.Bytes(), "\x1b\u202e\u009b\x7f") {
		t.Errorf("JSON: got %q", out.String())
	}
}
