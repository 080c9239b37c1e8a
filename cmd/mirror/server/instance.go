package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"airmirror/api/admin"
	"airmirror/api/admin/service"
	"airmirror/api/audit"
	"airmirror/api/auth"
	"airmirror/api/events"
	"airmirror/api/registry"
	"airmirror/cache"
	"airmirror/cache/cluster"
	"airmirror/cmd/mirror/config"
	"airmirror/gc"
	"airmirror/mirror"
	"airmirror/mirror/proxy"
	"airmirror/sync/bundle"
	"airmirror/sync/migrate"
	"airmirror/sync/transfer"
	"airmirror/upstream"
)

// ArchiveLimits limit the archives that the operator of a mirror imports. They accept zstd --ultra --long=31.
var ArchiveLimits = bundle.Limits{Window: 2 << 30}

// Options are the options of [Open]. The zero value works.
type Options struct {
	Version string      // of the program
	Log     *zap.Logger // nil discards logs
	// Store are the options of the store.
	Store cache.Options
	// address is the address that clients use, for events; the configured address if it is empty.
	address string
	// observe is called after each request to an upstream, if it is not nil.
	observe func(upstream.RequestInfo)
	// spool copies backups to a file before they are sent.
	spool bool
}

// Instance is the mirror of a data folder, or a node of a shared store, in this process. Only one process can open a data folder at a time.
type Instance struct {
	Proxy *proxy.Proxy

	settings  config.Loaded
	opts      Options
	log       *zap.Logger
	live      atomic.Pointer[config.Config] // the settings in effect, which a reload replaces
	store     *cache.Store
	node      *cluster.Node // of a shared store; otherwise nil
	capacity  *cache.Capacity
	events    *events.Events
	collector *gc.Collector
	audit     *audit.Log
	changes   *audit.Recent
	uploads   *registry.OpenUploads
	tokens    *auth.Tokens
	service   *service.Service
}

// Open opens the mirror of a data folder, and resumes the imports of earlier processes. The caller closes it.
func Open(ctx context.Context, settings config.Loaded, opts Options) (*Instance, error) {
	i := &Instance{settings: settings, opts: opts, log: opts.Log}
	if i.log == nil {
		i.log = zap.NewNop()
	}
	i.live.Store(&settings.Config)
	if i.opts.address == "" {
		i.opts.address = settings.Listen
	}
	opts.Store.Log = i.log
	if err := i.openStore(ctx, opts.Store); err != nil {
		return nil, err
	}
	removeLeftovers(settings.Data, i.log)
	if err := i.open(ctx); err != nil {
		return nil, errors.Join(err, i.Close(ctx))
	}
	return i, nil
}

func (i *Instance) open(ctx context.Context) (err error) {
	if i.events, err = i.openEvents(); err != nil {
		return err
	}
	if i.tokens, err = auth.OpenTokens(ctx, i.store, i.log); err != nil {
		return err
	}
	i.capacity = i.store.Capacity(func(total int64) int64 { return i.current().Limits.MinFreeOf(total) })
	if i.Proxy, err = i.newProxy(); err != nil {
		return err
	}
	c := i.settings
	i.changes = audit.OpenRecent(filepath.Join(c.Data, changesFile), i.log)
	if i.audit, err = audit.Open(c.Audit.File, i.changes, i.log); err != nil { // later, the missing entries would go unnoticed
		return &Error{InvalidConfig, err}
	}
	i.uploads = newOpenUploads(i.current)
	i.collector, err = gc.NewCollector(ctx, notifyingStore{i.store, i.uploads.End}, i.Proxy, gc.CollectorOptions{
		Schedule: c.GC.Collector(c.Names()), Disk: i.space(), OnCollected: i.collected,
		Leases: i.store.Leases(config.HostName()), Log: i.log,
	})
	if err != nil {
		return err
	}
	bundles := transfer.New(i.Proxy, i.store, transfer.Options{
		Host: config.HostName(), Tool: "mirror " + i.opts.Version, Limits: ArchiveLimits, Log: i.log,
		Verifier: func(keys []string) (transfer.Verifier, error) { return i.current().Bundles.Verifier(keys) },
		Signed:   c.Bundles.RequireSignature, Destination: c.Bundles.Destination, IgnoreNondistributable: c.IgnoreNondistributable,
		SharedStore: i.node != nil,
	})
	var store service.Store = i.store
	if i.opts.spool && i.node == nil {
		store = spoolingStore{Store: i.store, folder: c.Data, room: i.capacity.Check, log: i.log}
	}
	i.service = service.New(i.Proxy, store, service.Options{Transfer: bundles, Collector: i.collector, Registry: i.registryAt, Events: i.events, Room: i.capacity.Check})
	return bundles.Resume(ctx)
}

// current returns the settings in effect.
func (i *Instance) current() *config.Config { return i.live.Load() }

// closeTimeout is how long Close waits for work in the background.
const closeTimeout = time.Second

// Close interrupts work in the background, which the next process resumes, and closes the mirror.
func (i *Instance) Close(ctx context.Context) error {
	var err error
	if i.Proxy != nil {
		ctx, cancel := context.WithTimeout(ctx, closeTimeout)
		defer cancel()
		err = i.Proxy.Close(ctx)
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			err = nil
		}
	}
	return errors.Join(err, i.release())
}

// release closes everything but the proxy, which was closed before.
func (i *Instance) release() error {
	if i.events != nil {
		i.events.Close() // keeps undelivered events for the next server
	}
	if i.audit != nil {
		i.audit.Close()
	}
	return errors.Join(i.changes.Close(), i.store.Close())
}

