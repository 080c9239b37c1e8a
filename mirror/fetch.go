package mirror

import "github.com/opencontainers/go-digest"

// FetchOptions say what of an image is fetched. The zero value works: all of it, without what refers to it.
type FetchOptions struct {
	// Platforms, as os/arch or os/arch/variant, choose among those of an index; empty means all. An image for one platform
	// is for that of its config.
	Platforms []string
	// Root makes a root ([ImportedTag]) of what is named by its digest: somebody asks for the image, and not a client that
	// pulls it. Loose is as for a [ImportedTag].
	Root, SkipChildren bool
	// Referrers has signatures and everything else that refers to the image fetched, too.
	Referrers bool
	// BackfillParallel is how many blobs are fetched at a time; 4 if it is zero.
	Parallel int
	// Budget is shared by fetches that run at the same time; nil means that there is none. Each transfer of a blob holds
	// one place of it, so that there are never more than its capacity, whatever Parallel says of one fetch.
	Budget chan struct{}
	// Progress is told about blobs; nobody is if it is nil.
	Progress Progress
	// DryRun asks what there is, and stores nothing: New is how many bytes would be fetched then.
	DryRun bool
}

// Fetched is what a fetch brought in.
type Fetched struct {
	Digest    digest.Digest `json:"digest"`
	Manifests int           `json:"manifests"` // all that the image has, held before or not
	Blobs     int           `json:"blobs"`
	Bytes     int64         `json:"bytes"` // of these blobs
	New       int64         `json:"new"`   // bytes that were not held before
	// NotChecked is why the upstream could not be asked what the tag points at now, or could not give it: all else is about
	// the stored copy then. It is nil for what has no upstream to ask: a digest, and what was pushed. With
	// [FetchOptions.Referrers], it may also be why it is not known what refers to the image, which fails no image.
	NotChecked error `json:"-"`
}
