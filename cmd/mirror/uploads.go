package main

import (
	"context"
	"net/http"
	"time"

	"airmirror/api/auth"
	"airmirror/api/registry"
	"airmirror/cache"
	"airmirror/mirror"
)

// openUploads bounds the uploads of a client of a server: of a user, or of the address of who is none.
func (c serveConfig) openUploads() *registry.OpenUploads {
	return registry.NewOpenUploads(func() int { return c.current().Limits.OpenUploads }, func(r *http.Request) string {
		if name := auth.UserOf(r.Context()); name != "" {
			return "user " + name
		}
		return mirror.NetworkName(r.RemoteAddr)
	})
}

// expiring is a store that tells what uploads the collector drops.
type expiring struct {
	*cache.Store
	expired func(id string)
}

// ExpireUpload implements [mirror.CollectStore].
func (s expiring) ExpireUpload(ctx context.Context, id string, idle time.Time) (bool, error) {
	expired, err := s.Store.ExpireUpload(ctx, id, idle)
	if expired {
		s.expired(id)
	}
	return expired, err
}
