package imagelist

import (
	"fmt"
	"strings"
)

// haulerManifest is a document of a hauler manifest: https://docs.hauler.dev/docs/hauler-usage/store/sync
type haulerManifest struct {
	Metadata struct {
		Annotations map[string]string `yaml:"annotations"`
	} `yaml:"metadata"`
	Spec struct {
		Images []struct {
			Name  string `yaml:"name"`
			Local bool   `yaml:"local"`
		} `yaml:"images"`
		Charts []haulerChart `yaml:"charts"`
	} `yaml:"spec"`
}

type haulerChart struct {
	Name        string   `yaml:"name"`
	RepoURL     string   `yaml:"repoURL"`
	Version     string   `yaml:"version"`
	ValuesFiles []string `yaml:"valuesFiles"`
	AddImages   bool     `yaml:"add-images"`
}

func isHauler(doc document) bool {
	group, _, _ := strings.Cut(doc.scalar("apiVersion"), "/")
	return strings.HasSuffix(group, ".hauler.cattle.io")
}

func readHauler(l *List, doc document, _ Options) error {
	var manifest haulerManifest
	if err := doc.root.Decode(&manifest); err != nil {
		return err
	}
	switch kind := doc.scalar("kind"); kind {
	case "Images":
		registry := manifest.Metadata.Annotations["hauler.dev/registry"]
		for i, image := range manifest.Spec.Images {
			if image.Local {
				l.missing(fmt.Sprintf("images[%d]", i), "%s is an image of the local Docker daemon: push it to the mirror", image.Name)
				continue
			}
			l.add(inRegistry(registry, image.Name))
		}
	case "Charts":
		for _, chart := range manifest.Spec.Charts {
			l.haulerChart(chart)
		}
	case "Files":
		l.note("Files", "files are not images: they are not fetched")
	default:
		l.missing(kind, "this kind of hauler manifest is not known: want Images, Charts or Files")
	}
	return nil
}

// haulerChart adds a chart. One in a registry is itself fetched like an image. Hauler adds the images of a chart only if
// it is asked to.
func (l *List) haulerChart(chart haulerChart) {
	part := "charts " + chart.Name
	source, ok := l.chartSource(part, chart.RepoURL, chart.Name, chart.Version)
	switch {
	case !ok:
	case chart.AddImages:
		l.Charts = append(l.Charts, Chart{Source: source, Values: chart.ValuesFiles})
	case strings.HasPrefix(source, ociScheme):
		l.add(source)
	default:
		l.note(part, "a chart in a file is not stored, and its images are not asked for: set add-images, or give the chart with --file")
	}
}

const ociScheme = "oci://"

// chartSource returns the source of a chart in a repository, which may be a registry or a folder. It returns false, and
// adds the reason, for a repository that the mirror cannot fetch from.
func (l *List) chartSource(part, repository, name, version string) (source string, ok bool) {
	switch {
	case strings.HasPrefix(repository, ociScheme):
		source = strings.TrimSuffix(repository, "/")
		if name != "" && !strings.HasSuffix(source, "/"+name) {
			source += "/" + name
		}
		if version != "" {
			source += ":" + strings.ReplaceAll(version, "+", "_") // as helm writes a version as a tag
		}
		return source, true
	case strings.Contains(repository, "://"):
		l.missing(part, "charts are not downloaded from %s: only configured registries are asked; run: helm pull --repo %s %s, and give the .tgz with --file",
			repository, repository, name)
		return "", false
	case repository == "" || repository == ".":
		return name, true
	}
	return strings.TrimSuffix(repository, "/") + "/" + name, true
}

// inRegistry returns a name with a registry in front of it, unless it has one.
func inRegistry(registry, name string) string {
	first, _, more := strings.Cut(name, "/")
	if registry == "" || more && (strings.ContainsAny(first, ".:") || first == "localhost") {
		return name
	}
	return strings.TrimSuffix(registry, "/") + "/" + name
}
