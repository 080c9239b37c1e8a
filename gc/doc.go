// Package gc collects garbage: it frees space in a store while everything else runs. [MakePlan] says what goes and why,
// and what stays and why; [Plan.Execute] takes it out; [Collector] does both in a server, by schedule or when the disk is
// nearly full.
//
// # What goes
//
// In this order: blobs that no manifest uses; tags and images that a rule drops and, if asked for, manifests that no tag
// leads to and nobody brought in by its digest; whole mirrored images for a budget, the least recently used first, and no more than it takes; uploads that
// were left; and files that the index does not name. Everything that was added, tagged, linked, pulled or asked for
// within the grace time stays, and so does what is pinned or in use by a transfer, whatever the policy is. For a budget
// nothing goes that was pushed or imported, unless it is asked for by name. What came from an upstream goes only if that
// would give it again now, or if it is said that this does not matter.
//
// # Images
//
// Manifests of a repository are a graph: an index brings its children, and a manifest what refers to it, by its subject
// or by a tag that is named after its digest. What a tag leads to, or nothing brings, is the root of a unit, which goes as
// a whole, but for what another unit needs as well: that goes with the last of them. So units are put in the order in
// which they would go, and each manifest and each blob belongs to the last unit that needs it. All sums follow from that,
// and are exact.
//
// # Safety
//
// A plan is made from one view of the store, in which nothing changes; what goes is judged again by the store, in the
// transaction that takes it out. So a plan may be old, and can be wrong, but nothing that somebody came to need is lost
// for it.
//
// # Scale
//
// The store is read in order, and what has a name there is a place here: two dozen bytes for a blob, four for a reference
// to one. A million blobs in a hundred thousand images take a second or so and fifty MiB, which BenchmarkPlan shows.
package gc
