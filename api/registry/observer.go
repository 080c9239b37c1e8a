package registry

import (
	"context"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// Observer is an [http.ResponseWriter] that wants to know what its request turned out to be.
type Observer interface {
	// Observe is called once for each request, before an error is answered with, and after any other answer.
	Observe(Call)
}

// Call is a request as a [Handler] understood it, and what it did.
type Call struct {
	Request
	Parsed  bool // Request says what was asked for; else it was nothing that the API knows
	Repo    mirror.Repo
	Context context.Context // of the request, as it is after its client was admitted
	Outcome Outcome
	Err     error // what the answer is, or what broke it off; nil if all went well
}

// Did is what a request came to. Which fields are set depends on the request.
type Outcome struct {
	Digest    digest.Digest // of a manifest that was pushed, served or deleted, and of a blob that was mounted
	MediaType string        // of a manifest
	Size      int64         // in bytes, of a manifest or of a blob that was pushed
	Tags      []string      // of a manifest that was to be pushed
	// Was is what Tags pointed at before, where that was another manifest.
	Previous map[string]digest.Digest
	Mounted  bool
}

// String is what an endpoint is called in metrics and logs.
func (e Endpoint) String() string {
	return [...]string{"base", "catalog", "tags", "referrers", "manifest", "blob", "uploads", "upload"}[e]
}
