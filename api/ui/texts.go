package ui

import (
	"embed"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

//go:embed texts
var textFiles embed.FS

// languages are the languages of the console. The first is for clients that ask for none of them.
var languages = []string{"en", "zh"}

// texts are the texts of one language, by key. Verbs of package fmt stand for values. Of a text with a number, the keys
// with ".one" and ".other" are its forms.
type texts map[string]string

func readTexts(language string) (t texts, err error) {
	content, err := textFiles.ReadFile("texts/" + language + ".json")
	if err == nil {
		err = json.Unmarshal(content, &t)
	}
	if err != nil {
		return nil, fmt.Errorf("read the texts of the console in %s: %w", language, err)
	}
	return t, nil
}

// text returns the text of a key. An unknown key stands for itself.
func (t texts) text(key string, values ...any) string {
	text, ok := t[key]
	if !ok {
		return key
	}
	if len(values) == 0 {
		return text
	}
	return fmt.Sprintf(text, values...)
}

// count returns the form of a text for a number.
func (t texts) count(key string, n any, values ...any) string {
	form := ".other"
	if fmt.Sprint(n) == "1" {
		form = ".one"
	}
	return t.text(key+form, append([]any{n}, values...)...)
}

// code returns the text of a code, which is the last part of its key. It returns other if there is none, such as what the
// mirror wrote itself.
func (t texts) code(prefix string, code any, other string) string {
	if text, ok := t[prefix+"."+fmt.Sprint(code)]; ok {
		return text
	}
	return other
}

// languageOf returns the language for a request: that of its cookie, or else the one that the browser prefers.
func languageOf(r *http.Request) string {
	if chosen := preference(r, languageCookie, languages...); chosen != "" {
		return chosen
	}
	best, weight := languages[0], 0.0
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, parameter, _ := strings.Cut(part, ";")
		q := 1.0
		if value, ok := strings.CutPrefix(strings.TrimSpace(parameter), "q="); ok {
			q, _ = strconv.ParseFloat(value, 64)
		}
		primary, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		for _, language := range languages {
			if primary == language && q > weight {
				best, weight = language, q
			}
		}
	}
	return best
}
