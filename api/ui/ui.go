// Package ui is the web console: pages that a server renders, for people who run a mirror with a browser. It is a client
// of the admin API and has no other access to the mirror, so that rights are checked in one place.
//
// # Pages
//
// A [page] has a name, a template with the same name and a function that loads what the template shows. Its changes are
// forms that are sent with POST, with the name of an [action] in the field "action". Every page works without JavaScript.
// The script assets/console.js only adds to that: it loads a page again while somebody looks at it and replaces
// what changed.
//
// All pages are one level below the console, and all links are relative. So the console also works below another path of
// a reverse proxy, which needs no setting and no header for it.
//
// Templates cannot call methods: package html/template can, and so makes the linker keep all methods of the program, which
// are 3 MB. The package that is used here is a copy of it without that.
//
// # Texts
//
// The texts of templates are in texts/LANGUAGE.json, by key. All languages have the same keys, and templates use only
// keys that exist; tests check both. What the mirror reports is translated by its code, such as that of a [mirror.Error].
package ui

import (
	"net/http"
	"strings"

	"go.uber.org/zap"

	"airmirror/api/admin"
)

// Path is the path of the console.
const Path = "/console/"

// Options configure a [Handler]. The zero value works.
type Options struct {
	// Sessions logs users in and out; nil if nobody can log in.
	Sessions Sessions
	// Settings returns the settings in effect for the users that may administer the mirror; nil shows none.
	Settings func() (string, error)
	// Clients generates the files that configure clients; nil shows none.
	Clients Clients
	// Log receives errors that are no fault of the client; nil logs nothing.
	Log *zap.Logger
}

// Handler serves the console of one mirror. It is safe for concurrent use.
type Handler struct {
	admin *admin.Client
	opts  Options
	pages map[string]page
	order []string // the names of pages in the order of the navigation
	looks map[string]func() *look
	cross *http.CrossOriginProtection
}

// New returns the console of the mirror whose admin API transport reaches, see [admin.InProcess]. Each request to the
// console has the [admin.Access] of its client in its context, with which the console sends requests to the API.
func New(transport http.RoundTripper, opts Options) *Handler {
	if opts.Log == nil {
		opts.Log = zap.NewNop()
	}
	if opts.Sessions == nil {
		opts.Sessions = noSessions{}
	}
	h := &Handler{admin: admin.NewClient(transport), opts: opts, pages: map[string]page{}, looks: newLooks(), cross: http.NewCrossOriginProtection()}
	for _, p := range allPages() {
		h.pages[p.name] = p
		h.order = append(h.order, p.name)
	}
	return h
}

// Route passes requests for the console to it, and all others to next. A browser that asks for / is sent to the console.
func Route(console, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, Path):
			console.ServeHTTP(w, r)
		case r.URL.Path == strings.TrimSuffix(Path, "/"), r.URL.Path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead) && strings.Contains(r.Header.Get("Accept"), "text/html"):
			w.Header().Add("Vary", "Accept")
			redirect(w, strings.TrimPrefix(Path, "/"))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// ServeHTTP serves a page or a file of the console. The path begins with [Path].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setHeaders(w.Header(), isSecure(r))
	name := strings.TrimPrefix(r.URL.Path, Path)
	if file, ok := strings.CutPrefix(name, "assets/"); ok {
		serveAsset(w, r, file)
		return
	}
	h.servePage(w, r, name)
}

// policy allows a page nothing but its own files. Forms are sent only to the console.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func setHeaders(header http.Header, secure bool) {
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	// With "no-referrer", browsers send "Origin: null" with forms, which looks like a page of another site.
	header.Set("Referrer-Policy", "same-origin")
	if secure { // without TLS, browsers ignore it and report an error
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Cache-Control", "no-store")
}

// redirect sends the client to a relative address. http.Redirect would make it absolute, which is wrong behind a proxy
// that serves the console below another path.
func redirect(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}
