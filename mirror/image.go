package mirror

import (
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
	Pinned   bool          `json:"pinned,omitempty"` // by its tag or digest; see [Pin]
}

// Ref returns the name of the image.
func (i Image) Ref() (Ref, error) {
	repo, err := ParseRepo(i.Repo)
	return Ref{Repo: repo, Tag: i.Tag, Digest: i.Root}, err
}
