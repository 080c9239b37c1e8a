package mirror

import (
	"time"

	"github.com/opencontainers/go-digest"
)

// ImageDetails are what is stored of a manifest and of what belongs to it, for people. Texts come from the manifest and its
// configs, which are untrusted: they may have any character, and are shortened to a few KiB each.
type ImageDetails struct {
	Reference    string            `json:"reference"` // as [Ref.String] writes it
	Repo         string            `json:"repository"`
	Tag          string            `json:"tag,omitempty"`
	Digest       digest.Digest     `json:"digest"`
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Size         int64             `json:"size"` // bytes of the manifest itself
	Origin       Origin            `json:"origin"`
	Updated      time.Time         `json:"updated,omitzero"` // when the tag was created or last moved; of a tag
	Checked      time.Time         `json:"checked,omitzero"` // when the upstream last confirmed the tag
	LastUsed     time.Time         `json:"lastUsed,omitzero"`
	Pinned       bool              `json:"pinned,omitempty"` // by this tag or digest
	// Platforms are the images of an index, or the one image. Other is the number of entries that are not shown.
	Platforms []PlatformDetails `json:"platforms"`
	Other     int               `json:"other,omitempty"`
	UsedBy    ImageUsers        `json:"usedBy"`
	// Referrers are what refers to the manifest or to one of the Platforms: signatures, attestations, SBOMs. MoreReferrers
	// says that there are others.
	Referrers     []Referrer `json:"referrers"`
	MoreReferrers bool       `json:"moreReferrers,omitempty"`
	// Attached has the kinds of those that are stored. An attestation that is an entry of the index need not be.
	Attached
	// Manifest is the text of the manifest, if that was asked for.
	Manifest string `json:"manifest,omitempty"`
	// Error is why the manifest cannot be shown further; it is stored all the same.
	Error string `json:"error,omitempty"`
}

// ImageUsers are what names or is named by a manifest in its repository.
type ImageUsers struct {
	Tags    []string        `json:"tags,omitempty"`    // that point at it
	Indexes []digest.Digest `json:"indexes,omitempty"` // that have it as an entry
	Subject digest.Digest   `json:"subject,omitempty"` // that it refers to
	More    bool            `json:"more,omitempty"`    // there are others
}

// PlatformDetails are what is stored of an image for one platform.
type PlatformDetails struct {
	Platform     string         `json:"platform,omitempty"` // os/arch[/variant]
	Digest       digest.Digest  `json:"digest"`
	MediaType    string         `json:"mediaType"`
	ArtifactType string         `json:"artifactType,omitempty"`
	Stored       bool           `json:"stored"` // the manifest is stored; nothing else is known if it is not
	Complete     bool           `json:"complete"`
	Size         int64          `json:"size"`    // bytes of all its blobs
	Missing      int64          `json:"missing"` // bytes of its blobs that are not stored
	LastUsed     time.Time      `json:"lastUsed,omitzero"`
	Pulls        []PullDay      `json:"pulls,omitempty"`  // of the last 90 days, the oldest first
	Config       *ImageConfig   `json:"config,omitempty"` // nil if it is not stored, or is not that of an image
	History      []ImageHistory `json:"history,omitempty"`
	Layers       []ImageLayer   `json:"layers"`
	Error        string         `json:"error,omitempty"` // why something of it cannot be shown
}

// ImageConfig is what a config says of how its image runs.
type ImageConfig struct {
	Created      time.Time         `json:"created,omitzero"`
	Author       string            `json:"author,omitempty"`
	User         string            `json:"user,omitempty"`
	WorkingDir   string            `json:"workingDir,omitempty"`
	Entrypoint   []string          `json:"entrypoint,omitempty"`
	Cmd          []string          `json:"cmd,omitempty"`
	Env          []string          `json:"env,omitempty"`
	ExposedPorts []string          `json:"exposedPorts,omitempty"`
	Volumes      []string          `json:"volumes,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
	StopSignal   string            `json:"stopSignal,omitempty"`
}

// ImageHistory is a step of the build of an image.
type ImageHistory struct {
	Created    time.Time `json:"created,omitzero"`
	CreatedBy  string    `json:"createdBy,omitempty"`
	Comment    string    `json:"comment,omitempty"`
	EmptyLayer bool      `json:"emptyLayer,omitempty"` // the step made no layer
}

// ImageLayer is a blob of an image: a layer, or a file of an artifact.
type ImageLayer struct {
	Digest    digest.Digest `json:"digest"`
	MediaType string        `json:"mediaType,omitempty"`
	Size      int64         `json:"size"`
	Stored    bool          `json:"stored"`
	// Shared is the number of other manifests, in all repositories, that name it, up to [MaxShared].
	Shared int    `json:"shared"`
	Title  string `json:"title,omitempty"` // its file name, of an artifact
}

// MaxShared is the greatest number that [ImageLayer.Shared] counts to.
const MaxShared = 1000

// Referrer is a stored manifest that refers to another one, by its subject or by the tag of cosign.
type Referrer struct {
	Kind         ReferrerKind  `json:"kind"`
	Digest       digest.Digest `json:"digest"`
	Subject      digest.Digest `json:"subject"` // what it refers to
	MediaType    string        `json:"mediaType,omitempty"`
	ArtifactType string        `json:"artifactType,omitempty"`
	Size         int64         `json:"size,omitempty"`
	Tag          string        `json:"tag,omitempty"` // by which it refers
}
