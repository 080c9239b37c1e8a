// Package mirror has the types, the errors and the contracts of Airmirror: names, manifests, and the interfaces between
// the parts that it is built from.
//
// Every other package may import it, and it imports none of them. The others do not import one another, except within one
// folder; where one needs another it declares a small interface. Only cmd imports all of them. A test holds this.
//
//	cmd/mirror            main, one file per command
//	    │
//	    ├── api           HTTP: registry (/v2/), admin, auth, middleware, metrics, audit, events, certs  ─┐
//	    ├── sync          bundle (format), transfer (import, export), prefetch, migrate, signature        │
//	    ├── gc            plans what to delete, then deletes it                                           ├─▶ mirror
//	    ├── upstream      requests to upstream registries; implements [Upstream]                          │
//	    ├── mirror/proxy  the engine: decides what becomes of a request (hit, miss, stale, want)          │
//	    └── cache         stores content; implements [Store]                                             ─┘
package mirror
