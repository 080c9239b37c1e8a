package ui

import (
	"net/http"
	"slices"
	"strings"
)

// Cookies of the preferences. They hold no secret. Without a path they belong to the path of the console as the browser
// sees it.
const (
	languageCookie = "console-language"
	themeCookie    = "console-theme"
)

// themes are the values of the theme; "" follows the system.
var themes = []string{"light", "dark"}

// preference returns the value of a cookie if it is one of allowed, and "" otherwise.
func preference(r *http.Request, name string, allowed ...string) string {
	if cookie, err := r.Cookie(name); err == nil && slices.Contains(allowed, cookie.Value) {
		return cookie.Value
	}
	return ""
}

// setPreferences stores the language and the theme that a form chooses.
func setPreferences(r *request) (outcome, error) {
	for _, choice := range []struct {
		cookie, field string
		allowed       []string
	}{{languageCookie, "language", languages}, {themeCookie, "theme", append([]string{"system"}, themes...)}} {
		if value := r.PostFormValue(choice.field); slices.Contains(choice.allowed, value) {
			http.SetCookie(r.w, &http.Cookie{Name: choice.cookie, Value: value, MaxAge: 365 * 86400, HttpOnly: true, SameSite: http.SameSiteLaxMode})
		}
	}
	return outcome{to: backOf(r.PostFormValue("back"))}, nil
}

// backOf returns the address of a page that a form names, if it is one of the console, and else that of the first page.
func backOf(back string) string {
	name, _, _ := strings.Cut(back, "?")
	if back == "" || strings.ContainsAny(name, "/:\\") || strings.ContainsFunc(back, func(c rune) bool { return c < ' ' }) {
		return "."
	}
	return back
}

// goHome sends a client that asks for a page without content to the first page.
func goHome(r *request) error {
	redirect(r.w, ".")
	return nil
}
