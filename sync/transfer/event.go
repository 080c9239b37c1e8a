package transfer

import (
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/sync/bundle"
	"airmirror/sync/progress"
)

// The kinds of [Event].
const (
	// KindPlan comes once, when it is known what is to be done. Images is how many there are, Total how many bytes.
	KindPlan = "plan"
	// KindProgress comes now and then, with Total, Done and Doing.
	KindProgress = "progress"
	// KindImage is about one Image: it is planned to go out, or it came in or would.
	KindImage = "image"
	// KindSkipped says of a Name why it was left out: Reason.
	KindSkipped = "left"
	// KindNote says about a Name what has to be known to use what came in: Reason.
	KindNote = "note"
	// KindKept says that an import would move a pushed tag, and that it was Kept.
	KindKept = "kept"
	// KindNext says which volume is wanted Next.
	KindNext = "next"
	// KindDone comes last, with the Summary.
	KindDone = "done"
)

// Event is something that happened during a transfer.
type Event struct {
	Time    time.Time
	Kind    string
	Images  int
	Total   int64 // bytes that there are to do
	Done    int64 // bytes that are done, those that need not be moved included
	Doing   string
	Image   *bundle.Image
	Name    string
	Reason  string
	Kept    *KeptTag
	Next    *NextVolume
	Summary *Summary
}

// KeptTag is a pushed tag that an import would have moved.
type KeptTag struct {
	Name   string        `json:"name"`   // host/path:tag
	Digest digest.Digest `json:"digest"` // what it points at
	Other  digest.Digest `json:"other"`  // what it would point at
}

// NextVolume says which volume of a set is wanted next.
type NextVolume struct {
	Set    string `json:"set"`
	Number int    `json:"number"` // from 1
	// Reason says why it is not the one after the volume that was sent; "" if it is.
	Reason string `json:"reason,omitempty"`
}

// Summary is what became of a transfer, for a form that people sign.
type Summary struct {
	Bundle      string        `json:"bundle,omitempty"` // its ID; "" for an archive that is no bundle
	Source      string        `json:"source,omitempty"`
	Host        string        `json:"host,omitempty"`
	Destination string        `json:"destination,omitempty"`
	Sequence    int64         `json:"sequence,omitempty"`
	Created     time.Time     `json:"created,omitzero"`
	Document    digest.Digest `json:"document,omitempty"` // of bundle.json, which lists everything else
	Signed      bool          `json:"signed,omitempty"`
	Key         string        `json:"key,omitempty"` // ID of the key whose signature was verified
	Images      int           `json:"images"`
	Skipped     int           `json:"skipped,omitempty"` // images that were left out
	Manifests   int           `json:"manifests"`
	Blobs       int           `json:"blobs"`
	Bytes       int64         `json:"bytes"`                     // of these manifests and blobs
	New         int64         `json:"new"`                       // of that, what the other side lacks or this one lacked
	Assumed     int           `json:"assumed"`                   // manifests and blobs that the other side is said to hold
	Kept        []KeptTag     `json:"kept,omitempty"`            // pushed tags
	Known       bool          `json:"alreadyImported,omitempty"` // it was imported before
	DryRun      bool          `json:"dryRun,omitempty"`          // nothing was changed
	Next        *NextVolume   `json:"next,omitempty"`            // it goes on with that one
	Duration    float64       `json:"duration"`                  // in seconds
}

// describe fills in what a document says.
func (s *Summary) describe(doc *bundle.Document) {
	s.Bundle, s.Source, s.Host, s.Destination = doc.ID, doc.Source, doc.Host, doc.Destination
	s.Sequence, s.Created = doc.Sequence, doc.Created
	s.Images, s.Manifests, s.Blobs, s.Assumed = len(doc.Images), len(doc.Manifests), len(doc.Blobs), len(doc.Assumes)
	s.Bytes = sizeOf(doc)
}

// sizeOf is how many bytes the manifests and blobs of a bundle have.
func sizeOf(doc *bundle.Document) (size int64) {
	for _, m := range doc.Manifests {
		size += m.Size
	}
	for _, b := range doc.Blobs {
		size += b.Size
	}
	return size
}

// teller passes events on, and progress now and then. It is the [mirror.Progress] of a transfer.
type reporter struct {
	*progress.Reporter
	out   func(Event)
	began time.Time
}

// newReporter returns a teller; tell may be nil. The caller calls Close.
func newReporter(tell func(Event)) *reporter {
	t := &reporter{out: tell, began: time.Now()}
	if tell == nil {
		t.out = func(Event) {}
	}
	t.Reporter = progress.New(func() { t.report(Event{Kind: KindProgress}) })
	return t
}

// tell completes an event and passes it on.
func (t *reporter) report(event Event) {
	t.Tell(func(now progress.Now) {
		event.Time = now.Time
		if event.Kind == KindProgress {
			event.Doing = now.Doing
		}
		if event.Kind != KindPlan {
			event.Done, event.Total = now.Done, now.Total
		}
		t.out(event)
	})
}

// done tells the summary.
func (t *reporter) reportSummary(s *Summary) {
	s.Duration = time.Since(t.began).Seconds()
	t.report(Event{Kind: KindDone, Summary: s})
}
