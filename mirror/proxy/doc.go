// Package proxy is the engine of Airmirror. [Proxy] decides what becomes of a request: it serves content that a
// [mirror.Store] holds and fetches the rest from a [mirror.Upstream].
//
// # How a request is answered
//
// By digest, content is immutable: what is held is served and no upstream is asked. By tag it is not: a tag that an
// upstream confirmed within [Options.TagTTL] is served; an older one is revalidated, and the held one is served when
// that fails or takes longer than a client should wait, with [mirror.Answer.Stale] saying why. What is not held becomes a
// flight: one transfer from the upstream that any number of clients read from while it arrives. It goes on when they
// leave; one that only fetches asked for ends when they are stopped. What an upstream says that it does not have is
// believed for a moment ([Options.NegativeTTL]). A repository that was created by a push is local, and a tag that was pushed
// is the client's: neither is ever asked upstream for, or moved by it. A list has what is held and what the upstream adds.
//
// A blob is held once and read in the repositories that brought it. One that a mirrored manifest names and that the same
// upstream has sent for another repository is read after it has said that the blob is in this one as well: a manifest
// alone is no right. Of what was pushed, or what another upstream sent, that word is no proof either, since it takes no
// more than the digest: such a blob is transferred and verified once more.
//
// # Modes
//
// In [mirror.Auto], an upstream that does not answer counts as gone until a probe finds it back. In [mirror.Online] it is asked every
// time. In [mirror.Offline] nothing is dialled: what is not held is unknown, at once, and what was under way with an upstream
// has ended. All of that is one context, the network's, which every question to an upstream is asked with, and one gate,
// which lets none pass after it ended. What else dials uses it as well: [Proxy.NetworkContext].
//
// In any of them the mirror can be read-only: clients change nothing of what is held, and what comes from upstreams passes
// straight through and is not kept.
//
// # Complete images
//
// A client that pulls an image may have half of it already, and never asks for that. So the rest of what it pulled, for
// its platform, becomes a chore: it is fetched in the background, a few blobs at a time, and tried again until it is
// there. A client that only asks what there is makes none, with two exceptions, since it may have what it asks about.
// Children of a new index that are stored for any repository are asked for in that of the index, and completed; and where
// a tag moved, the platforms that were pulled of the old image are completed of the new one. [Proxy.Fetch] brings in whole
// images that nobody pulled yet.
//
// # Wants
//
// What a client asked for and could not be given is a [mirror.Want], until it can be: offline, or because the upstream failed,
// but not if the upstream said that there is no such thing, nor if it is what clients look for beside an image: signatures
// come along with that. Fetches and chores make none. [Options.OnWant] is told of each.
//
// # Damage
//
// What a reader finds missing or damaged is taken away at once and is a miss from then on, so that a flight or a push
// brings it again; [Proxy.Verify], and a slow scrub in the background ([Options.ScrubEvery]), find what no reader has
// met. What was held and cannot be fetched again is a want, of local repositories as well.
//
// # Notes
//
// Mode, read-only, wants, chores and how far a scrub has come outlive the process as notes in the store. Wants are noted in
// batches, since no client waits for the disk to be told no; the others before they count.
//
// # What is never broken
//
// Bytes go out as they came in. What was acknowledged is durable. An image that was pushed has all its blobs. Nothing is
// called whole before its digest was verified: a client that reads from a flight is held back before the last byte until
// then, and sees its connection break if the bytes are wrong. The exception is a part: one that a client asks for by its
// range, and that lies far ahead of what has arrived, passes through unverified beside the flight, since a digest is of
// the whole and 51 bytes at its end are not to wait for all of it. It is stored nowhere, is answered as the part that it
// is, and breaks off if the flight has failed by then; parts of a blob are a quarter of it at most. A disk that is full
// is no reason to refuse: a client gets its bytes straight from the upstream, verified as they pass.
package proxy
