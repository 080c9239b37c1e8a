package main

import (
	"context"

	"go.uber.org/zap"

	"airmirror/api/admin/service"
	"airmirror/api/audit"
	"airmirror/api/registry"
	"airmirror/cache"
	"airmirror/cmd/mirror/config"
	"airmirror/gc"
	"airmirror/mirror/proxy"
	"airmirror/sync/migrate"
	"airmirror/sync/transfer"
	"airmirror/upstream"
)

// services are the parts that one process runs for the mirror of a data folder.
type services struct {
	*service.Service
	mirror    *proxy.Proxy
	store     *cache.Store
	collector *gc.Collector
	settings  serveConfig
	audit     *audit.Log
	uploads   *registry.OpenUploads
	// watch and reloader are a server's, and nil in a command.
	watch    *watch
	reloader *reloader
	log      *zap.Logger
}

// newServices returns the services of m, and resumes the imports that an earlier process left.
func newServices(ctx context.Context, m *proxy.Proxy, store *cache.Store, c serveConfig, log *zap.Logger) (*services, error) {
	changes, err := openAudit(c.Audit.File, log)
	if err != nil {
		return nil, err
	}
	s := &services{mirror: m, store: store, settings: c, log: log, audit: changes, uploads: c.openUploads()}
	bundles := transfer.New(m, store, transfer.Options{
		Host: config.HostName(), Tool: "mirror " + version, Verifier: func(keys []string) (transfer.Verifier, error) { return c.current().Bundles.Verifier(keys) }, Signed: c.Bundles.RequireSignature, Destination: c.Bundles.Destination,
		Limits: archiveLimits, Log: log,
		IgnoreNondistributable: c.IgnoreNondistributable,
	})
	s.collector, err = gc.NewCollector(ctx, expiring{store, s.uploads.End}, m, gc.CollectorOptions{Schedule: c.GC.Collector(c.Names()), Disk: store.Space, Log: log})
	if err != nil {
		return s, err
	}
	s.Service = service.New(m, store, service.Options{Transfer: bundles, Collector: s.collector, Registry: s.registryAt, Events: c.events})
	return s, bundles.Resume(ctx)
}

// registryAt returns a client of the registry at a URL: as it is configured if it is an upstream, else with the
// credentials that docker has for it.
func (s *services) registryAt(url string) (migrate.RegistryClient, error) {
	e, err := upstream.ParseEndpoint(url)
	if err != nil {
		return nil, err
	}
	registry := e.Config()
	for _, u := range s.settings.Upstreams {
		if u.Host == e.Host {
			registry = u.Config
		}
	}
	return newUpstream([]upstream.Config{registry}, s.settings, s.log)
}