// newProxy returns the proxy of the mirror. Offline, it has no client of upstreams, so that nothing can contact one.
func (i *Instance) newProxy() (*proxy.Proxy, error) {
	c := i.settings
	opts := proxy.Options{
		Names:           c.Names(),
		TagTTL:          func(ref mirror.Ref) time.Duration { return i.current().TTLOf(ref) },
		Local:           func(repo mirror.Repo) (local, decided bool) { return i.current().IsLocal(repo) },
		Backfill:        func(repo mirror.Repo) (images, referrers bool) { return i.current().BackfillOf(repo) },
		CheckCapacity:   i.capacity.Check,
		MissesPerSecond: func() float64 { return i.current().Limits.MissesPerSecond },
		OnWant:          i.events.Want,
		Leases:          i.store.Leases(config.HostName()),
		Offline:         c.Offline,
		Log:             i.log,

		IgnoreNondistributable: c.IgnoreNondistributable,

		ScrubEvery: time.Duration(c.Verify.Interval),
		ScrubRate:  int64(c.Verify.Rate),
	}
	if c.Offline {
		return proxy.New(i.store, nil, opts)
	}
	client, err := i.newUpstream(c.Config, c.Registries())
	if err != nil {
		return nil, err
	}
	return proxy.New(i.store, client, opts)
}

// newUpstream returns a client of upstream registries.
func (i *Instance) newUpstream(c config.Config, registries []upstream.Config) (*upstream.Client, error) {
	return newUpstream(c, registries, i.opts, i.log)
}

func newUpstream(c config.Config, registries []upstream.Config, opts Options, log *zap.Logger) (*upstream.Client, error) {
	retryFor := time.Duration(c.RetryFor)
	if retryFor == 0 {
		retryFor = -1 // zero is the default in package upstream
	}
	client, err := upstream.New(registries, upstream.Options{
		Timeout: time.Duration(c.UpstreamTimeout), RetryFor: retryFor, Logger: log, Version: opts.Version, Observe: opts.observe,
	})
	if err != nil {
		return nil, &Error{InvalidConfig, err}
	}
	return client, nil
}

// openEvents returns the queues of events. Delivery does not start yet.
func (i *Instance) openEvents() (*events.Events, error) {
	address := i.opts.address
	_, port, _ := net.SplitHostPort(address)
	e := events.New(events.Options{
		Dir: filepath.Join(i.settings.Data, "events"), Names: func() mirror.Names { return i.current().Names() },
		URL:     func() string { return i.current().PublicURL(address) },
		Address: net.JoinHostPort(config.HostName(), port), Agent: "mirror/" + i.opts.Version, Log: i.log,
	})
	use, err := e.Configure(i.settings.Events.List(), int64(i.settings.Events.Queue))
	if err != nil {
		e.Close()
		return nil, &Error{InvalidConfig, fmt.Errorf("events: %w", err)}
	}
	use()
	return e, nil
}

// registryAt returns a client of the registry at a URL. An upstream is used with its settings, another registry with the
// credentials of docker.
func (i *Instance) registryAt(url string) (migrate.RegistryClient, error) {
	e, err := upstream.ParseEndpoint(url)
	if err != nil {
		return nil, err
	}
	at := e.Config()
	for _, u := range i.settings.Upstreams {
		if u.Host == e.Host {
			at = u.Config
		}
	}
	return i.newUpstream(i.settings.Config, []upstream.Config{at})
}

// changesFile is the name of the file with the latest changes in a data folder.
const changesFile = "changes.log"

// collected keeps a collection that nobody asked for, if it deleted something or failed.
func (i *Instance) collected(r gc.Result, err error) {
	if r.Cause != gc.ByCommand && (err != nil || r.Totals != gc.Totals{}) {
		i.changes.Collected(map[string]any{"cause": r.Cause, "images": r.Images, "blobs": r.Blobs, "bytes": r.Bytes}, err)
	}
}

// Admin returns the admin API for commands in this process. It logs nothing: the commands report errors.
func (i *Instance) Admin() *admin.Handler {
	details := func(context.Context) (d admin.Details) {
		d.Disk = i.disk()
		return d
	}
	return i.admin(admin.Options{Details: details})
}

// space returns how the collector finds out the space of the disk; nil if the store is on no disk of this machine.
func (i *Instance) space() func() (total, free int64, err error) {
	if i.node != nil {
		return nil
	}
	return i.store.Space
}

// disk returns the space of the disk; nil if it is unknown.
func (i *Instance) disk() *admin.Disk {
	total, free, err := i.store.Space()
	if err != nil {
		return nil
	}
	return &admin.Disk{Total: total, Free: free, MinFree: i.current().Limits.MinFreeOf(total)}
}

// admin returns the admin API. opts has the parts that depend on the process.
func (i *Instance) admin(opts admin.Options) *admin.Handler {
	var err error
	if opts.Data, err = filepath.Abs(i.settings.Data); err != nil {
		opts.Data = i.settings.Data
	}
	opts.Version, opts.OnChange, opts.Changes, opts.Tokens = i.opts.Version, i.audit.Command, i.changes, i.tokens
	opts.State = i.store
	opts.Jobs, opts.Calls, opts.Streams = i.service.Jobs(), i.service.Calls(), i.service.Streams()
	opts.Detail = audit.Detail
	opts.Storage, opts.Find, opts.Samples = i.service.Storage, i.service.Find, i.collector.Samples
	opts.StallTimeout = func() time.Duration { return time.Duration(i.current().Limits.StallTimeout) }
	return admin.New(i.Proxy, opts)
}
