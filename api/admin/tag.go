package admin

import "github.com/opencontainers/go-digest"

// TagRequest points a tag at a stored image.
type TagRequest struct {
	Source string `json:"source"` // the image, by tag or digest
	Target string `json:"target"` // the new name, with its tag
}

// Tagged is the result of a [TagRequest].
type Tagged struct {
	Reference string        `json:"reference"` // the new name, as [mirror.Ref.String] writes it
	Digest    digest.Digest `json:"digest"`
	Was       digest.Digest `json:"was,omitempty"` // what the tag pointed at before
	// Skipped is the number of platforms and referrers that were left out, as they are not stored completely.
	Skipped int `json:"skipped,omitempty"`
}
