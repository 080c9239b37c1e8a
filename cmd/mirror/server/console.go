package server

import (
	"net/http"
	"strings"

	"airmirror/api/admin"
	"airmirror/api/auth"
	"airmirror/api/ui"
	"airmirror/cmd/mirror/clients"
	"airmirror/cmd/mirror/config"
	"airmirror/mirror"
)

// withConsole returns next with the web console in front. On an address of its own there is nothing but the console.
func (s *server) withConsole(next http.Handler) http.Handler {
	if !s.places.console.enabled {
		return next
	}
	guarded := s.withSender(ui.New(admin.InProcess(s.api), ui.Options{Sessions: s.guard, Settings: s.showSettings, Clients: clientFiles{s}, Log: s.log}))
	if s.places.console.listener == nil {
		both := ui.Route(guarded, next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if s.places.api.serves(r) { // that address has nothing but the API
				next.ServeHTTP(w, r)
				return
			}
			both.ServeHTTP(w, r)
		})
	}
	alone := ui.Route(guarded, http.NotFoundHandler())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.places.console.serves(r) {
			alone.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// showSettings returns the settings in effect as YAML, with the origin of each as it was when the server started. Secrets
// are masked.
func (s *server) showSettings() (string, error) {
	return config.Loaded{Config: *s.current(), Origins: s.settings.Origins}.Show()
}

// consoleLink returns the address of the console: with a one-time link as long as no user has a password.
func (s *server) consoleLink() (admin.ConsoleLink, error) {
	if !s.places.console.enabled {
		return admin.ConsoleLink{}, mirror.Errorf(mirror.CodeUnsupported, "the web console is off: the setting console.enabled is false")
	}
	url := s.current().PublicURL(s.listener.Addr().String())
	if own := s.places.console.listener; own != nil {
		url = "http://" + config.PublicAddress(own.Addr().String())
		if s.settings.TLS.Enabled() {
			url = "https://" + config.PublicAddress(own.Addr().String())
		}
	}
	link := admin.ConsoleLink{URL: strings.TrimSuffix(url, "/") + ui.Path}
	if s.guard.HasPasswords() {
		return link, nil
	}
	secret, err := s.guard.NewLink()
	link.URL, link.ValidFor = link.URL+"login?link="+secret, int(auth.LinkLifetime.Seconds())
	return link, err
}

// clientFiles generates the files of 'mirror client' for the console. It implements [ui.Clients].
type clientFiles struct{ *server }

// Kinds returns the kinds of clients.
func (clientFiles) Kinds() []string { return clients.Kinds }

// Setup returns the files for a kind of client.
func (c clientFiles) Setup(kind, address string, tls bool) (ui.ClientSetup, error) {
	settings := c.current()
	m := clients.Mirror{Host: address, TLS: tls, Upstreams: settings.Hosts(), NoFallback: c.Proxy.Mode() == mirror.Offline}
	found, err := clients.For(kind, m)
	if err != nil {
		return ui.ClientSetup{}, err
	}
	setup := ui.ClientSetup{Then: found.Then, Notes: found.Notes}
	for _, file := range found.Files {
		setup.Files = append(setup.Files, ui.ClientFile{Path: file.Path, Text: file.Text, Copy: file.Copy})
	}
	if settings.Auth.NeedsLogin() {
		setup.Notes = append(setup.Notes, "This mirror requires a login: 'mirror client "+kind+" --user NAME' adds it to the files.")
	}
	return setup, nil
}
