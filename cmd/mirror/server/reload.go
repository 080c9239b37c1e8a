package server

import (
	"context"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"

	"go.uber.org/zap"

	"airmirror/api/admin"
	"airmirror/cmd/mirror/config"
	"airmirror/cmd/mirror/config/settings"
	"airmirror/mirror"
)

// part is a part of the server whose settings can change while it runs.
type part struct {
	// keys are the settings of the part. A key that ends with a dot stands for all settings of a section.
	keys []string
	// prepare returns a function that applies the settings, or an error if they cannot be applied. It changes nothing, and
	// is called even if no setting changed, because files can have changed.
	prepare func(next config.Config) (apply func(), err error)
}

func (p part) has(key string) bool {
	return slices.ContainsFunc(p.keys, func(k string) bool { return k == key || strings.HasSuffix(k, ".") && strings.HasPrefix(key, k) })
}

// reloader reloads the settings of a server.
type reloader struct {
	log    *zap.Logger
	hangUp <-chan os.Signal
	parts  []part
	use    func(*config.Config) // makes the settings the ones in effect

	mu      sync.Mutex
	started config.Loaded // the settings at the start; those of no part stay in effect
	now     config.Config // the settings in effect of all parts
}

// newReloader returns the reloader of s, with all parts that can be reloaded.
func newReloader(s *server, hangUp <-chan os.Signal, level zap.AtomicLevel) *reloader {
	i, log := s.Instance, s.log
	return &reloader{log: log, hangUp: hangUp, started: i.settings, now: i.settings.Config, use: i.live.Store, parts: []part{
		{keys: []string{"logLevel"}, prepare: func(next config.Config) (func(), error) {
			to, err := zap.ParseAtomicLevel(next.LogLevel)
			return func() { level.SetLevel(to.Level()) }, err
		}},
		{keys: []string{"accessLog", "allowDelete", "shutdownTimeout", "tagTTL", "local", "mirrored", "limits.minFree", "limits.openUploads", "limits.missesPerSecond"}, prepare: readWhenUsed},
		{keys: []string{"limits.", "trustedProxies"}, prepare: func(next config.Config) (func(), error) {
			return func() { s.monitoring.middleware.Configure(s.middlewareSettings(next)) }, nil
		}},
		{keys: []string{"ownNames", "upstream", "upstreams", "knownUpstreams", "upstreamTimeout", "retryFor"}, prepare: func(next config.Config) (func(), error) {
			if i.settings.Offline {
				return func() { i.Proxy.Reconfigure(next.Names(), nil) }, nil
			}
			client, err := i.newUpstream(next, next.Registries())
			return func() { i.Proxy.Reconfigure(next.Names(), client) }, err
		}},
		{keys: []string{"auth."}, prepare: func(next config.Config) (func(), error) {
			opts, err := next.Access(log)
			opts.Tokens = i.tokens
			if err != nil {
				return nil, err
			}
			apply, err := s.guard.Prepare(opts)
			return func() {
				apply()
				if err := createInitialUser(next, log); err != nil {
					log.Error("cannot create the first user", zap.Error(err))
				}
			}, err
		}},
		{keys: []string{"gc."}, prepare: func(next config.Config) (func(), error) {
			schedule := next.GC.Collector(next.Names())
			return func() {
				if err := i.collector.Configure(schedule); err != nil {
					log.Error("cannot reload the settings of the collector: the old ones stay in effect", zap.Error(err))
				}
			}, schedule.Validate()
		}},
		{keys: []string{"events."}, prepare: func(next config.Config) (func(), error) {
			return i.events.Configure(next.Events.List(), int64(next.Events.Queue))
		}},
		{keys: []string{"bundles.trustedKeys"}, prepare: func(next config.Config) (func(), error) {
			_, err := next.Bundles.Verifier(nil)
			return func() {}, err
		}},
		{keys: []string{"tls.certFile", "tls.keyFile", "tls.clientCAFile", "tls.requireClientCert"}, prepare: func(next config.Config) (func(), error) {
			return s.transport.prepare(next.TLS)
		}},
		// The last part, as it opens a file, which would stay open if another part failed.
		{keys: []string{"audit."}, prepare: func(next config.Config) (func(), error) { return i.audit.Reopen(next.Audit.File) }},
	}}
}

// readWhenUsed is for settings that are read each time they are used; see [Instance.current].
func readWhenUsed(config.Config) (func(), error) { return func() {}, nil }

// reload reads the settings again and applies those of all parts. If one part fails, it changes nothing.
func (r *reloader) reload(context.Context) (admin.Reloaded, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	loaded, err := r.started.Reload()
	if err != nil {
		return r.fail(err)
	}
	next := loaded.Config
	if next.TLS.Enabled() != r.started.TLS.Enabled() { // a listener cannot switch between TLS and plain HTTP
		next.TLS = r.now.TLS
	}
	var applies []func()
	for _, part := range r.parts {
		apply, err := part.prepare(next)
		if err != nil {
			return r.fail(err)
		}
		applies = append(applies, apply)
	}
	for _, apply := range applies {
		apply()
	}
	reloaded := r.compare(loaded.Config, next)
	r.now = next
	r.use(&next)
	r.log.Info("reloaded", zap.Strings("changed", reloaded.Changed), zap.Strings("restart", reloaded.Restart))
	return reloaded, nil
}

func (r *reloader) fail(err error) (admin.Reloaded, error) {
	r.log.Error("reload failed: the settings are unchanged", zap.Error(err))
	return admin.Reloaded{}, mirror.Errorf(mirror.CodeUnsupported, "the settings are unchanged: %w", err)
}

// compare returns the keys whose value changed, and the keys that need a restart. loaded are the settings as they were
// read, next those of them that can be applied.
func (r *reloader) compare(loaded, next config.Config) admin.Reloaded {
	reloaded := admin.Reloaded{Changed: []string{}, Restart: []string{}}
	before, effective := settings.Keys(&r.now), settings.Keys(&next)
	started := settings.Keys(&r.started.Config)
	for i, key := range settings.Keys(&loaded) {
		if !r.has(key.Path) {
			effective[i] = started[i]
		}
		switch {
		case !reflect.DeepEqual(key.Value(), effective[i].Value()):
			reloaded.Restart = append(reloaded.Restart, key.Path)
		case r.has(key.Path) && !reflect.DeepEqual(key.Value(), before[i].Value()):
			reloaded.Changed = append(reloaded.Changed, key.Path)
		}
	}
	return reloaded
}

// has reports whether a setting can change while the server runs.
func (r *reloader) has(key string) bool {
	return slices.ContainsFunc(r.parts, func(p part) bool { return p.has(key) })
}

// follow reloads on SIGHUP until ctx ends.
func (r *reloader) follow(ctx context.Context) {
	for {
		select {
		case <-r.hangUp:
			_, _ = r.reload(ctx) // logs the result
		case <-ctx.Done():
			return
		}
	}
}
