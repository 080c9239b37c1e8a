package prefetch

import (
	"errors"

	"airmirror/mirror"
)

// Request selects what to fetch. Content that is named twice is fetched once.
type Request struct {
	// Images are names of images; see the package comment.
	Images []string `json:"images"`
	// Wants are wants of this mirror or of another one.
	Wants []mirror.Want `json:"wants,omitempty"`
	// Platforms are the platforms to fetch of each image, see [mirror.FetchOptions.Platforms]; all if empty.
	Platforms []string `json:"platforms,omitempty"`
	// AllTags selects every tag of the images. With AllTags or Tags, an image must be named without a tag or digest.
	AllTags bool `json:"allTags,omitempty"`
	// Tags selects the tags that match any of these: globs such as v1.*, or ranges of semantic versions such as >=1.2 <2,
	// ~1.4 or ^2. A range reads 1.21 as 1.21.0. It does not match tags that are not versions, numbers without a dot, or
	// prereleases such as 1.21-alpine, unless the range names a prerelease.
	Tags []string `json:"tags,omitempty"`
	// Referrers also fetches signatures and all other referrers of the images.
	Referrers bool `json:"referrers,omitempty"`
	// Skipped is the number of image IDs that were removed from a list, see [WithoutIDs]. It is copied to the summary.
	Skipped int `json:"skipped,omitempty"`
	// Parallel is how many blobs are transferred concurrently, over all images; 4 if zero.
	Parallel int `json:"parallel,omitempty"`
	// DryRun asks upstreams and stores nothing. Fetched.New is then the number of bytes that would be fetched.
	DryRun bool `json:"dryRun,omitempty"`
}

// Check returns the first error in a request. It is for requests that a person has typed: [Run] reports such errors and
// fetches the rest, which is right for a long list.
func (req Request) Check() error {
	if _, err := mirror.ParsePlatforms(req.Platforms); err != nil {
		return err
	}
	if req.Parallel < 0 {
		return errors.New("at least one blob has to be transferred at a time")
	}
	selectors, err := parseSelectors(req)
	if err != nil {
		return err
	}
	for _, name := range req.Images {
		_, d, tagged, err := parseName(mirror.Names{}, name)
		if err == nil && d != "" {
			err = mirror.ValidShortDigest(d)
		}
		if err == nil && tagged && selectors != nil {
			err = errHasTag
		}
		if err != nil {
			return Named(name, err)
		}
	}
	return nil
}
