// Package body keeps the bytes of files on the local disk, always encrypted, within a size limit.
//
// # Words
//
//   - base: a run of ciphertext under one content key, exactly what the object's body is or will be. A sealed base has its
//     digests and never changes; a stream is a base that still grows at its end while a file is written front to back.
//   - overlay: the changes of a working copy that lie over the base, as AEAD chunks in a log file of their own.
//   - working copy: base and overlay together. Sealing writes them as one new base under a fresh key.
//   - piece: a reserved range of a segment file that holds (part of) a small base.
//   - home: the key of the bucket that is known to hold the current generation (see cache/index, Object).
//
// # On disk
//
//	DIR/segments/<id, 8 hex>       pieces of many small bases, appended, never overwritten
//	DIR/files/<2 hex>/<id, 16 hex> one larger base, the log of one working copy, or the fetched chunks of one remote file
//
// In the index, in the same transaction as the inode change they belong to:
//
//	Body row  ino                  = record (record.go)
//	raw 'S'   segment(4) offset(8) = ino(8) length(4)      who owns which range of a segment
//	raw 'F'   file id(8)           = ino(8)                which files are known
//	raw 'W'   ino(8) window(8)     = extents of one 64 KiB window of the overlay (overlay.go)
//	raw 'U'   ino(8)               = empty; the body is not sealed
//	raw 'D'   ino(8)               = digest of the base, where it is too long for the record
//
// What the index does not know is removed at Open. Chunks of a remote file that is not whole yet are not in the index: they
// are a read cache for the life of the process.
//
// INVARIANT: no position of a content key's stream is encrypted twice. A stream ends at the first failed write, overwrite,
// truncation below its end, reopen after sealing, or restart; the file is then sealed whole under a fresh key.
//
// INVARIANT: bytes are written before the index refers to them, are durable before it is, and are not removed or written over before an
// index that no longer refers to them is durable.
//
// # Room
//
// Who needs little room takes what is free, or waits until something was evicted (room). A change of content that is not here, or that others wait to
// see go, needs all of the content: such callers come in turn (claim), take room before they fetch, and nothing of it goes before the change is made. The
// wait is ended by those who use the room: what is sealed is uploaded, and open files are sealed for that (sealAhead). So nobody who has room waits for
// room, and a fetch that uploads wait for (Fetch) does not wait at all.
//
// # Locks
//
// Order: Store.evicting, Store.reaping, remote.keep and remote.punch, body.mu, then the index's transaction, then one of the
// leaf locks (Store.mu, segments.mu, files.mu, Store.fileMu, space.mu, remote.mu). No network request is made and no space is
// waited for under body.mu. Drop and WriteSmall run in a caller's transaction and take leaf locks only; no other method may be
// called from within one.
package body
