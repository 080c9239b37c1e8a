package server

import (
	"context"
	"net/http"
	"strings"

	"airmirror/api/admin"
	"airmirror/mirror"
)

// withAPI returns next with the admin API for users in front. On an address of its own there is nothing but the API. Requests
// are canceled when ctx ends: a job may run for hours.
func (s *server) withAPI(ctx context.Context, next http.Handler) http.Handler {
	place := s.places.api
	api := s.withSender(until(ctx, s.api))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		own, isAPI := place.serves(r), strings.HasPrefix(r.URL.Path, admin.Path)
		switch {
		case isAPI && place.enabled && own == (place.listener != nil):
			api.ServeHTTP(w, r)
		case isAPI && !place.enabled:
			admin.Refuse(w, r, mirror.Errorf(mirror.CodeUnsupported, "the admin API is only served on the machine of the mirror: the setting api.enabled is false"))
		case isAPI && place.listener != nil && !s.places.console.serves(r):
			admin.Refuse(w, r, mirror.Errorf(mirror.CodeUnsupported, "the admin API has an address of its own: see the setting api.listen"))
		case own:
			http.NotFound(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// withSender returns next behind the guard, for the admin API and the console: with the access of the sender, who may not
// delete while the setting allowDelete is false.
func (s *server) withSender(next http.Handler) http.Handler {
	return s.guard.API(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.current().AllowDelete {
			access := admin.AccessOf(r.Context())
			access.NoDelete = "the setting allowDelete is false"
			r = r.WithContext(admin.WithAccess(r.Context(), access))
		}
		next.ServeHTTP(w, r)
	}))
}

// until returns next with requests that are canceled when ctx ends.
func until(ctx context.Context, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		canceled, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		defer context.AfterFunc(ctx, func() { cancel(admin.ErrShutdown) })()
		next.ServeHTTP(w, r.WithContext(canceled))
	})
}
