package imagelist

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"go.yaml.in/yaml/v3"
)

// regsyncFile is the configuration of regsync: https://regclient.org/usage/regsync/
type regsyncFile struct{ Sync []regsyncStep }

type regsyncStep struct {
	Source, Type string
	Tags         regsyncTags
	TagSets      []regsyncTags `yaml:"tagSets"`
}

// regsyncTags selects tags that match an expression of Allow and are in a range of SemverRange, each if there is any, and
// match none of Deny.
type regsyncTags struct {
	Allow, Deny []string
	SemverRange []string `yaml:"semverRange"`
}

func isRegsync(doc document) bool {
	steps := get(doc.root, "sync")
	return steps != nil && steps.Kind == yaml.SequenceNode && len(steps.Content) > 0 && get(steps.Content[0], "source") != nil
}

func readRegsync(l *List, doc document, _ Options) error {
	var file regsyncFile
	if err := doc.root.Decode(&file); err != nil {
		return err
	}
	for i, step := range file.Sync {
		part := fmt.Sprintf("sync[%d]", i)
		switch {
		case strings.Contains(step.Source, "{{"):
			l.missing(part, "%s is a template: fill it in first", step.Source)
		case strings.HasPrefix(step.Source, "ocidir://"):
			l.missing(part, "%s is a folder: import it with 'mirror import'", step.Source)
		case step.Type == "repository":
			matches, err := step.matcher()
			if err != nil {
				return fmt.Errorf("%s: %w", part, err)
			}
			l.Selections = append(l.Selections, Selection{withoutTag(step.Source), matches})
		case step.Type == "registry":
			l.missing(part, "the repositories of %s are not listed: name each in a step of type repository", step.Source)
		case step.Type == "image" || step.Type == "":
			l.add(step.Source)
		default:
			l.missing(part, "the type %q is not known", step.Type)
		}
	}
	return nil
}

// matcher returns a function for the tags that any set of the step selects.
func (s regsyncStep) matcher() (func(tag string) bool, error) {
	sets := s.TagSets
	if len(sets) == 0 || !s.Tags.empty() {
		sets = append(sets, s.Tags)
	}
	var all []func(string) bool
	for _, set := range sets {
		matches, err := set.matcher()
		if err != nil {
			return nil, err
		}
		all = append(all, matches)
	}
	return func(tag string) bool {
		return slices.ContainsFunc(all, func(matches func(string) bool) bool { return matches(tag) })
	}, nil
}

func (s regsyncTags) empty() bool { return len(s.Allow)+len(s.Deny)+len(s.SemverRange) == 0 }

func (s regsyncTags) matcher() (func(tag string) bool, error) {
	allow, err := expressions(s.Allow)
	if err != nil {
		return nil, err
	}
	deny, err := expressions(s.Deny)
	if err != nil {
		return nil, err
	}
	var ranges []*semver.Constraints
	for _, text := range s.SemverRange {
		within, err := semver.NewConstraint(text)
		if err != nil {
			return nil, fmt.Errorf("range of versions %q: %w", text, err)
		}
		ranges = append(ranges, within)
	}
	return func(tag string) bool {
		return (len(ranges) == 0 || inRange(ranges, tag)) && (len(allow) == 0 || matchesAny(allow, tag)) && !matchesAny(deny, tag)
	}, nil
}

// expressions compiles expressions that match whole tags.
func expressions(texts []string) (all []*regexp.Regexp, err error) {
	for _, text := range texts {
		expression, err := regexp.Compile("^(?:" + text + ")$")
		if err != nil {
			return nil, err
		}
		all = append(all, expression)
	}
	return all, nil
}

// inRange reports whether a tag is a version in any of the ranges.
func inRange(ranges []*semver.Constraints, tag string) bool {
	version, err := semver.NewVersion(tag)
	if err != nil {
		return false
	}
	for _, within := range ranges {
		if within.Check(version) {
			return true
		}
	}
	return false
}

// withoutTag returns a name without its tag and digest.
func withoutTag(name string) string {
	name, _, _ = strings.Cut(name, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name = name[:i]
	}
	return name
}
