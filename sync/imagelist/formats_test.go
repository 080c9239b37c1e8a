package imagelist

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// tagsOfTest are the tags that selections choose from.
var tagsOfTest = []string{"1.0", "1.1", "2.0", "edge", "v1.2.3", "v1.2.3-rc1"}

var files = map[string]struct {
	text       string
	format     string
	images     []string
	selections map[string][]string // the selected tags by repository
	charts     []string            // source and values
	missing    []string            // part and a piece of the reason of parts that lack images
	notes      []string            // the same for parts that name no images
	err        string
}{
	"hauler": {
		text: `
apiVersion: content.hauler.cattle.io/v1
kind: Images
metadata: {annotations: {hauler.dev/registry: reg.example}}
spec:
  images:
  - {name: team/app:1, platform: linux/amd64}
  - {name: ghcr.io/org/tool:2, key: cosign.pub}
  - {name: built:1, local: true}
---
apiVersion: content.hauler.cattle.io/v1
kind: Charts
spec:
  charts:
  - {name: web, repoURL: https://charts.example, version: 1.2.3}
  - {name: db, repoURL: "oci://ghcr.io/org/charts", version: 1.0.0+build, add-images: true, valuesFiles: [prod.yaml]}
  - {name: plain, repoURL: "oci://ghcr.io/org", version: "2"}
  - {name: local-1.tgz, repoURL: ., add-images: true}
  - {name: other, repoURL: charts}
---
apiVersion: content.hauler.cattle.io/v1
kind: Files
spec: {files: [{path: install.sh}]}
---
apiVersion: collection.hauler.cattle.io/v1
kind: K3s
`,
		format:  "a hauler manifest",
		images:  []string{"reg.example/team/app:1", "ghcr.io/org/tool:2", "oci://ghcr.io/org/plain:2"},
		charts:  []string{"oci://ghcr.io/org/charts/db:1.0.0_build prod.yaml", "local-1.tgz"},
		missing: []string{"images[2]: push it", "charts web: helm pull --repo https://charts.example web", "K3s: not known"},
		notes:   []string{"charts other: add-images", "Files: not images"},
	},
	"zarf": {
		text: `
kind: ZarfPackageConfig
metadata: {name: app}
components:
- name: web
  images:
  - ghcr.io/org/web:1
  - ghcr.io/org/###ZARF_PKG_TMPL_NAME###:1
  repos: [https://git.example/org/app.git]
- name: base
  import: {path: ../base}
- name: data
  imageArchives: [{path: images.tar, images: [a:1]}]
  charts: [{name: db, url: https://charts.example}]
  files: [{source: a, target: b}]
`,
		format: "a zarf package",
		images: []string{"ghcr.io/org/web:1"},
		missing: []string{"component web: images: zarf dev inspect definition", "component base: import: ../base is not read",
			"component data: imageArchives: mirror import images.tar"},
		notes: []string{"component web: repos: not images", "component data: files: not images", "component data: charts and manifests: zarf dev find-images"},
	},
	"zarf v1beta1": {
		text: `{apiVersion: zarf.dev/v1beta1, kind: ZarfPackageConfig, components: [{name: web,
  images: [{name: "ghcr.io/org/web:1"}, {name: "built:1", source: daemon}], import: {local: [{path: a.yaml}], remote: [{url: "oci://x/y"}]}}]}`,
		format:  "a zarf package",
		images:  []string{"ghcr.io/org/web:1"},
		missing: []string{"component web: images: push it", "component web: import: a.yaml", "component web: import: oci://x/y"},
	},
	"oc-mirror": {
		text: `
kind: ImageSetConfiguration
apiVersion: mirror.openshift.io/v2alpha1
mirror:
  platform: {channels: [{name: stable-4.20}]}
  operators: [{catalog: "registry.redhat.io/redhat/redhat-operator-index:v4.20", packages: [{name: web}]}]
  additionalImages:
  - name: registry.redhat.io/ubi9/ubi:latest
  - name: quay.io/org/blocked:1
  - name: oci:///data/layout
  blockedImages: [{name: org/blocked}]
  helm:
    local: [{name: app, path: charts/app-1.tgz}]
    repositories:
    - {name: web, url: "https://charts.example", charts: [{name: web, version: 1.2.3}]}
    - {name: ghcr, url: "oci://ghcr.io/org", charts: [{name: db, version: 1.0.0}]}
`,
		format: "an ImageSetConfiguration of oc-mirror",
		images: []string{"registry.redhat.io/ubi9/ubi:latest"},
		charts: []string{"charts/app-1.tgz", "oci://ghcr.io/org/db:1.0.0"},
		missing: []string{"mirror.additionalImages[2]: is a folder", "mirror.helm.repositories: web: helm pull", "mirror.operators[0]: redhat-operator-index:v4.20",
			"mirror.platform: releases"},
	},
	"oc-mirror with an invalid pattern": {
		text:   "kind: ImageSetConfiguration\nmirror: {blockedImages: [{name: '['}]}\n",
		format: "an ImageSetConfiguration of oc-mirror", err: "mirror.blockedImages",
	},
	"compose": {
		text: `
x-base: &base {restart: always, image: "ghcr.io/org/base:1"}
include: [other.yaml]
services:
  web: {<<: *base, ports: ["80:80"]}
  db:
    image: postgres:${PG:-17}-alpine
    volumes:
    - {type: image, source: "models:${MODEL}", target: /models}
  cache: {image: "${REGISTRY-docker.io}/redis:${REDIS:?say which}"}
  app: {build: .}
  both: {build: ., image: team/both}
  child: {extends: {file: base.yaml, service: web}}
  sibling: {extends: web}
  price: {image: "a$$b"}
  odd: {image: "a:${"}
models: {llm: {model: ai/smollm2}}
`,
		format: "a docker compose file",
		images: []string{"team/both", "postgres:16-alpine", "a$b", "ghcr.io/org/base:1", "ai/smollm2"},
		missing: []string{"service app: push it", "service cache: the variable REDIS is not set", "service child: base.yaml", "service db: the variable MODEL is not set",
			"service odd: has no }", "include: with --file"},
		notes: []string{"service both: can also be built"},
	},
	"services that are not those of compose": {text: "services: {a: {port: 1}}\nimage: a:1\n", format: kubernetes, images: []string{"a:1"}},
	"regsync": {
		text: `
version: 1
creds: [{registry: localhost:5000, tls: disabled}]
sync:
- {source: "busybox:latest", target: "localhost:5000/busybox:latest", type: image}
- {source: "quay.io/org/app:1", target: "localhost:5000/app", type: repository, tags: {allow: ['1\..*', edge], deny: ['1\.1']}}
- {source: ghcr.io/org/all, target: localhost:5000/all, type: repository}
- {source: ghcr.io/org/new, type: repository, tags: {semverRange: ['>=1.1 <2']}, tagSets: [{allow: [edge]}]}
- {source: reg.example, target: localhost:5000, type: registry}
- {source: "ocidir:///data/x", type: image}
- {source: '{{env "X"}}/a', type: image}
`,
		format:     "a regsync file",
		images:     []string{"busybox:latest"},
		selections: map[string][]string{"quay.io/org/app": {"1.0", "edge"}, "ghcr.io/org/all": tagsOfTest, "ghcr.io/org/new": {"1.1", "edge", "v1.2.3"}},
		missing:    []string{"sync[4]: type repository", "sync[5]: is a folder", "sync[6]: is a template"},
	},
	"regsync with an invalid range":      {text: "sync: [{source: a, type: repository, tags: {semverRange: [x y]}}]", format: "a regsync file", err: "sync[0]"},
	"regsync with an invalid expression": {text: "sync: [{source: a, type: repository, tags: {allow: ['(']}}]", format: "a regsync file", err: "sync[0]"},
	"skopeo": {
		text: `
registry.example:5000:
  images:
    busybox: []
    redis: ["1.0", "sha256:0000000000000000000000000000000011111111111111111111111111111111"]
  images-by-tag-regex: {nginx: ^1\.}
  images-by-semver: {alpine: ">= 1.1"}
  credentials: {username: john, password: secret}
quay.io: {tls-verify: false, images: {coreos/etcd: [latest]}}
`,
		format: "a file of skopeo sync",
		images: []string{"quay.io/coreos/etcd:latest", "registry.example:5000/redis:1.0",
			"registry.example:5000/redis@sha256:0000000000000000000000000000000011111111111111111111111111111111"},
		selections: map[string][]string{"registry.example:5000/busybox": tagsOfTest, "registry.example:5000/nginx": {"1.0", "1.1"},
			"registry.example:5000/alpine": {"1.1", "2.0", "v1.2.3"}},
	},
	"skopeo with an invalid range": {text: "a.example: {images-by-semver: {a: x y}}", format: "a file of skopeo sync", err: "a.example: images-by-semver: a"},
	"a kustomization that was not built": {
		text: "kind: Kustomization\nresources: [deployment.yaml]\nimages: [{name: a, newTag: v1}]\n", format: kubernetes, images: []string{"a:v1"},
		missing: []string{"resources: kustomize build"},
	},
	"aliases that expand to billions": {
		text: "kind: ZarfPackageConfig\na: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n" +
			"e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ncomponents: [{images: [*f,*f,*f,*f,*f,*f,*f,*f,*f]}]\n",
		format: "a zarf package", err: "cannot unmarshal",
	},
	"deep nesting": {text: strings.Repeat("[", 20000), format: "YAML", err: "exceeded max depth"},
}

