package prefetch

import (
	"strings"
	"testing"

	"airmirror/mirror"
)

func TestParseName(t *testing.T) {
	const d = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for name, want := range map[string]struct {
		ref    string
		tagged bool
	}{
		"alpine":                           {"docker.io/library/alpine:latest", false},
		"alpine:3":                         {"docker.io/library/alpine:3", true},
		"org/app":                          {"docker.io/org/app:latest", false},
		"docker.io/alpine":                 {"docker.io/library/alpine:latest", false},
		"index.docker.io/library/alpine:3": {"docker.io/library/alpine:3", true},
		"docker://ghcr.io/org/app:v1":      {"ghcr.io/org/app:v1", true},
		"oci://ghcr.io/org/app:v1":         {"ghcr.io/org/app:v1", true},
		"ghcr.io/org/app@" + d:             {"ghcr.io/org/app@" + d, true},
		"ghcr.io/org/app:v1@" + d:          {"ghcr.io/org/app:v1@" + d, true},
		"localhost:5000/app@" + d:          {"localhost:5000/app@" + d, true},
		"alpine:3@" + d:                    {"docker.io/library/alpine:3@" + d, true},
		"localhost:5000/app":               {"localhost:5000/app:latest", false},
		"registry.example:5000/a/b:1":      {"registry.example:5000/a/b:1", true},
		d:                                  {"is the ID of an image", false},
		d[len("sha256:"):]:                 {"is the ID of an image", false},
		d[len("sha256:"):] + ":1":          {"docker.io/library/" + d[len("sha256:"):] + ":1", true},
		"":                                 {"has no name", false},
		"docker://":                        {"has no name", false},
		"Alpine":                           {"not a repository name", false},
		"alpine:":                          {"has no tag after its colon", false},
		"alpine@sha256:12":                 {"invalid digest", false},
		"alpine:bad tag@" + d:              {"not a tag", false},
		strings.Repeat("a", 243):           {"repository name is longer", false},
		"two words":                        {"not a repository name", false},
		"{{ .Values.image }}":              {"is a template", false},
		"org/${NAME}:1":                    {"is a template", false},
	} {
		ref, tagged, err := ParseName(mirror.Names{}, name)
		got := ref.String()
		if err != nil {
			if got = err.Error(); strings.Contains(got, want.ref) {
				got = want.ref
			}
		}
		if got != want.ref || tagged != want.tagged {
			t.Errorf("%q: %s (tagged: %t), want %s (%t)", name, got, tagged, want.ref, want.tagged)
		}
	}
	ref, _, err := ParseName(mirror.Names{Default: "registry.example"}, "alpine")
	if err != nil || ref.String() != "registry.example/alpine:latest" {
		t.Errorf("bare names belong to the default registry: %v, %v", ref, err)
	}
}
