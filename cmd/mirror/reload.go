package main

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"airmirror/api/admin"
	"airmirror/api/auth"
	"airmirror/cmd/mirror/config"
	"airmirror/cmd/mirror/config/settings"
	"airmirror/mirror"
)

// part is something that can change while a server runs.
type part struct {
	// keys of the settings that it follows; one that ends with a dot stands for all below it.
	keys []string
	// prepare returns what makes next hold, or why that cannot be. It changes nothing, and is called whether something
	// changed or not: files may have.
	prepare func(next serveConfig) (apply func(), err error)
}

func (p part) follows(key string) bool {
	return slices.ContainsFunc(p.keys, func(k string) bool { return k == key || strings.HasSuffix(k, ".") && strings.HasPrefix(key, k) })
}

// reloader has a server take up settings anew.
type reloader struct {
	log    *zap.Logger
	hangUp <-chan os.Signal
	parts  []part

	mu      sync.Mutex
	started serveConfig // what holds until a restart
	now     serveConfig // what holds of the rest
}

// reload reads the settings again and makes those hold that can, or changes nothing and says why.
func (r *reloader) reload(context.Context) (admin.Reloaded, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	said, err := r.started.again()
	if err != nil {
		return r.refuse(err)
	}
	next := said
	if said.TLS.Enabled() != r.started.TLS.Enabled() { // clients that are connected speak one or the other
		next.TLS = r.now.TLS
	}
	var applies []func()
	for _, part := range r.parts {
		apply, err := part.prepare(next)
		if err != nil {
			return r.refuse(err)
		}
		applies = append(applies, apply)
	}
	for _, apply := range applies {
		apply()
	}
	reloaded := r.compare(said, next)
	r.now = next
	r.started.live.Store(&next.Config)
	r.log.Info("reloaded", zap.Strings("changed", reloaded.Changed), zap.Strings("restart", reloaded.Restart))
	return reloaded, nil
}

func (r *reloader) refuse(err error) (admin.Reloaded, error) {
	r.log.Error("not reloaded: everything stays as it was", zap.Error(err))
	return admin.Reloaded{}, mirror.Errorf(mirror.CodeUnsupported, "nothing was changed: %w", err)
}

// compare says which keys have other values in next, which is what holds from now on of what was said, than before; and
// which would have to be started with.
func (r *reloader) compare(said, next serveConfig) admin.Reloaded {
	reloaded := admin.Reloaded{Changed: []string{}, Restart: []string{}}
	before, held := settings.Keys(&r.now.Config), settings.Keys(&next.Config)
	started := settings.Keys(&r.started.Config)
	for i, key := range settings.Keys(&said.Config) {
		if !r.follows(key.Path) {
			held[i] = started[i]
		}
		switch {
		case !reflect.DeepEqual(key.Value(), held[i].Value()):
			reloaded.Restart = append(reloaded.Restart, key.Path)
		case r.follows(key.Path) && !reflect.DeepEqual(key.Value(), before[i].Value()):
			reloaded.Changed = append(reloaded.Changed, key.Path)
		}
	}
	return reloaded
}

// follows reports whether a key can change while the server runs.
func (r *reloader) follows(key string) bool {
	return slices.ContainsFunc(r.parts, func(p part) bool { return p.follows(key) })
}

// follow reloads whenever the process is told to hang up, until ctx ends.
func (r *reloader) follow(ctx context.Context) {
	for {
		select {
		case <-r.hangUp:
			_, _ = r.reload(ctx) // it is in the log
		case <-ctx.Done():
			return
		}
	}
}

