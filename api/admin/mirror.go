package admin

import (
	"context"
	"iter"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// Mirror is what a handler administers. Package mirror/proxy implements it.
type Mirror interface {
	Names() mirror.Names
	Status() mirror.Status
	// Transfers returns what is fetched of the repositories that repo selects; nil selects all.
	Transfers(repo func(mirror.Repo) bool) mirror.Transfers
	ImageLister
	Switches
	WantLister
}

// ImageLister lists the stored images. It sends no requests to upstreams, and counts as no use of what it lists.
type ImageLister interface {
	Images(ctx context.Context, match mirror.ImageMatch) iter.Seq2[mirror.Image, error]
	ImagePage(ctx context.Context, q mirror.ImageQuery) (mirror.ImagePage, error)
	// ImageCounts counts the images of the repositories that repo selects; nil selects all.
	ImageCounts(ctx context.Context, repo func(mirror.Repo) bool) (mirror.ImageCounts, error)
	// CountByRepo counts the images of each repository that repo selects, as [mirror.Repo.String] writes it.
	CountByRepo(ctx context.Context, repo func(mirror.Repo) bool) (map[string]int, error)
	// Inspect returns what is stored of an image; see [mirror.ImageDetails].
	Inspect(ctx context.Context, ref mirror.Ref, raw bool) (mirror.ImageDetails, error)
	FindDigest(ctx context.Context, repo mirror.Repo, text string) (digest.Digest, error)
}

// Switches change how a mirror treats its upstreams and its clients.
type Switches interface {
	Mode() mirror.Mode
	SetMode(ctx context.Context, mode mirror.Mode) error
	ReadOnly() bool
	SetReadOnly(ctx context.Context, on bool) error
}

// WantLister lists wants and forgets them.
type WantLister interface {
	Wants() []mirror.Want
	ForgetWants(refs ...string) int
}
