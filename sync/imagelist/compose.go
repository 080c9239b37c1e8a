package imagelist

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// composeFile is a docker compose file: https://github.com/compose-spec/compose-spec/blob/main/spec.md
type composeFile struct {
	Services map[string]composeService
	Include  []yaml.Node
	Models   map[string]struct{ Model string }
}

type composeService struct {
	Image   string
	Build   yaml.Node
	Extends yaml.Node
	Volumes []yaml.Node
}

func isCompose(doc document) bool {
	services := get(doc.root, "services")
	if services == nil || services.Kind != yaml.MappingNode || get(doc.root, "apiVersion") != nil {
		return false
	}
	for _, service := range services.Content {
		if get(service, "image") != nil || get(service, "build") != nil || get(service, "extends") != nil {
			return true
		}
	}
	return false
}

func readCompose(l *List, doc document, opts Options) error {
	var file composeFile
	if err := doc.root.Decode(&file); err != nil {
		return err
	}
	c := compose{l, opts}
	for _, name := range slices.Sorted(maps.Keys(file.Services)) {
		c.service("service "+name, file.Services[name])
	}
	for _, name := range slices.Sorted(maps.Keys(file.Models)) {
		c.image("model "+name, file.Models[name].Model)
	}
	if len(file.Include) > 0 {
		l.missing("include", "included files are not read: give each with --file as well")
	}
	return nil
}

// compose reads the services of a file into a list.
type compose struct {
	*List
	opts Options
}

func (c compose) service(part string, s composeService) {
	c.image(part, s.Image)
	switch {
	case !s.Build.IsZero() && s.Image == "":
		c.missing(part, "its image is built and has no name in a registry: build it and push it to the mirror")
	case !s.Build.IsZero():
		c.note(part, "its image can also be built: if no registry has it, build it and push it to the mirror")
	}
	if file := get(&s.Extends, "file"); file != nil {
		c.missing(part, "it extends a service in %s: give that file with --file as well", file.Value)
	}
	for i := range s.Volumes {
		if kind, source := get(&s.Volumes[i], "type"), get(&s.Volumes[i], "source"); kind != nil && kind.Value == "image" && source != nil {
			c.image(part, source.Value)
		}
	}
}

// image adds an image with the variables in its name replaced.
func (c compose) image(part, text string) {
	name, unset, err := interpolate(text, c.opts.Variable)
	switch {
	case err != nil:
		c.missing(part, "%q: %v", text, err)
	case len(unset) > 0:
		c.missing(part, "%q: %s not set: set it in the environment or in the file .env", text, variables(unset))
	default:
		c.add(name)
	}
}

func variables(names []string) string {
	if len(names) == 1 {
		return "the variable " + names[0] + " is"
	}
	return fmt.Sprintf("the variables %s are", strings.Join(names, ", "))
}
