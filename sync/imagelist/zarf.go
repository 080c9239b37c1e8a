package imagelist

import (
	"cmp"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// zarfPackage is a zarf.yaml, of version v1alpha1 or v1beta1: https://docs.zarf.dev/ref/components/
type zarfPackage struct {
	Components []zarfComponent `yaml:"components"`
	Component  zarfComponent   `yaml:"component"` // of a ZarfComponentConfig
}

type zarfComponent struct {
	Name          string                  `yaml:"name"`
	Images        []zarfImage             `yaml:"images"`
	ImageArchives []struct{ Path string } `yaml:"imageArchives"`
	Import        zarfImport              `yaml:"import"`
	Repos         []yaml.Node             `yaml:"repos"`
	Repositories  []yaml.Node             `yaml:"repositories"`
	Files         []yaml.Node             `yaml:"files"`
	Charts        []yaml.Node             `yaml:"charts"`
	Manifests     []yaml.Node             `yaml:"manifests"`
}

type zarfImport struct {
	Path   string                  `yaml:"path"`
	URL    string                  `yaml:"url"`
	Local  []struct{ Path string } `yaml:"local"`
	Remote []struct{ URL string }  `yaml:"remote"`
}

// zarfImage is a name, or in v1beta1 an object with one.
type zarfImage struct{ name, source string }

// UnmarshalYAML implements [yaml.Unmarshaler].
func (i *zarfImage) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		return node.Decode(&i.name)
	}
	var image struct{ Name, Source string }
	err := node.Decode(&image)
	i.name, i.source = image.Name, image.Source
	return err
}

func isZarf(doc document) bool {
	kind := doc.scalar("kind")
	return kind == "ZarfPackageConfig" || kind == "ZarfInitConfig" || kind == "ZarfComponentConfig"
}

func readZarf(l *List, doc document, _ Options) error {
	var zarf zarfPackage
	if err := doc.root.Decode(&zarf); err != nil {
		return err
	}
	for i, component := range zarf.Components {
		l.zarfComponent(component, "component "+cmp.Or(component.Name, fmt.Sprint(i)))
	}
	l.zarfComponent(zarf.Component, "component")
	return nil
}

// zarfComponent adds the images of a component. Zarf carries the listed images alone: its charts and manifests add none.
func (l *List) zarfComponent(component zarfComponent, name string) {
	for _, image := range component.Images {
		switch {
		case strings.Contains(image.name, "###ZARF_"):
			l.missing(name+": images", "%s has a variable of zarf: print the package with 'zarf dev inspect definition', and give that with --file", image.name)
		case image.source == "daemon":
			l.missing(name+": images", "%s is an image of the local Docker daemon: push it to the mirror", image.name)
		default:
			l.add(image.name)
		}
	}
	for _, archive := range component.ImageArchives {
		l.missing(name+": imageArchives", "import the archive itself: mirror import %s", archive.Path)
	}
	component.Import.each(func(from string) {
		l.missing(name+": import", "%s is not read: give its zarf.yaml with --file as well", from)
	})
	if len(component.Repos)+len(component.Repositories) > 0 {
		l.note(name+": repos", "git repositories are not images: they are not fetched")
	}
	if len(component.Files) > 0 {
		l.note(name+": files", "files are not images: they are not fetched")
	}
	if len(component.Charts)+len(component.Manifests) > 0 && len(component.Images) == 0 {
		l.note(name+": charts and manifests", "zarf fetches the images that a component lists, and this one lists none: 'zarf dev find-images' finds them")
	}
}

// each calls add with every source of an import.
func (i zarfImport) each(add func(from string)) {
	for _, from := range []string{i.Path, i.URL} {
		if from != "" {
			add(from)
		}
	}
	for _, local := range i.Local {
		add(local.Path)
	}
	for _, remote := range i.Remote {
		add(remote.URL)
	}
}
