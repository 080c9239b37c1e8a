// Package transfer exports content of a mirror as bundles and imports bundles and other archives of images. It decides what
// a bundle contains and stores what arrives so that no image is ever incomplete. Package [bundle] implements the format.
//
// # Export
//
// [Service.Export] plans a bundle and writes it. Planned content is protected from the collector until the last byte is
// written. A bundle contains complete images only. If an image that the request names is incomplete, the export fails
// and lists the missing content. If the request selects wants or all images, incomplete images are skipped and listed.
// An index is exported with the platforms that were requested, or with those that are stored. Its bytes do not change.
// An export never fetches from an upstream.
//
// The bundles of a mirror for one destination are numbered. The number is recorded before the first byte is written, so
// that two different bundles never have the same number. Exporting the same content for the same destination again makes
// the same bundle. The caller knows when a bundle is safely on disk and calls [Service.RecordExport]. A later export can
// then omit the content of that bundle.
//
// # Import
//
// [Service.Import] first checks the signature, the destination, the age and the base of a bundle, and changes nothing if a
// check fails. Then it receives blobs, several of which are committed concurrently. When all blobs are stored, it imports
// manifests, children before indexes, and then sets all tags in one transaction. An import that ends early therefore
// leaves no tag of an incomplete image, and no incomplete image. Blobs that arrived stay stored, so that repeating the
// import continues it. Only blobs of invalid bundles are discarded.
//
// # Volumes
//
// The volumes of a bundle are imported by one request each, in order. Any amount of time may pass between two volumes,
// and the mirror may restart. The progress is recorded in the state store. Blobs that belong to no repository yet, and
// partial blobs ([mirror.ResumableBlob]), are protected from the collector. [Service.Resume] restores this protection
// and must be called when a mirror starts. An import is dropped when its next volume does not arrive within 30 days, or
// when the same bundle or a later one was imported. A damaged volume does not change the recorded progress, so the
// volume can be sent again.
//
// A blob that spans volumes is written once: each volume appends to it, and the last one commits it. A volume therefore
// needs no more room than its own size.
package transfer
