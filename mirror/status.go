package mirror

// Status is the state of a mirror.
type Status struct {
	Mode      Mode             `json:"mode"`
	ReadOnly  bool             `json:"readOnly,omitempty"`
	Upstreams []UpstreamStatus `json:"upstreams"`
	Downloads int              `json:"downloads"` // that are running
	// Incomplete is the number of stored images that are not complete. IncompleteError is why not all could be counted.
	// Images counts all of them.
	Incomplete      int          `json:"incomplete"`
	Images          ImageCounts  `json:"images"`
	IncompleteError string       `json:"incompleteError,omitempty"`
	Backfill        int          `json:"backfill"` // pulled images that are still to be completed
	Wants           int          `json:"wants"`
	Verify          VerifyStatus `json:"verify"`
}

// Counters count the outcomes of client requests since the mirror started. They do not count what the mirror or a command
// fetches, nor requests that only check whether a blob exists.
type Counters struct {
	Manifests Outcomes // requests by tag or digest, with or without the content
	Blobs     Outcomes // requests with the content
	// Wants is how often a miss added or updated a [Want].
	Wants uint64
}

// Outcomes are the outcomes of requests.
type Outcomes struct {
	Hits   uint64 // stored, and current if that was checked
	Stale  uint64 // stored, and served although the upstream could not be asked
	Misses uint64 // not stored, or outdated: fetched or, if that failed, refused
}
