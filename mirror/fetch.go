package mirror

import "github.com/opencontainers/go-digest"

// FetchOptions configure a fetch. The zero value fetches the complete image without its referrers.
type FetchOptions struct {
	// Platforms are the platforms to fetch, as os/arch or os/arch/variant; none means all. The platform of an image without
	// an index is that of its config.
	Platforms []string
	// Root makes a root of an image that is fetched by its digest, and SkipChildren none of its children; see [ImportedTag].
	Root, SkipChildren bool
	// Referrers fetches the referrers as well, such as signatures.
	Referrers bool
	// Parallel is the number of blobs that are fetched at a time. The default is 4.
	Parallel int
	// Budget limits the transfers of several fetches together: each transfer of a blob sends to it and receives at its end.
	// Nil means no common limit.
	Budget chan struct{}
	// Progress receives the bytes of blobs; it may be nil.
	Progress Progress
	// DryRun stores nothing. [Fetched.New] is then how many bytes would be fetched.
	DryRun bool
}

// Fetched is the result of a fetch.
type Fetched struct {
	Digest    digest.Digest `json:"digest"`
	Manifests int           `json:"manifests"` // of the image, including those that were stored before
	Blobs     int           `json:"blobs"`
	Bytes     int64         `json:"bytes"` // of all blobs
	New       int64         `json:"new"`   // bytes that were not stored before
	// NotChecked is why the upstream did not confirm what the tag points at; the result is then that of the stored image. It
	// is nil if no upstream is asked, as for a digest or a pushed tag. With [FetchOptions.Referrers], it may also be why the
	// referrers are unknown.
	NotChecked error `json:"-"`
}
