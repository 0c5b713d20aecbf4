package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"golang.org/x/term"

	"github.com/ossencfs/ossencfs/terminal"
)

// printer is the one way to standard output and standard error. It is no io.Writer on purpose: what it prints is a format of ours with
// arguments, and the arguments, which may come from a bucket, a server or a file, cannot speak to the terminal or begin lines of their own.
type printer struct{ out io.Writer }

func newPrinter(out io.Writer) *printer { return &printer{out} }

// printf prints a text of ours with arguments from anywhere.
func (p *printer) printf(format string, args ...any) {
	_ = p.tryPrintf(format, args...) // nobody is left to be told
}

// tryPrintf is printf for what must not be lost.
func (p *printer) tryPrintf(format string, args ...any) error {
	_, err := io.WriteString(p.out, sprintf(format, args...))
	return err
}

// show prints a text of several lines that was put together by sprintf, or is all ours.
func (p *printer) show(text string) {
	_, _ = io.WriteString(p.out, terminal.Lines(text)) // as for printf
}

// json prints a value for programs, on a line or indented.
func (p *printer) json(v any, indent bool) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	if indent {
		enc.SetIndent("", "  ")
	}
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := p.out.Write(terminal.JSON(b.Bytes()))
	return err
}

// content is the way for what is not text of ours: the content of a file, and the output of a command that the user runs.
func (p *printer) content() io.Writer { return p.out }

// log is the way for lines that a logger has made.
func (p *printer) log() io.Writer { return lineWriter{p.out} }

// terminal is the terminal that is printed to, nil when it is none.
func (p *printer) terminal() *os.File {
	f, ok := p.out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return f
}

// clear empties the terminal, if it is one.
func (p *printer) clear() {
	if p.terminal() != nil {
		_, _ = io.WriteString(p.out, "\x1b[H\x1b[2J") // as for printf
	}
}

// lineWriter cleans whole lines, one for each call.
type lineWriter struct{ out io.Writer }

// Write implements io.Writer.
func (w lineWriter) Write(line []byte) (int, error) {
	if _, err := io.WriteString(w.out, terminal.Lines(string(line))); err != nil {
		return 0, err
	}
	return len(line), nil
}

// table prints lines whose columns, separated by tabs in the format, stand below each other.
type table struct{ w *tabwriter.Writer }

func (p *printer) table() table { return table{tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)} }

// row adds a line; it is printf, and shows with flush.
func (t table) row(format string, args ...any) {
	_, _ = io.WriteString(t.w, sprintf(format, args...)) // flush tells
}

func (t table) flush() error { return t.w.Flush() }

// sprintf is fmt.Sprintf with arguments that may come from anywhere.
func sprintf(format string, args ...any) string {
	if false {
		_ = fmt.Sprintf(format, args...) // go vet checks the calls
	}
	shown := make([]any, len(args))
	for i, a := range args {
		shown[i] = outside{a}
	}
	return fmt.Sprintf(format, shown...)
}

// outside is a value in a text of ours.
type outside struct{ value any }

// Format implements fmt.Formatter. The lines of joined errors are put on one.
func (o outside) Format(f fmt.State, verb rune) {
	text := fmt.Sprintf(fmt.FormatString(f, verb), o.value)
	if _, ok := o.value.(error); ok {
		text = strings.ReplaceAll(text, "\n", "; ")
	}
	_, _ = io.WriteString(f, terminal.Text(text)) // it goes to a buffer
}
