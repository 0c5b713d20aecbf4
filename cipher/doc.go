// Package cipher seals content under a fresh content key and opens it again, in the format of OSS client-side encryption; it
// owns the header codec of both dialects. It does no I/O.
//
// Glossary:
//
//	content key  32-byte AES key and 16-byte IV of one sealed generation
//	seal, open   to encrypt and decrypt content: AES-256-CTR, a 128-bit big-endian counter that starts at the IV
//	generation   one sealing of one content; has a random id
//	envelope     the headers that carry a wrapped content key
//	dialect      which header names and encodings an envelope uses: legacy, current, or both on one object
//	leaf, group  1 MiB of ciphertext; leaves whose tags have one coarse tag
//	tag          16 bytes that authenticate a leaf or a group under the generation's MAC key
//	box          one header that authenticates an object: content key, coarse tags and attributes under the volume key
//	wrapped      encrypted under a master key (package keys)
//
// INVARIANT: no stream position is sealed twice under one content key. NewSealing draws a fresh key, Seal only
// appends, and a key that came from elsewhere (UnmarshalContentKey, Envelope.Open) cannot seal at all.
//
// INVARIANT: no generation has two sets of tags. NewSealing and NewIntake draw generation id and MAC key together.
package cipher
