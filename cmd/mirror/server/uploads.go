package server

import (
	"context"
	"net/http"
	"time"

	"airmirror/api/auth"
	"airmirror/api/registry"
	"airmirror/cache"
	"airmirror/cmd/mirror/config"
	"airmirror/mirror"
)

// newOpenUploads returns the limit of open uploads. It counts by user, and by network for clients without a login.
func newOpenUploads(current func() *config.Config) *registry.OpenUploads {
	return registry.NewOpenUploads(func() int { return current().Limits.OpenUploads }, func(r *http.Request) string {
		if name := auth.UserOf(r.Context()); name != "" {
			return "user " + name
		}
		return mirror.NetworkName(r.RemoteAddr)
	})
}

// notifyingStore is a store that calls expired for each upload that the collector deletes.
type notifyingStore struct {
	*cache.Store
	expired func(id string)
}

// ExpireUpload implements [mirror.CollectStore].
func (s notifyingStore) ExpireUpload(ctx context.Context, id string, idle time.Time) (bool, error) {
	expired, err := s.Store.ExpireUpload(ctx, id, idle)
	if expired {
		s.expired(id)
	}
	return expired, err
}
