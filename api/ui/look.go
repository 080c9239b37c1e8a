package ui

import (
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"strings"
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

func newLooks() (map[string]*look, error) {
	looks := map[string]*look{}
	for _, language := range languages {
		t, err := readTexts(language)
		if err != nil {
			return nil, err
		}
		l := &look{texts: t, language: language, pages: map[string]*template.Template{}}
		if err := l.parse(); err != nil {
			return nil, err
		}
		looks[language] = l
	}
	return looks, nil
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
