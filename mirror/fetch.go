package mirror

import "github.com/opencontainers/go-digest"

// FetchOptions configure a fetch. The zero value fetches the complete image without its referrers.
type FetchOptions struct {
	// Platforms are the platforms to fetch, as os/arch or os/arch/variant; none means all. The platform of an image without
	// an index is that of its config.
	Platforms []string
	// Root makes an image that is fetched by its digest a root. SkipChildren excludes manifests that a stored index
	// names; see [ImportedTag].
	Root, SkipChildren bool
	// Referrers fetches the referrers as well, such as signatures.
	Referrers bool
	// Parallel is the number of blobs that are fetched at a time. The default is 4.
	Parallel int
	// Budget limits the transfers of several fetches together: each transfer of a blob sends a value to it at the start
	// and receives one at the end. Nil means no common limit.
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
	// NotChecked is the reason why the upstream did not confirm the digest of the tag; the result then describes the
	// stored image. It is nil if no request to an upstream was necessary, as for a digest or a pushed tag. With
	// [FetchOptions.Referrers], it may also be the reason why the referrers are unknown.
	NotChecked error `json:"-"`
}
