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
	// Sessions identifies clients; nil if all clients are anonymous.
	Sessions Sessions
	// Log receives errors that are no fault of the client; nil logs nothing.
	Log *zap.Logger
}

// Handler serves the console of one mirror. It is safe for concurrent use.
type Handler struct {
	admin *admin.Client
	opts  Options
	pages map[string]page
	order []string // the names of pages in the order of the navigation
	looks map[string]*look
	cross *http.CrossOriginProtection
}

// New returns the console of the mirror whose admin API transport reaches, see [admin.InProcess]. The context of each
// request to it is the one that [Sessions] returns.
func New(transport http.RoundTripper, opts Options) (*Handler, error) {
	if opts.Log == nil {
		opts.Log = zap.NewNop()
	}
	h := &Handler{admin: admin.NewClient(transport), opts: opts, pages: map[string]page{}, cross: http.NewCrossOriginProtection()}
	for _, p := range allPages() {
		h.pages[p.name] = p
		h.order = append(h.order, p.name)
	}
	var err error
	h.looks, err = newLooks()
	return h, err
}

// Around serves the console and passes all other requests to next. A browser that asks for / is sent to the console.
func (h *Handler) Around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, Path):
			h.ServeHTTP(w, r)
		case r.URL.Path == strings.TrimSuffix(Path, "/"), r.URL.Path == "/" && r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html"):
			w.Header().Add("Vary", "Accept")
			redirect(w, strings.TrimPrefix(Path, "/"))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// ServeHTTP serves a page or a file of the console. The path begins with [Path].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setHeaders(w.Header())
	name := strings.TrimPrefix(r.URL.Path, Path)
	if file, ok := strings.CutPrefix(name, "assets/"); ok {
		serveAsset(w, r, file)
		return
	}
	h.servePage(w, r, name)
}

// policy allows a page nothing but its own files. Forms are sent only to the console.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func setHeaders(header http.Header) {
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	// With "no-referrer", browsers send "Origin: null" with forms, which looks like a page of another site.
	header.Set("Referrer-Policy", "same-origin")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Cache-Control", "no-store")
}

// redirect sends the client to a relative address. http.Redirect would make it absolute, which is wrong behind a proxy
// that serves the console below another path.
func redirect(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}
