// Package emulator is a strict Alibaba Cloud OSS and KMS server on loopback HTTP, with faults on demand
// and a count of every request.
//
// It imports no package of this module, so that it cannot share a misunderstanding with the code it
// tests; its rules come from the vendor's documentation and from recorded SDK traffic.
//
// Glossary:
//
//	call     one OSS request on its way through routing, faults, authentication and its handler
//	version  one immutable state of one key: headers, tags, checksums and a body
//	extent   a piece of a blob; a body is a list of extents, so copies and completed uploads move no bytes
//	record   the file that holds one version: one line of JSON, then the body if it is small
//	EC       OSS's own error-code reference, nnnn-nnnnnnnn; those beginning with 9999 are the emulator's
//	         own, used where no document names the number of a refusal
//
// Lock order: an upload's mutex, then a key's stripe, then the store's mutex, then a bucket's mutex. No lock
// is held while a request or response body moves.
package emulator
