package mirror

// Status is how a mirror is doing.
type Status struct {
	Mode      Mode             `json:"mode"`
	ReadOnly  bool             `json:"readOnly,omitempty"`
	Upstreams []UpstreamStatus `json:"upstreams"`
	Downloads int              `json:"downloads"` // under way
	// Incomplete is how many of [Mirror.Images] are not complete; IncompleteError is why they could not all be counted.
	Incomplete      int          `json:"incomplete"`
	IncompleteError string       `json:"incompleteError,omitempty"`
	Backfill        int          `json:"backfill"` // images that were pulled and of which the rest is still to be fetched
	Wants           int          `json:"wants"`
	Verify          VerifyStatus `json:"verify"`
}
