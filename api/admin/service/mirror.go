package service

import (
	"context"

	"airmirror/mirror"
	"airmirror/sync/prefetch"
)

// Mirror is the engine that jobs run on. Package mirror/proxy implements it.
type Mirror interface {
	prefetch.Fetcher
	Mode() mirror.Mode
	Names() mirror.Names
	// Writable returns nil if content can be stored now, and otherwise the reason why not.
	Writable() error
	ResolveWants(ctx context.Context)
	Verify(ctx context.Context, opts mirror.VerifyOptions, report func(mirror.VerifyEvent)) (mirror.VerifySummary, error)
	Pinner
	Pusher
}

// Pinner protects references from the collector.
type Pinner interface {
	Pin(ctx context.Context, refs ...mirror.Ref) error
	Unpin(ctx context.Context, refs ...mirror.Ref) error
	Pins(ctx context.Context) ([]mirror.Pin, error)
}
