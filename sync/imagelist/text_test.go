package imagelist

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"airmirror/mirror"
	"airmirror/sync/prefetch"
)

var lists = map[string]struct {
	text   string
	format string
	want   []string
	err    string // part of the error
}{
	"empty": {format: "a list of images"},
	"a list": {
		text:   "# base images\nalpine:3.20\n\n  ghcr.io/org/app@sha256:abc  # pinned\ndocker://busybox\r\nalpine:3.20\n",
		format: "a list of images",
		want:   []string{"alpine:3.20", "ghcr.io/org/app@sha256:abc", "docker://busybox"},
	},
	"the images of k3s": {
		text:   "docker.io/rancher/klipper-helm:v0.9.8-build20250709\ndocker.io/rancher/mirrored-pause:3.6\n",
		format: "a list of images",
		want:   []string{"docker.io/rancher/klipper-helm:v0.9.8-build20250709", "docker.io/rancher/mirrored-pause:3.6"},
	},
	"a list without a last newline":             {text: "alpine", format: "a list of images", want: []string{"alpine"}},
	"a list of a registry with a port":          {text: "localhost:5000/app:1", format: "a list of images", want: []string{"localhost:5000/app:1"}},
	"a list that begins with a byte order mark": {text: "\ufeffalpine", format: "a list of images", want: []string{"alpine"}},
	"invalid names are for the sync":            {text: "alpine\nnot an image\n{{ x }}", format: "a list of images", want: []string{"alpine", "not an image", "{{ x }}"}},
	"comments alone":                            {text: "# nothing\n", format: "a list of images"},
	"a pod": {
		text: "# Source: chart/templates/pod.yaml\napiVersion: v1\nkind: Pod\nspec:\n  initContainers:\n  - image: busybox:1\n  containers:\n" +
			"    - name: app\n      image: \"ghcr.io/org/app:v1\" # comment\n    - {name: side, image: 'quay.io/org/side'}\n" +
			"    - image: >-\n        alpine:3\n      imagePullPolicy: Always\n",
		format: kubernetes,
		want:   []string{"busybox:1", "ghcr.io/org/app:v1", "quay.io/org/side", "alpine:3"},
	},
	"documents, lists and other keys": {
		text: "---\nkind: List\nitems:\n- spec: {template: {spec: {containers: [{image: a:1}]}}}\n---\nimage:\n  repository: not\n  tag: this\n" +
			"---\nimage: 3\nimageID: no\ndata: |\n  image: inside-text\n--- # more\nimage: b:1\n---\nimage: a:1\n...\n",
		format: kubernetes,
		want:   []string{"a:1", "b:1"},
	},
	"a volume that is an image": {text: "volumes:\n- name: v\n  image: {reference: a:1, pullPolicy: Always}\n", format: kubernetes, want: []string{"a:1"}},
	"a list of strings":         {text: "- \"a:1\"\n- b:1\n- 3\n", format: "a list of images", want: []string{"a:1", "b:1"}},
	"a kustomization": {
		text:   "kind: Kustomization\nimages:\n- {name: a, newTag: v1}\n- {name: b, newName: c, digest: \"sha256:x\"}\n- {name: d, newName: e, newTag: \"1\", digest: \"sha256:y\"}\n- {name: f, newName: g}\n",
		format: kubernetes,
		want:   []string{"a:v1", "c@sha256:x", "e:1@sha256:y"},
	},
	"anchors":                {text: "x: &img a:1\ny: {image: *img}\nz: &z {image: *img}\nw: *z\n", format: kubernetes, want: []string{"a:1"}},
	"JSON":                   {text: `{"items":[{"spec":{"containers":[{"image":"a:1"}]}}]}`, format: kubernetes, want: []string{"a:1"}},
	"line breaks of Windows": {text: "---\r\nimage: a:1\r\n---\r\nimage: b:1\r\n", format: kubernetes, want: []string{"a:1", "b:1"}},
	"a template that is YAML": {
		text:   "kind: Pod\nimage: {{ .Values.image }}\nother: \"{{ x }}\"\n---\nimage: '{{ .Values.b }}:1'\n",
		format: kubernetes,
		want:   []string{"{{ .Values.image }}", "{{ .Values.b }}:1"},
	},
	"a template that is not YAML": {
		text:   "{{- if .Values.on }}\nimage: {{ .Values.image }}:{{ .Values.tag }}\n- image: \"{{ .Values.b }}\"\nimage:\n  tag: x\n{{- end }}\n---\nimage: a:1\n",
		format: kubernetes,
		want:   []string{"{{ .Values.image }}:{{ .Values.tag }}", "{{ .Values.b }}", "a:1"},
	},
	"an invalid document": {
		text:   "image: a:1\n---\nimage: [\n---\nimage: b:1\n",
		format: kubernetes,
		want:   []string{"a:1", "b:1"}, err: "begins at line 2",
	},
	"two formats": {
		text:   "kind: Pod\nimage: a:1\n---\nservices: {web: {image: \"b:1\"}}\n",
		format: "Kubernetes YAML and a docker compose file",
		want:   []string{"a:1", "b:1"},
	},
}

func TestParseLists(t *testing.T) {
	for name, tt := range lists {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(strings.NewReader(tt.text), Options{})
			if !slices.Equal(got.Images, tt.want) || got.Format() != tt.format {
				t.Errorf("read as %s: %q, want %s: %q", got.Format(), got.Images, tt.format, tt.want)
			}
			if len(got.Unread) > 0 {
				t.Errorf("unread: %v", got.Unread)
			}
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	if _, err := Parse(io.LimitReader(endless{}, maxFile+1), Options{}); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("too large: %v", err)
	}
	broken := errors.New("broken")
	if _, err := Parse(iotest.ErrReader(broken), Options{}); !errors.Is(err, broken) {
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

func FuzzParse(f *testing.F) {
	for _, tt := range lists {
		f.Add(tt.text)
	}
	for _, tt := range files {
		f.Add(tt.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, _ := Parse(strings.NewReader(text), Options{})
		seen := make(map[string]bool)
		for _, name := range list.Images {
			if name == "" || name != strings.TrimSpace(name) || seen[name] {
				t.Errorf("%q is empty, padded or named twice", name)
			}
			seen[name] = true
			if ref, _, err := prefetch.ParseName(mirror.Names{}, name); err == nil {
				if again, err := mirror.ParseRef(ref.String()); err != nil || again != ref {
					t.Errorf("%q is read as %v, which is read as %v (%v)", name, ref, again, err)
				}
			}
		}
		for _, selection := range list.Selections {
			selection.Matches("v1.2.3")
		}
	})
}
