// Package mutants tests the tests: it builds the product with one fault in it, a textual replacement in one file, and expects a named
// test to fail. `make mutants` does that for all of the list; go test ./... checks that each replacement still fits its file and hunts a few.
// The sources are not touched: the go command takes the changed file by its overlay.
package mutants
