//go:build !faultpoints

package killpoint

// At does nothing in this build.
func At(Point) {}

// Boot is empty in this build: the machine's own boot counts.
func Boot() string { return "" }
