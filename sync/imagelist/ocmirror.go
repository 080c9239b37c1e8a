package imagelist

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// imageSet is an ImageSetConfiguration:
// https://docs.redhat.com/en/documentation/openshift_container_platform/4.20/html/disconnected_environments/
type imageSet struct {
	Mirror struct {
		AdditionalImages []struct{ Name string } `yaml:"additionalImages"`
		BlockedImages    []struct{ Name string } `yaml:"blockedImages"`
		Operators        []struct{ Catalog string }
		Platform         yaml.Node
		Samples          []yaml.Node
		Helm             struct {
			Local        []struct{ Name, Path string }
			Repositories []struct {
				URL    string `yaml:"url"`
				Charts []struct{ Name, Version string }
			}
		}
	}
}

func isImageSet(doc document) bool {
	return doc.scalar("kind") == "ImageSetConfiguration"
}

func readImageSet(l *List, doc document, _ Options) error {
	var set imageSet
	if err := doc.root.Decode(&set); err != nil {
		return err
	}
	blocked := make([]*regexp.Regexp, 0, len(set.Mirror.BlockedImages))
	for _, image := range set.Mirror.BlockedImages {
		pattern, err := regexp.Compile(image.Name)
		if err != nil {
			return fmt.Errorf("mirror.blockedImages: %w", err)
		}
		blocked = append(blocked, pattern)
	}
	for i, image := range set.Mirror.AdditionalImages {
		name := strings.TrimPrefix(image.Name, "docker://")
		switch transport, _, _ := strings.Cut(name, ":"); {
		case matchesAny(blocked, name):
		case transport == "oci" || transport == "dir":
			l.missing(fmt.Sprintf("mirror.additionalImages[%d]", i), "%s is a folder: import it with 'mirror import'", name)
		default:
			l.add(name)
		}
	}
	l.imageSetCharts(set)
	for i, operator := range set.Mirror.Operators {
		l.missing(fmt.Sprintf("mirror.operators[%d]", i), "the operators in the catalog %s are not resolved: use oc-mirror for them, or list their images",
			cmp.Or(operator.Catalog, "without a name"))
	}
	if len(set.Mirror.Platform.Content) > 0 {
		l.missing("mirror.platform", "releases of OpenShift are not resolved: use oc-mirror for them, or list their images")
	}
	if len(set.Mirror.Samples) > 0 {
		l.missing("mirror.samples", "samples are not resolved: list their images")
	}
	return nil
}

func (l *List) imageSetCharts(set imageSet) {
	for _, chart := range set.Mirror.Helm.Local {
		l.Charts = append(l.Charts, Chart{Source: chart.Path})
	}
	for _, repository := range set.Mirror.Helm.Repositories {
		for _, chart := range repository.Charts {
			if source, ok := l.chartSource("mirror.helm.repositories: "+chart.Name, repository.URL, chart.Name, chart.Version); ok {
				l.Charts = append(l.Charts, Chart{Source: source})
			}
		}
	}
}

func matchesAny(patterns []*regexp.Regexp, text string) bool {
	for _, pattern := range patterns {
		if pattern.MatchString(text) {
			return true
		}
	}
	return false
}
