package mirror

import (
	"time"

	"github.com/opencontainers/go-digest"
)

// Transfers are what a mirror fetches from upstreams now, and what it is going to fetch.
type Transfers struct {
	Downloads []Download `json:"downloads"` // that run, the oldest first
	// Backfill are pulled images that are still to be completed: those that run, then those that are tried next. Waiting is
	// the number of all of them, as there may be more than are listed.
	Backfill []BackfillImage `json:"backfill"`
	Waiting  int             `json:"waiting"`
}

// Download is the transfer of one blob from an upstream.
type Download struct {
	Repo        string        `json:"repository"` // that the upstream is asked for, as [Repo.String] writes it
	Digest      digest.Digest `json:"digest"`
	Upstream    string        `json:"upstream"` // host of the registry
	Received    int64         `json:"received"` // bytes
	Size        int64         `json:"size"`     // of the blob; -1 while it is unknown
	Subscribers int           `json:"subscribers"`
	Since       time.Time     `json:"since"`
}

// BackfillImage is a pulled image that is still to be completed.
type BackfillImage struct {
	Ref     string    `json:"reference"` // by digest, as [Ref.String] writes it
	Running bool      `json:"running,omitempty"`
	Tries   int       `json:"tries,omitempty"` // that failed
	Next    time.Time `json:"next,omitzero"`   // it is not tried before
}
