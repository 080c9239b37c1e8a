package prefetch

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"airmirror/mirror"
)

var lists = map[string]struct {
	text string
	want []string
	err  string // part of the error
}{
	"empty": {},
	"a list": {
		text: "# base images\nalpine:3.20\n\n  ghcr.io/org/app@sha256:abc  # pinned\ndocker://busybox\r\nalpine:3.20\n",
		want: []string{"alpine:3.20", "ghcr.io/org/app@sha256:abc", "docker://busybox"},
	},
	"a list without a last newline":             {text: "alpine", want: []string{"alpine"}},
	"a list of a registry with a port":          {text: "localhost:5000/app:1", want: []string{"localhost:5000/app:1"}},
	"a list that begins with a byte order mark": {text: "\ufeffalpine", want: []string{"alpine"}},
	"invalid names are for Run":                 {text: "alpine\nnot an image\n{{ x }}", want: []string{"alpine", "not an image", "{{ x }}"}},
	"comments alone":                            {text: "# nothing\n"},
	"a pod": {
		text: "# Source: chart/templates/pod.yaml\napiVersion: v1\nkind: Pod\nspec:\n  initContainers:\n  - image: busybox:1\n  containers:\n" +
			"    - name: app\n      image: \"ghcr.io/org/app:v1\" # comment\n    - {name: side, image: 'quay.io/org/side'}\n" +
			"    - image: >-\n        alpine:3\n      imagePullPolicy: Always\n",
		want: []string{"busybox:1", "ghcr.io/org/app:v1", "quay.io/org/side", "alpine:3"},
	},
	"documents, lists and other keys": {
		text: "---\nkind: List\nitems:\n- spec: {template: {spec: {containers: [{image: a:1}]}}}\n---\nimage:\n  repository: not\n  tag: this\n" +
			"---\nimage: 3\nimageID: no\ndata: |\n  image: inside-text\n--- # more\nimage: b:1\n---\nimage: a:1\n...\n",
		want: []string{"a:1", "b:1"},
	},
	"a volume that is an image": {text: "volumes:\n- name: v\n  image: {reference: a:1, pullPolicy: Always}\n", want: []string{"a:1"}},
	"a list of strings":         {text: "- \"a:1\"\n- b:1\n- 3\n", want: []string{"a:1", "b:1"}},
	"a kustomization": {
		text: "kind: Kustomization\nimages:\n- {name: a, newTag: v1}\n- {name: b, newName: c, digest: \"sha256:x\"}\n- {name: d, newName: e, newTag: \"1\", digest: \"sha256:y\"}\n- {name: f, newName: g}\n",
		want: []string{"a:v1", "c@sha256:x", "e:1@sha256:y"},
	},
	"anchors":                {text: "x: &img a:1\ny: {image: *img}\nz: &z {image: *img}\nw: *z\n", want: []string{"a:1"}},
	"JSON":                   {text: `{"items":[{"spec":{"containers":[{"image":"a:1"}]}}]}`, want: []string{"a:1"}},
	"line breaks of Windows": {text: "---\r\nimage: a:1\r\n---\r\nimage: b:1\r\n", want: []string{"a:1", "b:1"}},
	"a template that is YAML": {
		text: "kind: Pod\nimage: {{ .Values.image }}\nother: \"{{ x }}\"\n---\nimage: '{{ .Values.b }}:1'\n",
		want: []string{"{{ .Values.image }}", "{{ .Values.b }}:1"},
	},
	"a template that is not YAML": {
		text: "{{- if .Values.on }}\nimage: {{ .Values.image }}:{{ .Values.tag }}\n- image: \"{{ .Values.b }}\"\nimage:\n  tag: x\n{{- end }}\n---\nimage: a:1\n",
		want: []string{"{{ .Values.image }}:{{ .Values.tag }}", "{{ .Values.b }}", "a:1"},
	},
	"an invalid document": {
		text: "image: a:1\n---\nimage: [\n---\nimage: b:1\n",
		want: []string{"a:1", "b:1"}, err: "begins at line 2",
	},
}

func TestParseList(t *testing.T) {
	for name, tt := range lists {
		t.Run(name, func(t *testing.T) {
			got, err := ParseList(strings.NewReader(tt.text))
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
}

func TestParseListErrors(t *testing.T) {
	if _, err := ParseList(io.LimitReader(endless{}, maxList+1)); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("too large: %v", err)
	}
	broken := errors.New("broken")
	if _, err := ParseList(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("unreadable: %v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '\n'
	}
	return len(p), nil
}

func FuzzParseList(f *testing.F) {
	for _, tt := range lists {
		f.Add(tt.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		names, _ := ParseList(strings.NewReader(text))
		seen := make(map[string]bool)
		for _, name := range names {
			if name == "" || name != strings.TrimSpace(name) || seen[name] {
				t.Errorf("%q is empty, padded or named twice", name)
			}
			seen[name] = true
			if ref, _, err := ParseName(mirror.Names{}, name); err == nil {
				if again, err := mirror.ParseRef(ref.String()); err != nil || again != ref {
					t.Errorf("%q is read as %v, which is read as %v (%v)", name, ref, again, err)
				}
			}
		}
	})
}

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
		"alpine:":                          {"not a tag", false},
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
