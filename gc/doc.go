// Package gc collects garbage: it frees space in a store while the store is in use. [MakePlan] decides what is deleted and
// kept, and why. [Plan.Execute] deletes it. [Collector] does both in a server, by schedule or when the disk is nearly full.
//
// # Candidates
//
// A collection deletes, in this order: blobs that no manifest uses; tags and images that a retention rule expires, and
// untagged manifests if the policy says so; whole mirrored images to meet a budget, least recently used first and no more
// than necessary; stale uploads; and files that the index does not name.
//
// A plan never deletes content that was added, tagged, linked, pulled or requested within the grace period, that is
// pinned, or that a transfer uses. A budget does not delete pushed or imported images, unless the policy names them.
// Mirrored images are deleted only if an upstream would serve them now, unless the policy says otherwise.
//
// # Images
//
// The manifests of a repository form a graph of owners and dependents. An index owns its children. A manifest owns its
// referrers, which name it as their subject or by a tag that contains its digest. A manifest is the root of an image if it
// is tagged, was stored by its digest, or has no owner. An image is deleted as a whole, except for manifests and blobs that
// another image needs: these are deleted with the last image that needs them. Images are ordered by when they would be
// deleted, so each manifest and each blob belongs to exactly one image. That makes all sums exact.
//
// # Safety
//
// A plan is made from one consistent view of the store. The store checks each delete request again, in the transaction
// that deletes it. A plan can therefore be out of date, but content that came into use after it was made is not lost.
//
// # Scale
//
// Planning reads the store in order and refers to repositories, manifests and files by index instead of by name: two dozen
// bytes for a blob, four for a reference to one. A million blobs in a hundred thousand images take about a second and
// 50 MiB; see BenchmarkPlan.
package gc
