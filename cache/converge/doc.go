// Package converge makes the bucket match the index: what to upload, copy and delete, in which order, and how often again.
//
// It looks at one key at a time. Plan compares what the index wants under the key with what the bucket is known to hold, and
// names one action; it reads nothing but the index and a few facts that a crash may lose. A worker writes the intent of that
// action (index.Pend) durably, sends the request, and records what was sent. Nothing else is remembered, so a crash at any moment
// leaves only intents whose outcome is unknown.
//
// Words:
//
//	row        what the bucket is known to hold under a key (index.Object)
//	intent     a request that was or will be sent (index.Pend); while it exists no other request goes to its key
//	fence      the time until which an unanswered request may still be executed: L after we stopped waiting for its answer
//	home       the key that keeps the present content of an inode in the bucket
//	needed     a key that is the home of a living inode; it is neither overwritten nor deleted
//	parking    a hidden key, .ossencfs/park/CACHE.INODE.GENERATION, for content whose own key is not free
//	look       a HEAD that tells what became of a request, or whether a key is as it is recorded
//
// Rules, by the names that the code uses:
//
//	R1   one request per key; no hidden repetition
//	R2   the intent is durable before the request leaves; that is the barrier for all earlier calls of programs, too
//	R3   what was sent is recorded, not what the inode is by then; an error answer means "unknown", except where the server
//	     proves that it did nothing: then the request is void, and closes the key no longer
//	R4   an unknown outcome closes the key until the fence; only a look sent after it decides. The same request may be repeated
//	     before, but the fence of the unanswered attempts outlives the answer of the repetition
//	R5   a needed key is neither overwritten nor deleted; a key with an unanswered write is no home
//	R6   the source of an unanswered copy is neither overwritten nor deleted
//	R7   rows that nobody wants or needs are deleted, and only a recorded outcome removes a row
//	R8   inodes that wait for each other in a circle are opened by a copy of one of them to its parking key
//	R9   content leaves the local cache only while its home is recorded (package body)
//	R10  the oldest content that is not in the bucket, when the order rule blocks it or its key is refused, is sent to its parking key
//	O    before an object is overwritten or deleted, the key is looked at, and again before a repetition; creations forbid
//	     overwriting. A difference is imported: both versions are kept. Options.Exclusive switches the looks off
//
// The order rule: a request that destroys something carries the sequence number of the state that gave up what it destroys, or
// of the state it brings, whichever is later. It waits until all content that was closed, fsynced or renamed before that number is
// in the bucket. Creations of the same are not held back by that, so the oldest content can always go, if need be to its parking key.
//
// Destructive requests also wait for each other, in the order of these numbers: a program that removes an index before the data that it
// names finds no index without data. Two things share a number and go at the same time: very many files that left one directory in a
// row (index.LeaveKey and leaveKeys count them), and what is below a directory that is gone itself.
//
// New names: content whose name came by a rename, that is appended to, or that was fsynced, may refer to what was there before. It is
// created only when all older content is in the bucket (publish.go), except that files of one directory that were only renamed go
// together, and so does bulk data of a megabyte and more. Content that came and went before it was sent leaves a gap: states in between
// can no longer be had. What was made then comes after what was there when the gap ended, first of all what is near to the place of
// what was lost, because that is most likely what replaced it (git's packs, restic's rewritten packs and indexes).
//
// The simulation of this package (sim_test.go) found three things beyond those rules:
//
//   - The newest old version of a renamed file stays until the present one is in the bucket, as if it were needed: otherwise a
//     file that was renamed while it was being rewritten would be in the bucket in neither version.
//   - A row that is recorded after its inode went away is numbered then, and what a request destroys decides its place in the
//     order just as much as what it brings.
//   - A look must compare the ETag as well as the upload id, because our tag may come to an object that somebody else wrote a
//     moment before.
//
// What the bucket refuses for one key alone (object.RefusedHere) is out of the order: nobody waits for what is to be created, changed or removed
// there. Its content is not: refused twice, or while somebody waits, it is parked, and only content that cannot be parked either holds back
// what is destructive. A file that has to leave a key for a refused one is parked, too.
//
// What is committed by fsync of a file that stays open for writing would hold back everything destructive for ever: after
// LateSettle its content is sealed as it is and sent (Seal).
package converge
