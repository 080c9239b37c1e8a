package registry

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// Mirror is what a handler serves. Package mirror/proxy implements it.
type Mirror interface {
	Names() mirror.Names
	Puller
	Lister
	Pusher
	Deleter
}

// Puller answers requests for manifests and blobs.
type Puller interface {
	Manifest(ctx context.Context, ref mirror.Ref) (mirror.Answer, error)
	StatManifest(ctx context.Context, ref mirror.Ref) (mirror.Answer, error)
	OpenManifest(ctx context.Context, repo mirror.Repo, d digest.Digest) (mirror.Blob, error)
	Blob(ctx context.Context, repo mirror.Repo, d digest.Digest) (mirror.Blob, error)
	StatBlob(ctx context.Context, repo mirror.Repo, d digest.Digest) (size int64, err error)
}

// Lister lists repositories, tags and referrers.
type Lister interface {
	Repos(ctx context.Context, after string, n int) ([]string, error)
	Tags(ctx context.Context, repo mirror.Repo, after string, n int) (mirror.Listing[string], error)
	Referrers(ctx context.Context, repo mirror.Repo, subject, after digest.Digest, n, size int) (mirror.Listing[v1.Descriptor], error)
}

// Pusher stores what clients push.
type Pusher interface {
	StartUpload(ctx context.Context, repo mirror.Repo, algorithm digest.Algorithm) (mirror.Upload, error)
	Upload(ctx context.Context, repo mirror.Repo, id string) (mirror.Upload, error)
	Mount(ctx context.Context, repo, from mirror.Repo, d digest.Digest) error
	Spool(ctx context.Context, r io.Reader) (*mirror.Spool, error)
	PutManifest(ctx context.Context, put mirror.Put) (mirror.Manifest, mirror.References, error)
	TagDigests(ctx context.Context, repo mirror.Repo, tags ...string) map[string]digest.Digest
}

// Deleter deletes manifests, tags and blobs.
type Deleter interface {
	Delete(ctx context.Context, ref mirror.Ref) error
	DeleteBlob(ctx context.Context, repo mirror.Repo, d digest.Digest) error
}
