package main

import "github.com/ossencfs/ossencfs/cache/index"

var (
	errLocked      = index.ErrLocked
	errWrongSecret = index.ErrWrongSecret
	errCorrupt     = index.ErrCorrupt
)
