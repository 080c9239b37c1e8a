// Package mirror is the domain of Airmirror: names, errors, manifests, the contracts of what it is built from, and
// [Mirror] itself, which decides what becomes of a request.
//
// Everything else plugs into it, and the arrows point one way; a test in this folder holds that:
//
//	cmd/mirror ── wires all of it, holds no logic
//	    ├── api       HTTP                                        ─┐
//	    ├── upstream  talks to origin registries ([Upstream])      ├──▶ mirror
//	    └── cache     holds content ([Store])                     ─┘
//
// # How a request is answered
//
// By digest, content is immutable: what is held is served and no upstream is asked. By tag it is not: a tag that an
// upstream confirmed within [Options.Fresh] is served; an older one is revalidated, and the held one is served when
// that fails or takes longer than a client should wait. What is not held becomes a flight: one transfer from the
// upstream that any number of clients read from while it arrives. A repository that was created by a push is local, and
// a tag that was pushed is the client's: neither is ever asked upstream for, or moved by it.
//
// Offline, nothing is dialled: what is not held is unknown, at once.
//
// # What is never broken
//
// Bytes go out as they came in. What was acknowledged is durable. An image that was pushed has all its blobs. Nothing is
// called whole before its digest was verified: a client that reads from a flight is held back before the last byte until
// then, and sees its connection break if the bytes are wrong.
package mirror
