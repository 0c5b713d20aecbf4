// Package two proves promise 6 of docs/SEMANTICS.md: two mounts of one bucket do not silently lose each other's work.
package two
