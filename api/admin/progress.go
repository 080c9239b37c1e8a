package admin

import "time"

// Progress says how far a job is.
type Progress struct {
	Time  time.Time `json:"time"`
	Done  int64     `json:"done"`  // bytes
	Total int64     `json:"total"` // bytes
	Doing string    `json:"doing,omitempty"`
}
