package gc

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// Policy says what a collection takes out. It can be read from a configuration; the zero value works: what nothing
// refers to goes, and nothing else.
type Policy struct {
	// Grace is for how long everything that was added, linked, pulled or asked for stays, whatever it is; an hour if it is
	// zero, and no time at all if it is negative.
	Grace Age `json:"grace,omitzero" yaml:"grace"`
	// Uploads is after how long without a byte an upload counts as left; a day if it is zero, never if it is negative.
	Uploads Age `json:"uploads,omitzero" yaml:"uploads"`
	// DeleteUntagged has manifests go that no tag leads to: not children of an index that stays, nor referrers of a
	// subject that stays.
	DeleteUntagged bool `json:"deleteUntagged,omitempty" yaml:"deleteUntagged"`
	// MaxSize is a budget: when more than that is held, mirrored images go, least recently used first, until no more than
	// ShrinkTo is left, which is 90% of MaxSize if it is zero. There is no budget if MaxSize is zero.
	MaxSize  Size `json:"maxSize,omitzero" yaml:"maxSize"`
	ShrinkTo Size `json:"shrinkTo,omitzero" yaml:"shrinkTo"`
	// KeepFree is another budget: when less than that of the disk is free, images go until FreeUpTo is free, which is a
	// fifth more than KeepFree if it is zero.
	KeepFree Share `json:"keepFree,omitzero" yaml:"keepFree"`
	FreeUpTo Share `json:"freeUpTo,omitzero" yaml:"freeUpTo"`
	// EvenOffline has mirrored images go that cannot be fetched again now.
	EvenOffline bool `json:"evenOffline,omitempty" yaml:"evenOffline"`
	// Names are patterns ([mirror.Match]) of repositories, host included, or of repository:tag, or a
	// repository@digest: what was pushed or imported under a name that matches goes for a budget like what is mirrored. Pinned images stay all the same.
	Names []string `json:"names,omitempty" yaml:"names"`
	// Rules say which tags are kept how long; the first that matches a repository counts.
	Rules []Rule `json:"rules,omitempty" yaml:"rules"`
}

// Rule says how long the tags of some repositories are kept. A tag goes if the rule names a reason and none to keep it,
// and an image goes with the last of its tags. What is pinned, young or cannot be fetched again stays all the same.
type Rule struct {
	// Match is a pattern ([mirror.Match]) of repositories, host included.
	Match string `json:"match" yaml:"match"`
	// KeepNewest is a reason to go for all tags but that many, those that were made or moved last; no reason if zero.
	KeepNewest int `json:"keepNewest,omitempty" yaml:"keepNewest,omitempty"`
	// DropUnusedFor is a reason to go for tags whose image was not pulled for so long; no reason if zero. With KeepNewest,
	// a tag goes if there are both reasons.
	DropUnusedFor Age `json:"dropUnusedFor,omitzero" yaml:"dropUnusedFor,omitempty"`
	// DropSupersededAfter has images go to which no tag leads any more, once they were not pulled for so long and a tag
	// of their repository was moved or made that long ago, but after they came; none if zero.
	DropSupersededAfter Age `json:"dropSupersededAfter,omitzero" yaml:"dropSupersededAfter,omitempty"`
	// SuspendPartial are patterns of tags that stay. They go for no budget either.
	Keep []string `json:"keep,omitempty" yaml:"keep,omitempty"`
	// Pushed has the rule hold for what was pushed or imported as well, and not only for what came from an upstream.
	Pushed bool `json:"pushed,omitempty" yaml:"pushed,omitempty"`
}

// Options are a policy and what it takes to follow it here. The zero value works.
type Options struct {
	Policy
	// Disk returns how large the disk is and how much of it is free, in bytes; needed for [Policy.KeepFree] alone.
	Disk func() (total, free int64, err error)
	// Planned is told of the plan before anything goes; nobody is if it is nil.
	Planned func(*Plan)
	// ListBlobs has [Plan.Candidates] list the blobs that go with images as well; they cost memory.
	ListBlobs bool
	// Pace is how long a sweep rests between two steps, as a multiple of how long the step took; no rest unless it is above
	// zero.
	Pace float64
}

const (
	defaultGrace   = time.Hour
	defaultUploads = 24 * time.Hour
)

// cutoff returns the moment after which something is too young to go.
func (p Policy) cutoff(now time.Time) time.Time {
	switch {
	case p.Grace < 0:
		return now
	case p.Grace == 0:
		return now.Add(-defaultGrace)
	}
	return now.Add(-time.Duration(p.Grace))
}

// idle returns the moment before which an upload was written to last if it counts as left; none if it is zero.
func (p Policy) staleBefore(now time.Time) time.Time {
	switch {
	case p.Uploads < 0:
		return time.Time{}
	case p.Uploads == 0:
		return now.Add(-defaultUploads)
	}
	return now.Add(-time.Duration(p.Uploads))
}

// named reports whether content was asked for by name.
func (p Policy) selects(repo, tag string) bool {
	return mirror.MatchAny(p.Names, repo) || tag != "" && mirror.MatchAny(p.Names, repo+":"+tag)
}

// selectsDigest reports whether a manifest was asked for by its digest.
func (p Policy) selectsDigest(repo string, d func() digest.Digest) bool {
	for _, name := range p.Names {
		if of, named, ok := strings.Cut(name, "@"); ok && of == repo && named == d().String() {
			return true
		}
	}
	return false
}

// Validate reports what makes no sense, for who wrote it.
func (p Policy) Validate() error {
	if p.MaxSize < 0 || p.ShrinkTo < 0 || p.MaxSize > 0 && p.ShrinkTo > p.MaxSize {
		return fmt.Errorf("shrinkTo %s is more than maxSize %s", p.ShrinkTo, p.MaxSize)
	}
	if !p.FreeUpTo.IsZero() && p.KeepFree.IsZero() {
		return errors.New("freeUpTo says nothing without keepFree")
	}
	for _, pattern := range p.Names {
		if ref, err := mirror.ParseRef(pattern); err == nil && ref.Digest != "" {
			continue
		}
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
		return errors.New("numbers and times cannot be negative")
	}
	for _, pattern := range r.Keep {
		if !mirror.ValidPattern(pattern) {
			return fmt.Errorf("%q is not a pattern of tags", pattern)
		}
	}
	return nil
}
