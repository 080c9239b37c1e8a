package proxy

import (
	"time"

	"airmirror/mirror"
)

// verifyRecord is a [mirror.VerifySummary] as the store keeps it. Its keys are those of existing data folders: they do not
// change when the keys of the admin API do. The fields are those of VerifySummary, so that one converts to the other.
type verifyRecord struct {
	Started    time.Time                 `json:"started"`
	Seconds    float64                   `json:"seconds"`
	Fast       bool                      `json:"fast,omitempty"`
	Repair     bool                      `json:"repair,omitempty"`
	Files      int64                     `json:"files"`
	Bytes      int64                     `json:"bytes"`
	Defects    map[mirror.DefectKind]int `json:"flaws,omitempty"`
	Leftovers  int                       `json:"leftovers,omitempty"`
	Repaired   int                       `json:"mended,omitempty"`
	Fetched    int                       `json:"fetched,omitempty"`
	Wanted     int                       `json:"wanted,omitempty"`
	Failed     int                       `json:"failed,omitempty"`
	Incomplete int                       `json:"incomplete"`
}
