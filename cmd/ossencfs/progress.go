package main

import (
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/ossencfs/ossencfs/terminal"
)

// progress shows how far a transfer is: a bar on a terminal, nothing elsewhere. The zero value shows nothing.
type progress struct{ bar *progressbar.ProgressBar }

// ofBytes are the options of a bar of a transfer, and ofPending of one whose length changes while it is shown: neither its rate nor its end
// can be told from that.
var (
	ofBytes   = []progressbar.Option{progressbar.OptionShowBytes(true), progressbar.OptionUseIECUnits(true), progressbar.OptionShowCount()}
	ofPending = []progressbar.Option{progressbar.OptionSetPredictTime(false)}
)

// newProgress makes a bar of a number of bytes, -1 when it is not known.
func (c *call) newProgress(total int64, label string, silent bool) progress {
	return c.newBar(total, label, silent, ofBytes)
}

func (c *call) newBar(total int64, label string, silent bool, kind []progressbar.Option) progress {
	f := c.stderr.terminal()
	if silent || f == nil {
		return progress{}
	}
	options := []progressbar.Option{
		progressbar.OptionSetWriter(f),
		progressbar.OptionSetDescription(terminal.Text(label)),
		progressbar.OptionThrottle(100 * time.Millisecond),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionSetSpinnerChangeInterval(0), // the library's goroutine for it has a data race
	}
	return progress{bar: progressbar.NewOptions64(total, append(options, kind...)...)}
}

// shown reports whether anybody sees it.
func (p progress) shown() bool { return p.bar != nil }

// add moves the bar on by n bytes.
func (p progress) add(n int64) {
	if p.bar != nil {
		_ = p.bar.Add64(n) // a bar that cannot be drawn is no failure
	}
}

// set moves the bar to a position out of a total that may have changed.
func (p progress) set(done, total int64, label string) {
	if p.bar != nil {
		p.bar.ChangeMax64(max(total, 1))
		p.bar.Describe(terminal.Text(label))
		_ = p.bar.Set64(done) // as above
	}
}

// describe changes the text beside the bar.
func (p progress) describe(label string) {
	if p.bar != nil {
		p.bar.Describe(terminal.Text(label))
	}
}

// finish removes the bar.
func (p progress) finish() {
	if p.bar != nil {
		_ = p.bar.Finish() // as above
	}
}
