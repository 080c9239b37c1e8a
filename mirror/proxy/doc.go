// Package proxy is the engine of Airmirror. A [Proxy] serves the content of a [mirror.Store] and fetches what is missing
// from a [mirror.Upstream].
//
// # Requests
//
// Content that is requested by digest never changes: if it is stored, it is served without a request to the upstream. A tag
// may move. It is served without a request if an upstream confirmed it within [Options.TagTTL]. Otherwise it is revalidated.
// If the upstream fails or takes longer than [Options.FallbackTimeout], the stored image is served, and
// [mirror.Answer.Stale] says why.
//
// A blob that is not stored is downloaded. A download is one transfer from the upstream that any number of clients read
// while it arrives. It continues when they leave. A download that only commands wait for ends when they are cancelled. If
// an upstream answers that it does not have something, the answer is cached for [Options.NegativeTTL].
//
// A repository that was created by a push is local and never requested from an upstream. An upstream never moves a tag
// that was pushed. Lists contain the stored items and those that the upstream adds.
//
// A blob is stored once and can be read in each repository that it was pushed to, fetched for or imported with. A
// mirrored manifest of another repository that names the blob gives no right to read it. The upstream that sent the
// blob must confirm that it has the blob in this repository as well. If the blob was pushed, or sent by another
// upstream, a confirmation proves nothing, since everyone who knows the digest can send one. The blob is then
// transferred and verified again.
//
// # Modes
//
// In [mirror.Auto], an upstream that does not answer is considered down until a probe succeeds. In [mirror.Online], every
// request is sent anyway. In [mirror.Offline], nothing is dialled: a miss fails at once, and requests and transfers that
// were under way have ended. All requests have the context of the network, which ends then, and pass one switch, which
// sends none after that. Other parts of the program that dial use [Proxy.NetworkContext].
//
// The mode belongs to the store. If several nodes use it, each reads the mode every second; see [Options.Leases].
//
// In every mode the mirror can be read-only. Clients cannot change what is stored then, and content of upstreams passes
// through without being stored. The same happens to content of upstreams while the disk is full; it is verified as it
// passes.
//
// # Backfill
//
// A client that pulls an image may have a part of it already and never requests that. Backfill completes the image for its
// platform in the background, a few blobs at a time, with retries. A request that only checks whether an image exists
// starts no backfill, except in two cases in which the client may have the image: if a new index has children that are
// stored for any repository, they are completed in the repository of the index; and if a tag moved, the platforms that were
// pulled of the old image are completed of the new one. [Proxy.Fetch] fetches complete images before any client pulls
// them.
//
// # Wants
//
// An image or blob that a client requested and could not get becomes a [mirror.Want] until it is available: if the mirror
// was offline, or the upstream failed. There is no want for content that the upstream does not have, nor for the tags of
// signatures and other referrers, which are fetched with their image. Commands and backfill add no wants.
// [Options.OnWant] receives each new want.
//
// # Damage
//
// Content that a reader finds missing or damaged is discarded at once. From then on it is a miss, so that a download or a
// push replaces it. [Proxy.Verify], and the scrub in the background ([Options.ScrubEvery]), find damage that no reader
// met. Content that was lost and cannot be fetched again becomes a want, even in a local repository.
//
// # Unverified bytes
//
// A client that reads a blob while it is downloaded gets the last byte only after the digest was verified. If the bytes are
// wrong, its connection breaks. The exception is a span: a range far ahead of what has arrived is transferred beside the
// download and passes through unverified, since a digest covers the complete blob, and 51 bytes at the end should not wait
// for all of it. Spans are not stored. They break off if the download fails, and make up at most a quarter of a blob.
//
// # Parts
//
// A Proxy is composed of parts, each with its own state and dependencies. puller, pusher, lists, fetcher, images, pins,
// wants, content, recovery and verifier serve requests and commands. They share downloads, manifests, revalidation and
// backfill, which use calls (merging of equal requests), routing (which repositories are requested), network (the mode),
// writes (read-only and capacity) and tasks (what Close waits for).
//
// The mode, the read-only setting, wants, the images to complete and the progress of a scrub are records in the store.
// Wants are saved in batches, since no client waits for the disk because of a miss. Several nodes add up what they save.
package proxy
