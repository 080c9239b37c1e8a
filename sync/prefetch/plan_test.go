package prefetch_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"airmirror/mirror"
	"airmirror/sync/prefetch"
)

func TestTagsAreSelected(t *testing.T) {
	tags := []string{"1.2", "1.2.3", "1.3.0", "2.0.0", "2.0.0-rc.1", "latest", "v1.4.0", "v2.1.0", "v2.1.0-alpine"}
	for name, tt := range map[string]struct {
		all  bool
		tags []string
		want string
		err  string
	}{
		"all":                        {all: true, want: "1.2 1.2.3 1.3.0 2.0.0 2.0.0-rc.1 latest v1.4.0 v2.1.0 v2.1.0-alpine"},
		"a glob":                     {tags: []string{"v*"}, want: "v1.4.0 v2.1.0 v2.1.0-alpine"},
		"a name":                     {tags: []string{"latest"}, want: "latest"},
		"several":                    {tags: []string{"latest", "1.2", "1.?.*"}, want: "1.2 1.2.3 1.3.0 latest"},
		"a range":                    {tags: []string{">=1.2 <2"}, want: "1.2 1.2.3 1.3.0 v1.4.0"},
		"a range without space":      {tags: []string{">1.3"}, want: "2.0.0 v1.4.0 v2.1.0"},
		"the last number may change": {tags: []string{"~1.2"}, want: "1.2 1.2.3"},
		"the first number must not":  {tags: []string{"^2"}, want: "2.0.0 v2.1.0"},
		"one of two ranges":          {tags: []string{"~1.2 || ~1.3"}, want: "1.2 1.2.3 1.3.0"},
		"prereleases are named":      {tags: []string{">=2.0.0-0 <2.0.1"}, want: "2.0.0 2.0.0-rc.1"},
		"all tags and a name":        {all: true, tags: []string{"latest"}, want: "1.2 1.2.3 1.3.0 2.0.0 2.0.0-rc.1 latest v1.4.0 v2.1.0 v2.1.0-alpine"},
		"nothing is selected":        {tags: []string{"^7"}, err: "has no tag that is selected"},
		"an invalid glob":            {tags: []string{"v[1"}, err: `cannot select tags by "v[1"`},
		"an invalid range":           {tags: []string{">=one"}, err: `cannot select tags by ">=one"`},
		"an empty selector":          {tags: []string{""}, err: "it is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{tags: map[string][]string{"ghcr.io/org/app": tags}}
			summary, _, _ := run(t, t.Context(), f, prefetch.Request{Images: []string{"ghcr.io/org/app"}, AllTags: tt.all, Tags: tt.tags})
			slices.Sort(f.fetched)
			got := strings.ReplaceAll(strings.Join(f.fetched, " "), "ghcr.io/org/app:", "")
			if got != tt.want {
				t.Errorf("fetched %s, want %s", got, tt.want)
			}
			failed(t, summary, tt.err)
		})
	}
}

func TestTagsThatAreVersions(t *testing.T) {
	for tag, want := range map[string]bool{
		"1.21": true, "v2.0": true, "22.04": true, "1.21.0": true, "v10.0.1": true, "22.04.1": true,
		"1.21-alpine": false, "v2.0-rc.1": false, "20240329": false, "v20240329": false, "3": false, "20240329-1.2": false,
		"latest": false, "v": false, "1.": false, ".1": false, "1.2.3.4": false, "0.9": false,
	} {
		f := &fake{tags: map[string][]string{"ghcr.io/org/app": {tag}}}
		run(t, t.Context(), f, prefetch.Request{Images: []string{"ghcr.io/org/app"}, Tags: []string{">=1.21"}})
		if got := len(f.fetched) == 1; got != want {
			t.Errorf("%s: selected is %t, want %t", tag, got, want)
		}
	}
}

// failed fails the test unless there is one failure for each part, in order.
func failed(t *testing.T, summary prefetch.Summary, parts ...string) {
	t.Helper()
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	ok := len(parts) == summary.Failed
	for i, failure := range summary.Failures {
		ok = ok && strings.Contains(failure, parts[i])
	}
	if !ok {
		t.Errorf("failures %q, want %q", summary.Failures, parts)
	}
}

func TestTagsAreReadInPages(t *testing.T) {
	var tags []string
	for i := range 2500 {
		tags = append(tags, fmt.Sprintf("t%04d", i))
	}
	f := &fake{tags: map[string][]string{"ghcr.io/org/app": tags, "ghcr.io/org/round": tags[:2000]}}
	summary, _, _ := run(t, t.Context(), f, prefetch.Request{Images: []string{"ghcr.io/org/app", "ghcr.io/org/round"}, AllTags: true})
	if summary.Images != 4500 || summary.Failed != 0 {
		t.Errorf("%+v", summary)
	}
}

func TestTagsThatUpstreamRefusesToListAreNotChecked(t *testing.T) {
	refused := mirror.Errorf(mirror.CodeNameUnknown, "upstream ghcr.io refused the tags of ghcr.io/org/app: 403 Forbidden")
	f := &fake{tags: map[string][]string{"ghcr.io/org/app": {"v1"}}, refused: refused}
	summary, _, _ := run(t, t.Context(), f, prefetch.Request{Images: []string{"ghcr.io/org/app"}, AllTags: true})
	if summary.Images != 2 || summary.Failed != 0 || summary.NotChecked != 1 || !strings.Contains(summary.Unchecked[0], "403 Forbidden") {
		t.Errorf("%+v", summary)
	}
	summary, _, _ = run(t, t.Context(), f, prefetch.Request{Images: []string{"ghcr.io/org/app"}, Tags: []string{"v2*"}})
	failed(t, summary, "has no known tag that is selected: upstream ghcr.io refused")
}

func TestEveryFailureIsNamed(t *testing.T) {
	f := &fake{tags: map[string][]string{"ghcr.io/org/app": {"v1"}}, stale: mirror.Errorf(mirror.CodeUnavailable, "no route")}
	summary, _, _ := run(t, t.Context(), f, prefetch.Request{
		Images: []string{"ghcr.io/org/app", "ghcr.io/org/app:v1", "ghcr.io/org/none", "{{ .Values.image }}", "Not An Image"},
		Wants:  []mirror.Want{{Ref: "nonsense"}, {Ref: "ghcr.io/org/app:v1", Blob: true}},
		Tags:   []string{"v*"},
	})
	failed(t, summary,
		"Not An Image: \"Not An Image\" is not a repository name",
		"ghcr.io/org/app:v1: has a tag or digest, but the request selects tags",
		"ghcr.io/org/app:v1: is no blob",
		"ghcr.io/org/none: there is no ghcr.io/org/none",
		"nonsense: reference \"nonsense\" has neither",
		"{{ .Values.image }}: is a template",
	)
	if got := strings.Join(summary.Unchecked, "\n"); summary.NotChecked != 1 || got != "ghcr.io/org/app: there may be more tags than the stored ones: no route" {
		t.Errorf("%d not checked: %s", summary.NotChecked, got)
	}
	if got := strings.Join(f.fetched, " "); got != "ghcr.io/org/app:v1" {
		t.Errorf("fetched %s, want the stored tag", got)
	}
}
