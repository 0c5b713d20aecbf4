// Package keys wraps and unwraps short secrets under a user's master key: an RSA key or a key in Alibaba KMS.
// It knows no objects and no headers.
//
// Glossary:
//
//	master key   the user's own RSA key pair or KMS key; never leaves its owner
//	secret       what is wrapped: a content key, a start value or a local key
//	wrap         to encrypt a secret under a master key; unwrap is the way back
//	scheme       one way of wrapping (OAEP, PKCS1, KMSText)
//	matdesc      the map of strings by which the SDKs tell master keys apart
//	keyring      one primary master key for writing and any number for reading
package keys
