// Package oss speaks to one bucket of Alibaba Cloud OSS in small types of its own; no type of the Alibaba SDK leaves it.
//
// Glossary:
//
//	attempt   one HTTP exchange; a call is one or more attempts
//	read      a call without effect on the bucket (Head, Get, List, GetTagging, ListParts, ListUploads)
//	write     a call with an effect (Put, Copy, Delete, DeleteBatch, PutTagging, InitiateMultipart,
//	          CompleteMultipart, AbortMultipart)
//	CRC       CRC-64 with the ECMA-182 polynomial over the bytes the bucket stores
//
// Reads are attempted again with growing, jittered delays when OSS or the network says so. A write is sent once: the
// caller sees each unknown outcome and decides. There are three exceptions, each without a second effect: a request
// that OSS refused unexecuted because of stale credentials or a skewed clock is signed anew and sent once more; a
// request of which no byte left on a connection kept alive is sent on a fresh one; and UploadPart, which replaces its
// part by the same bytes, is retried like a read.
//
// Each attempt has deadlines: one for the answer, and one for progress of a body, so that a moving transfer of any
// size is never cut off and a stalled one is.
package oss
