package transfer

import (
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/sync/bundle"
)

// Kinds of [Event].
const (
	// KindImage reports an Image that is planned, imported, or would be imported.
	KindImage = "image"
	// KindSkipped reports that Name was skipped, and the Reason.
	KindSkipped = "skipped"
	// KindNote tells in Reason what has to be known about Name to use what was imported.
	KindNote = "note"
	// KindKept reports a pushed tag that an import did not move.
	KindKept = "kept"
	// KindNext reports which volume is needed Next.
	KindNext = "next"
)

// Event is a result of an export or import.
type Event struct {
	Kind   string
	Image  *bundle.Image
	Name   string
	Reason string
	Kept   *KeptTag
	Next   *NextVolume
}

// KeptTag is a pushed tag that an import did not move.
type KeptTag struct {
	Name   string        `json:"name"`   // host/path:tag
	Digest digest.Digest `json:"digest"` // what it refers to
	Other  digest.Digest `json:"other"`  // what it would refer to
}

// NextVolume is the volume that an import needs next.
type NextVolume struct {
	Set    string `json:"set"`
	Number int    `json:"number"` // from 1
	// Reason says why it is not the one after the volume that was sent. It is empty if it is.
	Reason string `json:"reason,omitempty"`
}

// Summary is the result of an export or import.
type Summary struct {
	Bundle      string        `json:"bundle,omitempty"` // ID; empty for other archives
	Source      string        `json:"source,omitempty"`
	Host        string        `json:"host,omitempty"`
	Destination string        `json:"destination,omitempty"`
	Sequence    int64         `json:"sequence,omitempty"`
	Created     time.Time     `json:"created,omitzero"`
	Document    digest.Digest `json:"document,omitempty"` // digest of bundle.json, which lists everything else
	Signed      bool          `json:"signed,omitempty"`
	Key         string        `json:"key,omitempty"` // ID of the key whose signature was verified
	Images      int           `json:"images"`
	Skipped     int           `json:"skipped,omitempty"` // number of skipped images
	Manifests   int           `json:"manifests"`
	Blobs       int           `json:"blobs"`
	Bytes       int64         `json:"bytes"`                     // total size of these manifests and blobs
	New         int64         `json:"new"`                       // number of these bytes that were missing at the destination
	Assumed     int           `json:"assumed"`                   // manifests and blobs that the bundle assumes at the destination
	Kept        []KeptTag     `json:"kept,omitempty"`            // pushed tags
	Known       bool          `json:"alreadyImported,omitempty"` // the bundle was imported before
	DryRun      bool          `json:"dryRun,omitempty"`          // nothing was changed
	Next        *NextVolume   `json:"next,omitempty"`            // the import needs this volume next
	Duration    float64       `json:"seconds"`                   // in seconds
}

// describe sets the fields that the document determines.
func (s *Summary) describe(doc *bundle.Document) {
	s.Bundle, s.Source, s.Host, s.Destination = doc.ID, doc.Source, doc.Host, doc.Destination
	s.Sequence, s.Created = doc.Sequence, doc.Created
	s.Images, s.Manifests, s.Blobs, s.Assumed = len(doc.Images), len(doc.Manifests), len(doc.Blobs), len(doc.Assumes)
	s.Bytes = sizeOf(doc)
}

// sizeOf returns the total size of the manifests and blobs of a bundle.
func sizeOf(doc *bundle.Document) (size int64) {
	for _, m := range doc.Manifests {
		size += m.Size
	}
	for _, b := range doc.Blobs {
		size += b.Size
	}
	return size
}
