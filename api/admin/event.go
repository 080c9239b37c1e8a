package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"airmirror/sync/progress"
)

// Event is a line in the answer of a job. Every job sends events of this one type: any number of progress events and
// items, in any order, and one summary last. A job that fails sends no summary; the error follows as the last line.
type Event struct {
	// ID numbers the items and the summary of a job from 1. It is 0 for progress, and in the answers of calls.
	ID int64 `json:"id,omitempty"`
	// Time is when the mirror sent the event, in UTC.
	Time time.Time `json:"time"`
	// Kind says which of the following fields is set: [KindProgress] stands for Progress, [KindSummary] for Summary and
	// every other kind for Item.
	Kind     Kind      `json:"kind"`
	Progress *Progress `json:"progress,omitempty"`
	// Item is one result of the job. Its type depends on the job and the kind; see the package comment.
	Item json.RawMessage `json:"item,omitempty"`
	// Summary is the result of the whole job. Its type depends on the job; see the package comment.
	Summary json.RawMessage `json:"summary,omitempty"`
}

// Kind is the kind of an [Event].
type Kind string

// The kinds of events.
const (
	KindProgress Kind = "progress"
	KindSummary  Kind = "summary"

	KindBundle     Kind = "bundle"     // an exported bundle
	KindCandidate  Kind = "candidate"  // something that a collection or removal would delete
	KindDefect     Kind = "defect"     // stored content that is damaged, missing or unknown
	KindDeleted    Kind = "deleted"    // something that a collection or removal deleted
	KindDropped    Kind = "dropped"    // events that the mirror does not keep any more
	KindEnd        Kind = "end"        // the end of a job that succeeded
	KindFile       Kind = "file"       // a file with names of images that a command has read
	KindFetch      Kind = "fetch"      // an image that an export would fetch first
	KindImage      Kind = "image"      // an image that was synced, exported or imported
	KindIncomplete Kind = "incomplete" // an image that an export could not fetch completely
	KindKept       Kind = "kept"       // something that was not deleted, or a pushed tag that was not moved
	KindNext       Kind = "next"       // the volume that an import continues with
	KindNotChecked Kind = "notChecked" // an image whose upstream did not confirm it
	KindNote       Kind = "note"       // information about imported content
	KindPin        Kind = "pin"        // a pinned reference
	KindPlan       Kind = "plan"       // the plan of a collection
	KindProtected  Kind = "protected"  // an image that a collection would keep
	KindRepository Kind = "repository" // the usage, or the migration, of a repository
	KindSkipped    Kind = "skipped"    // something that was left out, with the reason
	KindUnread     Kind = "unread"     // a part of a file that was not read
)

// Progress says how far a job is.
type Progress = progress.Snapshot

// Decode decodes the item or the summary of an event into v.
func (e *Event) Decode(v any) error {
	text := e.Item
	if e.Kind == KindSummary {
		text = e.Summary
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("decode the %s event of the mirror: %w", e.Kind, err)
	}
	return nil
}

// Report sends an event to the client of a job. It is safe for concurrent use.
type Report func(Event)

// Progress sends a progress event.
func (r Report) Progress(p Progress) {
	r(Event{Time: now(), Kind: KindProgress, Progress: &p})
}

// Item sends an item. It panics if the item cannot be encoded as JSON.
func (r Report) Item(kind Kind, item any) {
	r(Event{Time: now(), Kind: kind, Item: encode(item)})
}

// Summary sends the summary. It panics if the summary cannot be encoded as JSON.
func (r Report) Summary(summary any) {
	r(Event{Time: now(), Kind: KindSummary, Summary: encode(summary)})
}

func now() time.Time { return time.Now().UTC() }

func encode(v any) json.RawMessage {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("encode an event of type %T: %v", v, err))
	}
	return bytes.TrimSpace(text.Bytes())
}

// NewReporter returns a reporter whose progress is sent with r. The caller closes it before it sends the summary.
func (r Report) NewReporter() *progress.Reporter {
	return progress.New(r.Progress)
}
