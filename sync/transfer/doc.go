// Package transfer takes content out of a mirror in bundles, and brings it in: it finds out what has to go, numbers what
// is sent, and stores what arrives so that nothing is half there. The format is that of [bundle]; this package decides.
//
// # Out
//
// [Service.Export] plans and writes. What is planned is protected from the collector until the last byte is written. Only
// images that are held whole go: what is named and is not makes the export fail, with a list; of wants, and of all images,
// those that are not whole are left out, and named. An index goes with the platforms that were asked for, or that
// are held; it stays the same to the byte. Nothing is asked upstream for: fetch first.
//
// Bundles of this mirror for one destination are numbered. The number of a bundle is noted before its first byte goes out,
// so that no two different ones have the same; the same content once more for the same destination is the same bundle.
// That a bundle has safely reached a disk is for the caller to know: [Service.Exported] notes it, and what was in it, and only
// then can the next one leave that out.
//
// # In
//
// [Service.Import] checks the signature, then that the bundle is no older one than was imported before, then that what it
// builds on is held, and changes nothing if it refuses. Then blobs are received, as they come and some of them committed
// at the same time; then manifests are entered, children before indexes; then all tags are pointed in one transaction. So
// an import that ends early at any point leaves no tag that points at something that is not whole, and no image that is
// not. What came is kept, so that the same import goes on where it ended; but what came with a bundle that turns out to
// be malformed is discarded.
//
// # Volumes
//
// A bundle that comes in volumes comes in as many requests, in order, with any time and any restart of the mirror in
// between. What is needed to go on is in notes, in blobs that belong to no repository and in parts of blobs
// ([mirror.ResumableBlob]), protected from the collector: [Service.Resume] has to be called when a mirror starts, or else they
// are garbage like any other. It is given up after a month, or as soon as a bundle is in that leaves no use for it. A volume
// either came to its end or changes nothing of that; so one that was damaged is just sent again.
//
// A blob that crosses volumes is written once, where it grows with each of them and is given its name in the end: what
// comes needs the room of what it brings, and no more at any time.
package transfer
