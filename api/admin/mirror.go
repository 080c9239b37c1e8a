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
	Images(ctx context.Context, match mirror.ImageMatch) iter.Seq2[mirror.Image, error]
	FindDigest(ctx context.Context, repo mirror.Repo, text string) (digest.Digest, error)
	Switches
	WantLister
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
