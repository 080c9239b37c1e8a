package mirror

import "time"

// VerifyOptions configure a verification. The zero value reads everything as fast as possible and changes nothing.
type VerifyOptions struct {
	// Fast compares sizes and records, and reads no content.
	Fast bool
	// Repair repairs defects. Lost content is fetched again if an upstream has it, and otherwise becomes a want.
	Repair bool
	// Rate limits the bytes of content that are read per second; 0 means no limit.
	Rate int64
	// Progress receives the bytes of content that are read; it may be nil.
	Progress Progress
}

// VerifyEvent is a defect and what was done about it.
type VerifyEvent struct {
	Defect
	Repaired bool   `json:"repaired,omitempty"`
	Fetched  bool   `json:"fetched,omitempty"` // the content is stored again
	Wanted   bool   `json:"wanted,omitempty"`  // the content became a want
	Error    string `json:"error,omitempty"`   // why it could not be repaired or read
}

// VerifySummary is the result of a verification.
type VerifySummary struct {
	Started time.Time          `json:"started"`
	Seconds float64            `json:"seconds"` // that it took, without pauses
	Fast    bool               `json:"fast,omitempty"`
	Repair  bool               `json:"repair,omitempty"`
	Files   int64              `json:"files"`             // checked files
	Bytes   int64              `json:"bytes"`             // of the checked files
	Defects map[DefectKind]int `json:"defects,omitempty"` // by kind
	// Leftovers is the number of files that a crash left, which are no defects; see [Defect.IsLeftover].
	Leftovers int `json:"leftovers,omitempty"`
	Repaired  int `json:"repaired,omitempty"`
	Fetched   int `json:"fetched,omitempty"` // fetched again
	Wanted    int `json:"wanted,omitempty"`
	Failed    int `json:"failed,omitempty"` // could not be repaired or read
	// Incomplete is the number of images that were not complete at the end. An image that was never complete is not a
	// defect.
	Incomplete int `json:"incomplete"`
}

// Add adds an event to the counts.
func (s *VerifySummary) Add(event VerifyEvent) {
	switch {
	case event.IsLeftover():
		s.Leftovers++
	case s.Defects == nil:
		s.Defects = map[DefectKind]int{event.Kind: 1}
	default:
		s.Defects[event.Kind]++
	}
	for _, did := range []struct {
		what bool
		n    *int
	}{{event.Repaired, &s.Repaired}, {event.Fetched, &s.Fetched}, {event.Wanted, &s.Wanted}, {event.Error != "", &s.Failed}} {
		if did.what {
			*did.n++
		}
	}
}

// VerifyStatus is the state of verifications.
type VerifyStatus struct {
	Running bool           `json:"running"`        // a verification is running
	Last    *VerifySummary `json:"last,omitempty"` // the last complete one; nil if there is none
}
