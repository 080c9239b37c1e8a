package imagelist

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"go.yaml.in/yaml/v3"
)

// skopeoRegistry is the part of a registry in a file of skopeo sync:
// https://github.com/containers/skopeo/blob/main/docs/skopeo-sync.1.md
type skopeoRegistry struct {
	Images   map[string][]string `yaml:"images"`              // all tags if there is none
	ByRegex  map[string]string   `yaml:"images-by-tag-regex"` // an expression that matches a part of a tag
	BySemver map[string]string   `yaml:"images-by-semver"`
}

// isSkopeo reports whether each value of the document is a registry with images.
func isSkopeo(doc document) bool {
	if doc.root.Kind != yaml.MappingNode || len(doc.root.Content) == 0 {
		return false
	}
	for i := 1; i < len(doc.root.Content); i += 2 {
		registry := doc.root.Content[i]
		images := get(registry, "images")
		if (images == nil || images.Kind != yaml.MappingNode) && get(registry, "images-by-tag-regex") == nil && get(registry, "images-by-semver") == nil {
			return false
		}
	}
	return true
}

func readSkopeo(l *List, doc document, _ Options) error {
	var registries map[string]skopeoRegistry
	if err := doc.root.Decode(&registries); err != nil {
		return err
	}
	for _, host := range slices.Sorted(maps.Keys(registries)) {
		if err := l.skopeo(host, registries[host]); err != nil {
			return fmt.Errorf("%s: %w", host, err)
		}
	}
	return nil
}

func (l *List) skopeo(host string, registry skopeoRegistry) error {
	for _, path := range slices.Sorted(maps.Keys(registry.Images)) {
		name, tags := host+"/"+path, registry.Images[path]
		if len(tags) == 0 {
			l.Selections = append(l.Selections, Selection{name, func(string) bool { return true }})
		}
		for _, tag := range tags {
			separator := ":"
			if strings.Contains(tag, ":") { // a digest
				separator = "@"
			}
			l.add(name + separator + tag)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(registry.ByRegex)) {
		expression, err := regexp.Compile(registry.ByRegex[path])
		if err != nil {
			return fmt.Errorf("images-by-tag-regex: %s: %w", path, err)
		}
		l.Selections = append(l.Selections, Selection{host + "/" + path, expression.MatchString})
	}
	for _, path := range slices.Sorted(maps.Keys(registry.BySemver)) {
		within, err := semver.NewConstraint(registry.BySemver[path])
		if err != nil {
			return fmt.Errorf("images-by-semver: %s: %w", path, err)
		}
		l.Selections = append(l.Selections, Selection{host + "/" + path, func(tag string) bool { return inRange([]*semver.Constraints{within}, tag) }})
	}
	return nil
}
