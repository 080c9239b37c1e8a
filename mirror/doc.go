// Package mirror has the types, the errors and the contracts of Airmirror: names, manifests, and the interfaces between
// the parts that it consists of.
//
// Every other package may import it, and it imports none of them. The others do not import one another, except within one
// folder. If one needs another, it declares a small interface. Only cmd imports all of them. A test checks this. Package
// mirror/durable, which writes files durably, is open to all of them.
//
//	cmd/mirror            main, one file per command; config (settings), server (wiring)
//	    │
//	    ├── api           HTTP: registry (/v2/), admin, auth, middleware, metrics, audit, events, certs  ─┐
//	    ├── sync          bundle (format), transfer (import, export), prefetch, migrate, signature        │
//	    ├── gc            plans what to delete, then deletes it                                           ├─▶ mirror
//	    ├── upstream      sends requests to upstream registries; implements [Upstream]                    │
//	    ├── mirror/proxy  the engine: decides what becomes of a request (hit, miss, stale, want)          │
//	    └── cache         stores content; implements [Store]                                             ─┘
//
// # Invariants
//
//   - Bytes are never changed. What is served is what was received.
//   - What was acknowledged is durable. It survives kill -9 and power loss.
//   - A pushed image has all its blobs. A mirrored image whose blobs have not arrived yet is incomplete, and reported so.
//   - Whatever a stored manifest names is kept until the manifest is deleted.
//   - Nothing unverified is presented as complete. If a client reads a blob while it arrives and the bytes turn out to be
//     wrong, its connection breaks before the end.
//   - Content that is requested by digest is served without a request to an upstream if it is stored. A tag is revalidated
//     after its TTL, and the stored image is served if that fails.
//   - A miss causes one transfer, however many clients wait for it.
//   - Offline, nothing is dialled. Online, only configured upstreams are.
//   - Content that cannot be fetched again is never evicted to make room.
//   - No command reports more than is true.
package mirror
