// Package prefetch brings whole images in ahead of need: it reads lists of them, finds out which tags are meant, and has
// the mirror fetch them.
//
// # Names
//
// Images are named as people write them: alpine, alpine:3, ghcr.io/org/app@sha256:…, with or without docker:// or
// oci:// in front. A name without a tag means latest, unless the request selects tags. What is named by a digest becomes a root
// ([mirror.ImportedTag]). In name:tag@digest the upstream is asked for the digest, and the tag is pointed at it: who pins
// an image so says what the tag is to be, wherever its upstream has moved it since.
//
// # Failures
//
// One image that cannot be had keeps none of the others from being fetched. Each failure is named by the image, as it
// was written where it could not be understood, and says why; none is dropped, nor is what was left undone because the
// run was ended. To run again costs little: what is held is not fetched twice.
//
// A tag that is stored, and that its upstream cannot be asked about or does not confirm, is told as not checked.
package prefetch

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// Fetcher fetches what is missing. Package mirror/proxy implements it.
type Fetcher interface {
	Tags(ctx context.Context, repo mirror.Repo, after string, n int) (mirror.Listing[string], error)
	Fetch(ctx context.Context, ref mirror.Ref, opts mirror.FetchOptions) (mirror.Fetched, error)
	FetchBlob(ctx context.Context, repo mirror.Repo, d digest.Digest, p mirror.Progress) error
	PeekBlob(ctx context.Context, repo mirror.Repo, d digest.Digest) (size, missing int64, err error)
	FindDigest(ctx context.Context, repo mirror.Repo, text string) (digest.Digest, error)
	Names() mirror.Names
}

// Request says what to fetch. The same thing named twice is fetched once.
type Request struct {
	// Images, by name, as in the package comment.
	Images []string `json:"images"`
	// Wants of another mirror, or of this one.
	Wants []mirror.Want `json:"wants,omitempty"`
	// Platforms are the ones to fetch of each image, as [mirror.FetchOptions.Platforms] says; all if empty.
	Platforms []string `json:"platforms,omitempty"`
	// AllTags fetches every tag of the images. With it, or with Tags, an image must be named without a tag or digest.
	AllTags bool `json:"allTags,omitempty"`
	// Tags fetches the tags that any of these selects: globs, as v1.*, or ranges of semantic versions, as >=1.2 <2,
	// ~1.4 or ^2. Ranges read 1.21 as 1.21.0; they pass over tags that are no version, numbers without a dot included,
	// and over prereleases, which 1.21-alpine is, unless they name one.
	Tags []string `json:"tags,omitempty"`
	// Referrers has signatures and everything else that refers to the images fetched, too.
	Referrers bool `json:"referrers,omitempty"`
	// Skipped is how many IDs of images lists had, which are skipped ([WithoutIDs]), for the summary.
	Skipped int `json:"skipped,omitempty"`
	// Parallel is how many blobs are transferred at a time, over all images; 4 if it is zero.
	Parallel int `json:"parallel,omitempty"`
	// DryRun asks upstreams what there is, and stores nothing: what is new is what would be fetched.
	DryRun bool `json:"dryRun,omitempty"`
}

// The kinds of [Event].
const (
	// KindPlan comes once, when it is known what is to be fetched. Total is how many images that is.
	KindPlan = "plan"
	// KindProgress comes now and then. Total and Done are bytes to transfer and transferred so far; Total grows while
	// manifests come in. Doing says what is being worked on.
	KindProgress = "progress"
	// KindImage says what became of one image: Fetched, or Error, or both if some of it could be had; NotChecked if that is
	// about a stored copy that its upstream did not confirm. Total and Done are as in KindProgress.
	KindImage = "image"
	// KindDone comes last, with the Summary. Total and Done are as in KindProgress.
	KindDone = "done"
)

// Event is something that happened during [Run].
type Event struct {
	Time    time.Time
	Kind    string
	Image   string // host/path:tag or host/path@digest, or what could not be read as one
	Total   int64
	Done    int64
	Doing   string
	Fetched *mirror.Fetched
	Error   string
	// NotChecked is why the upstream could not be asked what a tag points at now, or which tags there are.
	NotChecked string
	Summary    *Summary
}

// Summary is what became of a request.
type Summary struct {
	Images   int      `json:"images"` // that were asked for, one for each tag that was selected
	Failed   int      `json:"failed"` // of them, those that are not held whole now
	Bytes    int64    `json:"bytes"`  // of all blobs of the images; what images share counts for each
	New      int64    `json:"new"`    // bytes that were not held before
	Failures []string `json:"failures,omitempty"`
	Skipped  int      `json:"skipped,omitempty"` // IDs of images, which name nothing; not among Images
	// NotChecked counts the images that are complete as stored, which their upstream did not confirm. Unchecked names them
	// with the reasons.
	NotChecked int      `json:"notChecked"`
	Unchecked  []string `json:"unchecked,omitempty"`
}
