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
// A store does not support several nodes yet. Three things are still in the memory of one [airmirror/cache.Store], and must
// be in the index before two of them may collect or serve the same content:
//
//   - The last use. An answer that promises that content is stored (the lookup of a blob, a mount, a manifest, a push of what
//     is stored already) records the use in memory, where the sweep of another node does not see it. It must be given only if
//     the last use in the index is younger than half of the grace period, and refresh that first otherwise. A sweep decides by
//     the index alone, in its transaction. No clock of a node and no memory of a node matters then.
//   - The caches of tags and manifests, which the writes of another node do not clear.
//   - The locks that keep a file while an entry is added for it. With object storage, the name of an object is random, and the
//     index maps digests to objects: the transaction of a sweep deletes the row and notes the object for deletion, and whoever
//     writes the same digest again writes another object.
package backend
