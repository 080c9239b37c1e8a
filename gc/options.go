package gc

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// Policy says what a collection deletes. It can be read from a configuration. The zero value works: it deletes the
// blobs that no manifest uses, stale uploads and orphans.
type Policy struct {
	// Grace is the grace period: what was added, linked, pulled or requested within it is kept. Zero means an hour, a
	// negative value no grace period.
	Grace Age `json:"grace,omitzero" yaml:"grace"`
	// UploadTTL is the time without a write after which an upload is stale. Zero means a day; with a negative value no
	// upload is stale.
	UploadTTL Age `json:"uploadTTL,omitzero" yaml:"uploadTTL"`
	// DeleteUntagged deletes untagged manifests, except for children of an index that is kept and referrers of a
	// subject that is kept.
	DeleteUntagged bool `json:"deleteUntagged,omitempty" yaml:"deleteUntagged"`
	// MaxSize is a budget in bytes. If more is stored, mirrored images are deleted, least recently used first, until
	// no more than ShrinkTo is left. ShrinkTo is 90% of MaxSize if it is zero. There is no budget if MaxSize is zero.
	MaxSize  Size `json:"maxSize,omitzero" yaml:"maxSize"`
	ShrinkTo Size `json:"shrinkTo,omitzero" yaml:"shrinkTo"`
	// KeepFree is a budget by the free space of the disk. If less is free, images are deleted until FreeUpTo is free.
	// FreeUpTo is 120% of KeepFree if it is zero. There is no budget if KeepFree is zero.
	KeepFree Share `json:"keepFree,omitzero" yaml:"keepFree"`
	FreeUpTo Share `json:"freeUpTo,omitzero" yaml:"freeUpTo"`
	// EvictOffline deletes mirrored images even if they cannot be fetched again now.
	EvictOffline bool `json:"evictOffline,omitempty" yaml:"evictOffline"`
	// Evict are patterns ([mirror.Match]) of repositories with host, of repository:tag, or a repository@digest.
	// Pushed and imported images that match can be deleted for a budget, like mirrored ones. Pinned images are kept.
	Evict []string `json:"evict,omitempty" yaml:"evict"`
	// Rules are the retention rules. The first rule that matches a repository applies to it.
	Rules []Rule `json:"rules,omitempty" yaml:"rules"`
}

// Rule is a retention rule: it says how long the tags of some repositories are kept. A tag is deleted if the rule has
// a reason to delete it and none to keep it, and an image with the last of its tags. Images that are pinned, used
// within the grace period, or cannot be fetched again are kept.
type Rule struct {
	// Match is a pattern ([mirror.Match]) of repositories with host.
	Match string `json:"match" yaml:"match"`
	// KeepNewest is the number of tags to keep: those that were made or moved last. Other tags are deleted. Zero is
	// no reason to delete a tag.
	KeepNewest int `json:"keepNewest,omitempty" yaml:"keepNewest,omitempty"`
	// DropUnusedFor deletes tags whose image was not pulled for that long. Zero is no reason to delete a tag.
	// Together with KeepNewest, a tag is deleted only if both are reasons to.
	DropUnusedFor Age `json:"dropUnusedFor,omitzero" yaml:"dropUnusedFor,omitempty"`
	// DropSupersededAfter deletes untagged images that were superseded: they were not pulled for that long, and a tag
	// of their repository was made or moved that long ago, after they were added. Zero deletes none.
	DropSupersededAfter Age `json:"dropSupersededAfter,omitzero" yaml:"dropSupersededAfter,omitempty"`
	// Keep are patterns of tags that are kept, also when a budget is exceeded.
	Keep []string `json:"keep,omitempty" yaml:"keep,omitempty"`
	// IncludePushed applies the rule to pushed and imported images as well as to mirrored ones.
	IncludePushed bool `json:"includePushed,omitempty" yaml:"includePushed,omitempty"`
}

// Options are a policy and the means to follow it. The zero value works.
type Options struct {
	Policy
	// Disk returns the size and the free space of the disk, in bytes. Only [Policy.KeepFree] needs it.
	Disk func() (total, free int64, err error)
	// Planned, if not nil, is called with the plan before anything is deleted.
	Planned func(*Plan)
	// ListBlobs includes the blobs that are deleted with images in [Plan.Candidates]. The plan needs memory for them.
	ListBlobs bool
	// Throttle is how long a collection rests between two groups of requests, as a multiple of how long the store took
	// for the last. It does not rest unless Throttle is positive.
	Throttle float64
}

const (
	defaultGrace   = time.Hour
	defaultUploads = 24 * time.Hour
)

// cutoff returns the beginning of the grace period.
func (p Policy) cutoff(now time.Time) time.Time {
	switch {
	case p.Grace < 0:
		return now
	case p.Grace == 0:
		return now.Add(-defaultGrace)
	}
	return now.Add(-time.Duration(p.Grace))
}

// staleBefore returns the time before which a stale upload was last written; the zero time if no upload is stale.
func (p Policy) staleBefore(now time.Time) time.Time {
	switch {
	case p.UploadTTL < 0:
		return time.Time{}
	case p.UploadTTL == 0:
		return now.Add(-defaultUploads)
	}
	return now.Add(-time.Duration(p.UploadTTL))
}

// selects reports whether Evict matches a tag of a repository or, if tag is empty, the repository.
func (p Policy) selects(repo, tag string) bool {
	return mirror.MatchAny(p.Evict, repo) || tag != "" && mirror.MatchAny(p.Evict, repo+":"+tag)
}

// selectsDigest reports whether Evict contains a manifest by its digest.
func (p Policy) selectsDigest(repo string, d func() digest.Digest) bool {
	for _, name := range p.Evict {
		if of, named, ok := strings.Cut(name, "@"); ok && of == repo && named == d().String() {
			return true
		}
	}
	return false
}

// Validate returns an error that names the first invalid setting.
func (p Policy) Validate() error {
	if p.MaxSize < 0 || p.ShrinkTo < 0 || p.MaxSize > 0 && p.ShrinkTo > p.MaxSize {
		return fmt.Errorf("shrinkTo %s is more than maxSize %s", p.ShrinkTo, p.MaxSize)
	}
	if !p.FreeUpTo.IsZero() && p.KeepFree.IsZero() {
		return errors.New("freeUpTo has no effect without keepFree")
	}
	for _, pattern := range p.Evict {
		if !mirror.ValidPattern(pattern) {
			return fmt.Errorf("%q is not a pattern of repositories", pattern)
		}
	}
	for _, rule := range p.Rules {
		if err := rule.validate(); err != nil {
			return fmt.Errorf("rule for %s: %w", rule.Match, err)
		}
	}
	return nil
}

func (r Rule) validate() error {
	if !mirror.ValidPattern(r.Match) {
		return fmt.Errorf("%q is not a pattern of repositories", r.Match)
	}
	if r.KeepNewest < 0 || r.DropUnusedFor < 0 || r.DropSupersededAfter < 0 {
		return errors.New("numbers and durations cannot be negative")
	}
	for _, pattern := range r.Keep {
		if !mirror.ValidPattern(pattern) {
			return fmt.Errorf("%q is not a pattern of tags", pattern)
		}
	}
	return nil
}
