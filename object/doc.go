// Package object is the encrypted view of a bucket: sealed bodies and POSIX attributes go in, content that can be
// opened comes out. It is the only importer of oss and cipher, so that forgetting to encrypt does not compile.
//
// docs/FORMAT.md has every byte that this package writes and all that it reads.
//
// Glossary:
//
//	key          name of an object relative to the mounted prefix; a directory's ends in "/", the root's is ""
//	full key     name of the object in the bucket
//	marker       zero-byte object that stands for a directory and carries its attributes
//	envelope     headers that carry the wrapped content key (cipher.Envelope)
//	generation   random id of one sealed body; two objects with one generation hold the same bytes
//	upload       random id of one PUT, COPY or TAG request of ours; decides an unknown outcome
//	tag          the object tag "ossencfs": upload, generation and attributes that are newer than the headers
//	foreign      written by another program: no generation, no upload
//	hidden area  ".ossencfs/" below the prefix: canary, parking keys, root marker; never listed
//
// A call makes one attempt at each write, because the caller has to know of every request that may be executed late
// (see package cache/converge); only reads and the parts of multipart uploads, which replace themselves, are repeated.
package object
