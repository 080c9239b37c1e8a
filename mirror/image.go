package mirror

import (
	"time"

	"github.com/opencontainers/go-digest"
)

// Image is what is stored of an image for one platform under one name: a tag or, for what was brought in by its digest and
// has no tag, that digest.
type Image struct {
	Repo     string        `json:"repository"` // as [Repo.String] writes it
	Tag      string        `json:"tag"`
	Root     digest.Digest `json:"root,omitempty"` // what it is called in place of a tag, see [Catalog.Roots]
	Digest   digest.Digest `json:"digest"`
	Index    digest.Digest `json:"index,omitempty"`    // that the image is a platform of
	Platform string        `json:"platform,omitempty"` // os/arch[/variant], as its index or else its config says; empty for what has none
	Origin   Origin        `json:"origin"`             // of the tag or manifest
	Complete bool          `json:"complete"`           // it runs with no network
	Size     int64         `json:"size"`               // of all its blobs, in bytes; 0 if its manifest is not stored
	Missing  int64         `json:"missing"`            // of that, bytes that are not stored
	Updated  time.Time     `json:"updated"`            // when the tag was made or last moved, or it was brought in
	LastUsed time.Time     `json:"lastUsed,omitzero"`
	Pinned   bool          `json:"pinned,omitempty"` // by its tag or digest; see [Mirror.Pin]
}

// Ref is the name of the image.
func (i Image) Ref() (Ref, error) {
	repo, err := ParseRepo(i.Repo)
	return Ref{Repo: repo, Tag: i.Tag, Digest: i.Root}, err
}
