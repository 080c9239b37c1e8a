package mirror

import "time"

// VerifyOptions say how thoroughly is verified, and what is done about flaws. The zero value reads everything as fast as
// it can and changes nothing.
type VerifyOptions struct {
	// Fast reads no content: only sizes, and what the index says.
	Fast bool
	// Repair mends what is wrong, fetches it again where an upstream has it, and wants it where not.
	Repair bool
	// Rate is how many bytes of content are read in a second; there is no limit if it is zero.
	Rate int64
	// Progress is told about bytes of content; nobody is if it is nil.
	Progress Progress
}

// VerifyEvent is a flaw and what was done about it.
type VerifyEvent struct {
	Defect
	Repaired bool   `json:"repaired,omitempty"`
	Fetched  bool   `json:"fetched,omitempty"` // it is held again
	Wanted   bool   `json:"wanted,omitempty"`  // it is not, and among the wants
	Error    string `json:"error,omitempty"`   // what kept it from being mended, or read
}

// VerifySummary is what came of verifying.
type VerifySummary struct {
	Started  time.Time          `json:"started"`
	Seconds  float64            `json:"seconds"` // that it took, while something was done
	Fast     bool               `json:"fast,omitempty"`
	Repair   bool               `json:"repair,omitempty"`
	Files    int64              `json:"files"`             // that were checked
	Bytes    int64              `json:"bytes"`             // of these
	Defects  map[DefectKind]int `json:"defects,omitempty"` // found, by what is wrong
	Repaired int                `json:"repaired,omitempty"`
	Fetched  int                `json:"fetched,omitempty"` // again
	Wanted   int                `json:"wanted,omitempty"`
	Failed   int                `json:"failed,omitempty"` // could not be mended, or read
	// Incomplete is how many of [Mirror.Images] were not complete at the end: also those whose rest never came, which is no
	// flaw.
	Incomplete int `json:"incomplete"`
}

// Add counts an event.
func (s *VerifySummary) Add(event VerifyEvent) {
	if s.Defects == nil {
		s.Defects = make(map[DefectKind]int)
	}
	s.Defects[event.Kind]++
	for _, did := range []struct {
		what bool
		n    *int
	}{{event.Repaired, &s.Repaired}, {event.Fetched, &s.Fetched}, {event.Wanted, &s.Wanted}, {event.Error != "", &s.Failed}} {
		if did.what {
			*did.n++
		}
	}
}

// VerifyStatus is how the last verification went.
type VerifyStatus struct {
	Running bool           `json:"running"`        // one is under way
	Last    *VerifySummary `json:"last,omitempty"` // the last that came to its end; nil if none has
}
