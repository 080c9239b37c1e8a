package transfer

import (
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/sync/bundle"
	"airmirror/sync/progress"
)

// Kinds of [Event].
const (
	// KindPlan is reported once, when the plan is known. Images is the number of images, Total the number of bytes.
	KindPlan = "plan"
	// KindProgress comes regularly, with Total, Done and Doing.
	KindProgress = "progress"
	// KindImage reports an Image that is planned, imported, or would be imported.
	KindImage = "image"
	// KindSkipped reports that Name was skipped, and the Reason.
	KindSkipped = "left"
	// KindNote tells in Reason what has to be known about Name to use what was imported.
	KindNote = "note"
	// KindKept reports a pushed tag that an import did not move.
	KindKept = "kept"
	// KindNext reports which volume is needed Next.
	KindNext = "next"
	// KindDone is reported last, with the Summary.
	KindDone = "done"
)

// Event reports progress or a result of an export or import.
type Event struct {
	Time    time.Time
	Kind    string
	Images  int
	Total   int64 // bytes to do
	Done    int64 // bytes done, including those that need no transfer
	Doing   string
	Image   *bundle.Image
	Name    string
	Reason  string
	Kept    *KeptTag
	Next    *NextVolume
	Summary *Summary
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
	Duration    float64       `json:"duration"`                  // in seconds
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

// reporter sends events, including regular progress events. It implements [mirror.Progress].
type reporter struct {
	*progress.Reporter
	out   func(Event)
	began time.Time
}

// newReporter returns a reporter. out may be nil. The caller calls Close.
func newReporter(out func(Event)) *reporter {
	t := &reporter{out: out, began: time.Now()}
	if out == nil {
		t.out = func(Event) {}
	}
	t.Reporter = progress.New(func() { t.report(Event{Kind: KindProgress}) })
	return t
}

// report completes an event and sends it.
func (t *reporter) report(event Event) {
	t.Report(func(now progress.Snapshot) {
		event.Time = now.Time
		if event.Kind == KindProgress {
			event.Doing = now.Current
		}
		if event.Kind != KindPlan {
			event.Done, event.Total = now.Done, now.Total
		}
		t.out(event)
	})
}

// reportSummary sends the summary as the last event.
func (t *reporter) reportSummary(s *Summary) {
	s.Duration = time.Since(t.began).Seconds()
	t.report(Event{Kind: KindDone, Summary: s})
}
