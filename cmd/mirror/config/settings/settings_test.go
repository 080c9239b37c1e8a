package settings_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"airmirror/cmd/mirror/config/settings"
)

type config struct {
	Name    string   `yaml:"name"`
	Number  int      `yaml:"number"`
	On      bool     `yaml:"on"`
	Words   []string `yaml:"words"`
	Wait    wait     `yaml:"wait"`
	Section section  `yaml:"section"`
	Items   []item   `yaml:"items"`
	// Named is one key, with keys of its own in the file.
	Named map[string][]string `yaml:"named"`
}

type section struct {
	CertFile string `yaml:"certFile"`
	Password string `yaml:"password" secret:"true"`
}

type item struct {
	Inlined `yaml:",inline"`
	URL     string `yaml:"url,omitempty" secret:"url"`
	Limit   *wait  `yaml:"limit"`
}

type Inlined struct {
	Host string `yaml:"host"`
}

type wait time.Duration

func (w *wait) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	*w = wait(d)
	if err != nil {
		return errors.New("want a duration")
	}
	return nil
}

func TestLaterLayersOverride(t *testing.T) {
	c := config{Name: "default", Number: 1, Words: []string{"default"}}
	origins, err := settings.Load(&c, settings.Layers{
		File: "c.yaml",
		Text: []byte("name: file\nnumber: 2\nwords: [a, b]\nwait: 3s\nsection:\n  certFile: file\n  password: file\n" +
			"items:\n  - {host: one, limit: 1s}\n  - {host: two}\n"),
		Environ: []string{"MIRROR_NUMBER=3", "MIRROR_SECTION_CERT_FILE=yes", "MIRROR_WORDS=c,d", "MIRROR_OTHER=x", "MIRROR_ON=true"},
		Flags:   map[string]string{"number": "4", "section.certFile": "flag: no YAML"},
	})
	if err != nil {
		t.Fatal(err)
	}
	limit := wait(time.Second)
	want := config{
		Name: "file", Number: 4, On: true, Words: []string{"c", "d"}, Wait: wait(3 * time.Second),
		Section: section{CertFile: "flag: no YAML", Password: "file"},
		Items:   []item{{Inlined{"one"}, "", &limit}, {Inlined{"two"}, "", nil}},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, want %+v", c, want)
	}
	wantOrigins := settings.Origins{
		"name": "c.yaml:1", "number": "--number", "on": "MIRROR_ON", "words": "MIRROR_WORDS", "wait": "c.yaml:4",
		"section.certFile": "--section-cert-file", "section.password": "c.yaml:7", "items": "c.yaml:8",
	}
	if !reflect.DeepEqual(origins, wantOrigins) {
		t.Errorf("origins %v, want %v", origins, wantOrigins)
	}
}

func TestErrorsNameTheirPosition(t *testing.T) {
	for name, tt := range map[string]struct{ text, env, flag, want string }{
		"misspelt key":          {text: "namw: x", want: "c.yaml:1: unknown key namw: did you mean name?"},
		"misspelt, below":       {text: "on: true\nsection:\n  certfile: x", want: "c.yaml:3: section: unknown key certfile: did you mean certFile?"},
		"misspelt, in a list":   {text: "items:\n  - {hots: x}", want: "c.yaml:2: items: unknown key hots: did you mean host?"},
		"like none":             {text: "section: {x: 1}", want: "want one of certFile, password"},
		"twice":                 {text: "on: true\non: false", want: "c.yaml:2: on is set twice"},
		"wrong kind":            {text: "number: many", want: `c.yaml:1: number: "many": want a number`},
		"a section that is not": {text: "section: x", want: "c.yaml:1: section: want keys and values here"},
		"a list that is not":    {text: "items: {host: x}", want: "c.yaml:1: items: want a list here"},
		"its own text":          {text: "wait: soon", want: `c.yaml:1: wait: "soon": want a duration`},
		"two documents":         {text: "on: true\n---\non: false", want: "more than one YAML document"},
		"no YAML":               {text: "on: true\nwords: [", want: "c.yaml:2: "},
		"a tab":                 {text: "section:\n\tcertFile: x", want: "indented with a tab"},
		"one letter":            {text: "x: 1", want: "want one of name, number"},
		"a variable":            {env: "MIRROR_ON=maybe", want: "MIRROR_ON=maybe: want true or false"},
		"a secret":              {env: "MIRROR_ITEMS=[{hots: x, password: hidden}]", want: "MIRROR_ITEMS: unknown key hots: did you mean host?"},
		"a flag":                {flag: "soon", want: "--wait soon: want a duration"},
	} {
		t.Run(name, func(t *testing.T) {
			layers := settings.Layers{File: "c.yaml", Text: []byte(tt.text), Environ: []string{tt.env}}
			if tt.flag != "" {
				layers.Flags = map[string]string{"wait": tt.flag}
			}
			if _, err := settings.Load(&config{}, layers); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestEmptyFileIsValid(t *testing.T) {
	for _, text := range []string{"", "# only a comment\n", "section:\nname:\nitems:\n"} {
		c := config{Name: "default"}
		if _, err := settings.Load(&c, settings.Layers{File: "c.yaml", Text: []byte(text)}); err != nil || c.Name == "other" {
			t.Errorf("%q: %v, %+v", text, err, c)
		}
	}
}

func TestKeys(t *testing.T) {
	c := config{Section: section{Password: "hidden"}}
	var got []string
	for _, key := range settings.Keys(&c) {
		line := key.Path + " " + key.Env + " --" + key.Flag
		if key.Secret {
			line += " secret"
		}
		got = append(got, line)
	}
	if i := len(got) - 3; got[i] != "section.password MIRROR_SECTION_PASSWORD --section-password secret" || got[i-1] != "section.certFile MIRROR_SECTION_CERT_FILE --section-cert-file" {
		t.Errorf("keys: %q", got)
	}
}
