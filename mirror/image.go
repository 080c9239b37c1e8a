package mirror

import (
	"math"
	"time"

	"github.com/opencontainers/go-digest"
)

// Image is a stored image for one platform under one name. The name is a tag or, for an image that was stored by its digest
// and has no tag, that digest.
type Image struct {
	Repo     string        `json:"repository"` // as [Repo.String] writes it
	Tag      string        `json:"tag"`
	Root     digest.Digest `json:"root,omitempty"` // the digest that names it if it has no tag, see [Catalog.Roots]
	Digest   digest.Digest `json:"digest"`
	Index    digest.Digest `json:"index,omitempty"`    // the index that has the image as an entry
	Platform string        `json:"platform,omitempty"` // os/arch[/variant] of the entry in the index, or of the config; may be empty
	Origin   Origin        `json:"origin"`             // of the tag or manifest
	Complete bool          `json:"complete"`           // everything that it needs to run is stored
	Size     int64         `json:"size"`               // bytes of all its blobs; 0 if its manifest is not stored
	Missing  int64         `json:"missing"`            // bytes of its blobs that are not stored
	Updated  time.Time     `json:"updated"`            // when the tag was created or last moved, or the image became a root
	LastUsed time.Time     `json:"lastUsed,omitzero"`
	Pulls    int64         `json:"pulls,omitempty"`  // by clients in the last 90 days
	Pinned   bool          `json:"pinned,omitempty"` // by its tag or digest; see [Pin]
	Attached
	Error string `json:"error,omitempty"` // why nothing else is known of the image, if its records cannot be read
}

// PullDay is how often clients pulled an image on a day.
type PullDay struct {
	Day   string `json:"day"` // as 2026-01-31, in UTC
	Pulls int64  `json:"pulls"`
}

// Ref returns the name of the image.
func (i Image) Ref() (Ref, error) {
	repo, err := ParseRepo(i.Repo)
	return Ref{Repo: repo, Tag: i.Tag, Digest: i.Root}, err
}

// ImageMatch selects the images of a list before they are read. A nil function selects all.
type ImageMatch struct {
	// Repo reports whether images of a repository may be selected.
	Repo func(Repo) bool
	// Name reports whether images of a name may be selected: a tag, or the digest of a root without a tag.
	Name func(Ref) bool
	// Tags returns the tags of a repository that may be selected, in order and without duplicates. Then no other names are
	// read. few is false if others may be selected as well.
	Tags func(Repo) (tags []string, few bool)
	// Image reports whether an image is selected. Only its Repo, Tag, Root, Digest and Index are set.
	Image func(Image) bool
}

// Summary is what a store knows of an image without reading its manifest.
type Summary struct {
	Tag      Tag // of a reference by tag
	Digest   digest.Digest
	Origin   Origin // of the manifest
	LastUsed time.Time
	Attached // the referrers of Digest itself
	// Measured says that the image consists of its manifest, which is intact, and of blobs that it needs, and names nothing
	// else. Size, Missing, Complete, Platform and Config are set only then. Otherwise, its manifest says what belongs to it.
	Measured bool
	Size     int64         // bytes of all its blobs
	Missing  int64         // bytes of its blobs that are not stored, or whose files are missing or have another size
	Complete bool          // all blobs are stored
	Platform string        // os/arch or os/arch/variant, if the store has recorded it
	Config   digest.Digest // of an image whose config must be read for the platform; "" for others
	// Err is a [CodeManifestUnknown] for a reference that is not stored, or the reason why its records cannot be read.
	Err error
}

// AddSizes adds sizes, which manifests of others may claim. It returns the maximum instead of overflowing.
func AddSizes(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
