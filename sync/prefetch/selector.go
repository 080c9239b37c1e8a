package prefetch

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"
)

var errHasTag = errors.New("has a tag or digest, but the request selects tags: remove it from the name, or select no tags")

func matchesAny(choose []func(string) bool, tag string) bool {
	for _, ok := range choose {
		if ok(tag) {
			return true
		}
	}
	return false
}

// parseSelectors returns a function for each selector of a request.
func parseSelectors(req Request) (choose []func(string) bool, err error) {
	if req.AllTags {
		choose = append(choose, func(string) bool { return true })
	}
	for _, s := range req.Tags {
		ok, err := parseSelector(strings.TrimSpace(s))
		if err != nil {
			return nil, fmt.Errorf("cannot select tags by %q: %w", s, err)
		}
		choose = append(choose, ok)
	}
	return choose, nil
}

var missingVersion = regexp.MustCompile(`[<>=!~^]\s*[xX*]`)

// parseSelector parses a glob or a range of versions. A range begins with an operator, or contains a space, a comma or ||.
func parseSelector(s string) (func(tag string) bool, error) {
	if s == "" {
		return nil, fmt.Errorf("it is empty")
	}
	if !strings.ContainsRune("<>=!~^", rune(s[0])) && !strings.ContainsAny(s, " ,|") {
		_, err := path.Match(s, "")
		return func(tag string) bool { ok, _ := path.Match(s, tag); return ok }, err
	}
	if missingVersion.MatchString(s) { // semver would read it as a wildcard, which every version matches
		return nil, fmt.Errorf("an operator has no version after it")
	}
	within, err := semver.NewConstraint(s)
	if err != nil {
		return nil, err
	}
	return func(tag string) bool {
		version, ok := versionOf(tag)
		return ok && within.Check(version)
	}, nil
}

// versionOf parses a tag as a version: v1.4.2, or 1.21 and 22.04, which gets zero as its third number. A number without
// a dot is usually a date or a build number, which would be above every range.
func versionOf(tag string) (*semver.Version, bool) {
	numbers := strings.TrimPrefix(tag, "v")
	if i := strings.IndexAny(numbers, "-+"); i >= 0 {
		numbers = numbers[:i]
	}
	if !strings.Contains(numbers, ".") {
		return nil, false
	}
	version, err := semver.NewVersion(tag)
	return version, err == nil
}
