// Package prefetch fetches images ahead of need. It reads lists of images, finds the tags that are selected, and has the
// mirror fetch them.
//
// # Names
//
// Images are named as in other tools: alpine, alpine:3, ghcr.io/org/app@sha256:…, with or without docker:// or oci://
// in front. A name without a tag means latest, unless the request selects tags. An image that is named by a digest
// becomes a root ([mirror.ImportedTag]). For name:tag@digest, the digest is fetched and the tag is set to it, even if
// the tag points at another digest upstream.
//
// # Failures
//
// A failure of one image does not affect the others. Each failure is reported with the image, or with the text that could
// not be parsed, and its reason; so is each image that was not fetched because the run was canceled. Another run is cheap:
// stored content is not fetched again.
//
// A stored tag is reported as not checked if its upstream does not answer or does not confirm it.
package prefetch

import (
	"context"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// Fetcher fetches what is missing. A mirror implements it.
type Fetcher interface {
	Tags(ctx context.Context, repo mirror.Repo, after string, n int) (mirror.Listing[string], error)
	Fetch(ctx context.Context, ref mirror.Ref, opts mirror.FetchOptions) (mirror.Fetched, error)
	FetchBlob(ctx context.Context, repo mirror.Repo, d digest.Digest, p mirror.Progress) error
	PeekBlob(ctx context.Context, repo mirror.Repo, d digest.Digest) (size, missing int64, err error)
	FindDigest(ctx context.Context, repo mirror.Repo, text string) (digest.Digest, error)
	Names() mirror.Names
}
