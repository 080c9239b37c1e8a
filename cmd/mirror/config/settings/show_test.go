package settings_test

import (
	"regexp"
	"strings"
	"testing"

	"airmirror/cmd/mirror/config/settings"
)

func TestShowHasOriginsAndNoSecrets(t *testing.T) {
	c := config{Number: 1}
	origins, err := settings.Load(&c, settings.Layers{
		File: "c.yaml", Text: []byte("section: {password: hidden}\nitems: [{host: one}]\nwords: [a]\nnamed: {x: [a]}\n"),
		Environ: []string{"MIRROR_NAME=x"}, Flags: map[string]string{"on": "true"},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := settings.Show(&c, origins)
	if err != nil {
		t.Fatal(err)
	}
	const want = `name: x # MIRROR_NAME
number: 1 # default
"on": true # --on
words: # c.yaml:3
  - a
wait: 0 # default
section:
  certFile: "" # default
  password: '********' # c.yaml:1
items: # c.yaml:2
  - host: one
    limit: null
named: # c.yaml:4
  x:
    - a
`
	if got != want {
		t.Errorf("shown:\n%s\nwant:\n%s", got, want)
	}
	if c.Section.Password != "hidden" {
		t.Error("what is shown was masked where it is used, too")
	}
}

func TestShowMasksURLs(t *testing.T) {
	for url, want := range map[string]string{
		"http://proxy.corp:3128":             "http://proxy.corp:3128",
		"http://me:hidden@proxy.corp:3128":   "http://me:********@proxy.corp:3128",
		"https://chat.corp/hooks/hidden":     "https://chat.corp/********",
		"https://chat.corp/?token=hidden":    "https://chat.corp/********",
		"http://me:hidden%x@proxy.corp:3128": "********",
		"none":                               "none",
	} {
		c := config{Items: []item{{URL: url}}}
		got, err := settings.Show(&c, nil)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(got, "hidden") || !regexp.MustCompile(`url: '?`+regexp.QuoteMeta(want)+`'?\n`).MatchString(got) {
			t.Errorf("%s is shown as\n%s\nwant %s", url, got, want)
		}
	}
}
