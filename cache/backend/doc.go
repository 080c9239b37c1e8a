// Package backend defines what a store needs from its backends: [Blobs], which stores bytes under their digest, and
// [Index], which stores everything else. Package cache builds a complete store from one of each.
//
// The interfaces are a package of their own so that package cache can import the implementations, cache/files and
// cache/bolt, and they can import the interfaces.
//
// # Several nodes
//
// The contract of [Index] allows that several processes use one index on another machine: cache/postgres implements that.
// Four parts of it exist for this purpose, and cost nothing with bbolt:
//
//   - [Locks]: each update declares the names of what it decides about.
//   - [ReadTx].Prefetch announces reads, and writes are sent with the commit, since each request costs a round trip.
//   - [WriteTx].Insert and [WriteTx].Lock let updates run side by side that share their declared locks.
//   - The failure rule of [ReadTx]: after a failed read everything is absent, and the transaction fails.
//
// A store on a [Shared] index keeps nothing in its memory that another node must know before it sweeps or serves the same
// content:
//
//   - An answer that promises that content is stored (the lookup of a blob, a mount, a manifest, a push of what is stored
//     already) is given only if the last use in the index is younger than half of the grace period. Otherwise the use is
//     written first. A sweep decides by the index, in its transaction.
//   - A tag, and whether a manifest is stored, is read from the index each time. A version that another node announces would
//     need a session, and would come late.
//   - The names of blobs are in the index, see [Indexed]. The transaction of a sweep deletes the name together with the entry.
//     Whoever writes the same digest again writes another name, and checks in the transaction that adds the entry that it is
//     still there.
//   - All times are those of the server. No clock of a node matters.
//
// What one node at a time should do has a lease, see [airmirror/cache/lease].
//
// Still missing is the protection of content by [airmirror/cache.Store.Protect], which only the same node sees.
package backend