func TestParseFormats(t *testing.T) {
	variables := map[string]string{"PG": "16", "EMPTY": ""}
	lookup := func(name string) (string, bool) { value, set := variables[name]; return value, set }
	for name, tt := range files {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(strings.NewReader(tt.text), Options{Variable: lookup})
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			if got.Format() != tt.format {
				t.Errorf("read as %s, want %s", got.Format(), tt.format)
			}
			if !slices.Equal(got.Images, tt.images) {
				t.Errorf("images %q, want %q", got.Images, tt.images)
			}
			selections := map[string][]string{}
			for _, selection := range got.Selections {
				selections[selection.Repository] = slices.DeleteFunc(slices.Clone(tagsOfTest), func(tag string) bool { return !selection.Matches(tag) })
			}
			if !maps.EqualFunc(selections, tt.selections, slices.Equal) {
				t.Errorf("selections %v, want %v", selections, tt.selections)
			}
			var charts []string
			for _, chart := range got.Charts {
				charts = append(charts, strings.Join(append([]string{chart.Source}, chart.Values...), " "))
			}
			if !slices.Equal(charts, tt.charts) {
				t.Errorf("charts %q, want %q", charts, tt.charts)
			}
			compareUnread(t, got.Unread, true, tt.missing)
			compareUnread(t, got.Unread, false, tt.notes)
		})
	}
}

