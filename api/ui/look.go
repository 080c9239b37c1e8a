package ui

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"

	template "github.com/DataDog/datadog-agent/pkg/template/html"
)

//go:embed templates
var templateFiles embed.FS

// look are the templates in one language.
type look struct {
	texts
	language string
	pages    map[string]*template.Template // by name, each with the layout and the partials
}

// shared are the templates that every page can use.
var shared = []string{"templates/layout.html", "templates/partials.html"}

// newLooks returns the looks of all languages. Each is parsed when it is first used: a mirror whose console nobody opens
// starts sooner and needs less memory. The files are part of the program, and the tests read all of them.
func newLooks() map[string]func() *look {
	looks := map[string]func() *look{}
	for _, language := range languages {
		looks[language] = sync.OnceValue(func() *look { return newLook(language) })
	}
	return looks
}

func newLook(language string) *look {
	t, err := readTexts(language)
	l := &look{texts: t, language: language, pages: map[string]*template.Template{}}
	if err == nil {
		err = l.parse()
	}
	if err != nil {
		panic(err)
	}
	return l
}

// parse parses the templates. Those of a page define "content".
func (l *look) parse() error {
	common, err := template.New("").Funcs(l.functions()).ParseFS(templateFiles, shared...)
	if err != nil {
		return fmt.Errorf("parse the layout of the console: %w", err)
	}
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return err
	}
	for _, file := range files {
		own, err := common.Clone()
		if err == nil {
			own, err = own.ParseFS(templateFiles, file)
		}
		if err != nil {
			return fmt.Errorf("parse a page of the console: %w", err)
		}
		l.pages[strings.TrimSuffix(path.Base(file), ".html")] = own
	}
	return nil
}
