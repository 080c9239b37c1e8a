package registry

import (
	"context"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// Observer is implemented by an [http.ResponseWriter] that needs to know how the handler understood the request.
type Observer interface {
	// Observe is called once for each request: before an error response is written, and after any other response.
	Observe(Call)
}

// Call is a request as a [Handler] understood it, and its outcome.
type Call struct {
	Request
	Parsed  bool // whether Request is valid; false for URLs and methods outside the API
	Repo    mirror.Repo
	Context context.Context // of the request, after authorization
	Outcome Outcome
	Err     error // why the request failed or was aborted; nil on success
}

// Outcome is the result of a request. Which fields are set depends on the request.
type Outcome struct {
	Digest    digest.Digest // of a manifest that was pushed, served or deleted, or a blob that was mounted
	MediaType string        // of a manifest
	Size      int64         // of a pushed manifest or blob, in bytes
	Tags      []string      // of a pushed manifest
	// Previous is the digest that each tag had before, for tags that moved.
	Previous map[string]digest.Digest
	Mounted  bool
}
