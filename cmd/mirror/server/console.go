package server

import (
	"net/http"

	"airmirror/api/admin"
	"airmirror/api/ui"
	"airmirror/cmd/mirror/config"
)

// withConsole returns next with the web console in front. On an address of its own there is nothing but the console.
func (s *server) withConsole(next http.Handler) http.Handler {
	if !s.places.console.enabled {
		return next
	}
	guarded := s.guard.API(ui.New(admin.InProcess(s.api), ui.Options{Sessions: s.guard, Settings: s.showSettings, Log: s.log}))
	if s.places.console.listener == nil {
		return ui.Route(guarded, next)
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

// showSettings returns the settings in effect as YAML, with the origin of each as it was when the server started. Secrets are masked.
func (s *server) showSettings() (string, error) {
	return config.Loaded{Config: *s.current(), Origins: s.settings.Origins}.Show()
}
