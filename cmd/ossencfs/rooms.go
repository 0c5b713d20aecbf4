package main

import "github.com/ossencfs/ossencfs/cache/index"

// What opening a cache folder may fail with, beside cache.ErrForeignCache.
var (
	errLocked      = index.ErrLocked
	errWrongSecret = index.ErrWrongSecret
	errCorrupt     = index.ErrCorrupt
)