// compareUnread compares the parts that lack images, or the others. The reason of each contains the last part of a wanted text.
func compareUnread(t *testing.T, all []Unread, missing bool, want []string) {
	t.Helper()
	var got []string
	for _, unread := range all {
		if unread.Missing == missing {
			got = append(got, fmt.Sprintf("%s: %s", unread.Part, unread.Reason))
		}
	}
	if len(got) != len(want) {
		t.Fatalf("missing=%t: unread %q, want %q", missing, got, want)
	}
	for i, text := range want {
		at := strings.LastIndex(text, ": ")
		if !strings.HasPrefix(got[i], text[:at+2]) || !strings.Contains(got[i], text[at+2:]) {
			t.Errorf("unread %q, want %q", got[i], text)
		}
	}
}

func TestVariables(t *testing.T) {
	env, err := ParseEnv(strings.NewReader("# comment\nTAG=1.2 # more\nexport NAME=\"app-${TAG}\"\nRAW='${TAG}'\nnonsense\n=x\nHOME=/nowhere\nEMPTY=\nCRLF=x\r\n"),
		func(name string) (string, bool) { return "/home", name == "HOME" })
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"a:$TAG":                  "a:1.2",
		"${NAME}:${TAG}":          "app-1.2:1.2",
		"$RAW":                    "${TAG}",
		"$HOME":                   "/home",
		"$CRLF":                   "x",
		"${EMPTY:-b}":             "b",
		"${EMPTY-b}":              "",
		"${EMPTY:+b}c":            "c",
		"${EMPTY+b}":              "b",
		"${NO+b}c":                "c",
		"${NO:-${ALSO:-${TAG}}}!": "1.2!",
		"$$TAG":                   "$TAG",
		"${NO}-$ALSO":             "- unset NO ALSO",
		"${NO?message}":           " unset NO",
		"${EMPTY:?message}":       " unset EMPTY",
		"${EMPTY?message}":        "",
		"$":                       "error",
		"$1":                      "error",
		"${":                      "error",
		"${}":                     "error",
		"${NO!x}":                 "error",
		"${NO:}":                  "error",
		strings.Repeat("${NO:-", 30) + strings.Repeat("}", 30): "error",
	} {
		got, unset, err := interpolate(text, env)
		if len(unset) > 0 {
			got += " unset " + strings.Join(unset, " ")
		}
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%s: got %q (%v), want %q", text, got, err, want)
		}
	}
}

func FuzzVariables(f *testing.F) {
	f.Add("${A:-$B}$$", "A='x'\nB=\"${A}\"\n")
	f.Fuzz(func(t *testing.T, text, file string) {
		env, err := ParseEnv(strings.NewReader(file), func(string) (string, bool) { return "", false })
		if err == nil {
			interpolate(text, env)
		}
	})
}