// newReloader returns what reloads a server. What it can change is here.
func newReloader(w *services, guard *auth.Guard, c serveConfig, hangUp <-chan os.Signal, level zap.AtomicLevel, prepareTLS func(config.TLS) (func(), error), log *zap.Logger) *reloader {
	return &reloader{log: log, hangUp: hangUp, started: c, now: c, parts: []part{
		{keys: []string{"logLevel"}, prepare: func(next serveConfig) (func(), error) {
			to, err := zap.ParseAtomicLevel(next.LogLevel)
			return func() { level.SetLevel(to.Level()) }, err
		}},
		{keys: []string{"accessLog", "allowDelete", "shutdownTimeout", "tagTTL", "local", "mirrored", "limits.minFree", "limits.openUploads", "limits.missesPerSecond"}, prepare: asked},
		{keys: []string{"limits.", "trustedProxies"}, prepare: func(next serveConfig) (func(), error) {
			return func() { w.watch.front.Configure(next.Front()) }, nil
		}},
		{keys: []string{"ownNames", "upstream", "upstreams", "knownUpstreams", "upstreamTimeout", "retryFor"}, prepare: func(next serveConfig) (func(), error) {
			if c.Offline {
				return func() { w.mirror.Reconfigure(next.Names(), nil) }, nil
			}
			next.observe = c.observe
			client, err := newUpstream(next.Registries(), next, log)
			return func() { w.mirror.Reconfigure(next.Names(), client) }, err
		}},
		{keys: []string{"auth."}, prepare: func(next serveConfig) (func(), error) {
			opts, err := next.Access(log)
			if err != nil {
				return nil, err
			}
			return guard.Prepare(opts)
		}},
		{keys: []string{"gc."}, prepare: func(next serveConfig) (func(), error) {
			schedule := next.GC.Collector(next.Names())
			return func() {
				if err := w.collector.Configure(schedule); err != nil {
					log.Error("the collector goes on as it did", zap.Error(err))
				}
			}, schedule.Validate()
		}},
		{keys: []string{"events."}, prepare: func(next serveConfig) (func(), error) {
			return c.events.Configure(next.Events.List(), int64(next.Events.Queue))
		}},
		{keys: []string{"bundles.trustedKeys"}, prepare: func(next serveConfig) (func(), error) {
			_, err := next.Bundles.Verifier(nil)
			return func() {}, err
		}},
		{keys: []string{"tls.certFile", "tls.keyFile", "tls.clientCAFile", "tls.requireClientCert"}, prepare: func(next serveConfig) (func(), error) {
			return prepareTLS(next.TLS)
		}},
		// The last: it opens a file, which nobody would close if another part refused.
		{keys: []string{"audit."}, prepare: func(next serveConfig) (func(), error) { return w.audit.Reopen(next.Audit.File) }},
	}}
}

// asked is for what is looked up each time it is needed; see [serveConfig.current].
func asked(serveConfig) (func(), error) { return func() {}, nil }

func newReloadCommand() *cobra.Command {
	q := &question{}
	return q.command(&cobra.Command{
		Use:   "reload",
		Short: "Have the server read its settings again",
		Long: `Have the server read its file of settings, its certificates and its users again, as SIGHUP does.
Upstreams and how they are asked, users and rules, certificates, trusted keys, retention, limits,
proxies, endpoints of events, whether clients may delete, and logs change at once; transfers under way end as they
began. What needs a restart is named. A mistake in the file changes nothing, and is named with
its place.`,
		Example: `  mirror reload`,
		Args:    noArguments,
	}, func(cmd *cobra.Command, client *admin.Client, _ []string) error {
		reloaded, err := client.Reload(cmd.Context())
		if err != nil {
			return err
		}
		if q.json {
			return printJSON(cmd.OutOrStdout(), reloaded)
		}
		text := "reloaded: nothing has changed in the settings"
		if len(reloaded.Changed) > 0 {
			text = "reloaded: " + strings.Join(reloaded.Changed, ", ")
		}
		if len(reloaded.Restart) > 0 {
			text += "\nafter a restart: " + strings.Join(reloaded.Restart, ", ")
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
		return err
	})
}

// again reads the settings from where they came from.
func (c *serveConfig) again() (serveConfig, error) {
	loaded, err := c.Reload()
	return serveConfig{Loaded: loaded}, err
}
