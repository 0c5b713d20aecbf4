// Package model is a file system as POSIX and docs/SEMANTICS.md describe it, in memory and in a few hundred lines, and a driver that
// makes the same calls on it and on a mounted folder. It imports nothing of ours: it must not share our misunderstandings. What it
// knows of the product is what a program sees.
//
//	step      one call, or one event like a crash; it names everything it needs, so that any part of a sequence is a sequence
//	tree      the model: nodes, names, contents, times as far as they are promised
//	host      what carries out the events: remounts, crashes, faults, changes by another mount
//	run       a tree, a host, and the descriptors that are open
//	shrink    finds a short sequence in a long one that still fails
package model
