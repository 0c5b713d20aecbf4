// Package keys wraps and unwraps short secrets under a user's master key, an RSA key or a key in Alibaba KMS, and
// keeps the volume key that is wrapped that way. It knows no objects and no headers.
//
// Glossary:
//
//	master key   the user's own RSA key pair or KMS key; never leaves its owner
//	secret       what is wrapped: a content key, a start value or a local key
//	wrap         to encrypt a secret under a master key; unwrap is the way back
//	scheme       one way of wrapping (OAEP, PKCS1, KMSText)
//	matdesc      the map of strings by which the SDKs tell master keys apart
//	volume key   a random secret of a bucket's prefix, from which keys for boxes, tags and local files are derived
//	slot         a volume key wrapped under one master key or recovery code
//	record       a volume's public facts, slots and write-only hosts, as the bucket keeps them
//	host         a machine that may write and not read; it has a bundle instead of a master key
//	keyring      one primary master key for writing and any number for reading
package keys
