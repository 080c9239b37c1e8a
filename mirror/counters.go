package mirror

// Counters say what became of what clients asked for, since the mirror was opened. What it fetches by itself or for a
// command is not among it, nor is what nobody pulls: who only asks whether there is a blob.
type Counters struct {
	Manifests Outcomes // asked for by tag or digest, with or without their content
	Blobs     Outcomes // asked for with their content
	// Wants are the misses that became a [Want], each time.
	Wants uint64
}

// Outcomes are the three things that can become of a request for something.
type Outcomes struct {
	Hits   uint64 // held, and current as far as that was to be found out
	Stale  uint64 // held, and served though its upstream could not be asked
	Misses uint64 // not held, or only in an older version: fetched or, if that failed, refused
}
