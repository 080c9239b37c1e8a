package proxy

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/mirror"
)

// saveInterval is how often wants are saved, and images that are not complete are tried again.
const saveInterval = 5 * time.Second

// Proxy is the engine: a registry that serves what is stored and fetches the rest from upstreams. See the package comment.
//
// It is safe for concurrent use. Work that it does for clients continues when they leave, until Close.
type Proxy struct {
	// The parts that serve requests and commands. Their exported methods are those of the Proxy.
	*puller
	*pusher
	*lists
	*fetcher
	*images
	*pins
	*wants
	*content
	*recovery
	*verifier

	opts     Options
	log      *zap.Logger
	store    mirror.Store
	names    atomic.Pointer[mirror.Names]
	upstream *upstreamSwitch // nil if there is none
	network  *network
	writes   *writes
	routing  *routing
	calls    *callGroup
	absent   absentCache
	backfill *backfill
	counters *counters
	pulls    *pulls
	settings *settings
	tasks    *tasks
}

// New returns a proxy for a store and its upstreams. It sends no requests before a client or a command needs them, unless
// images of an earlier run are to be completed, or a scrub finds lost content. With [Options.Offline], upstream is not used
// and may be nil.
func New(store mirror.Store, upstream mirror.Upstream, opts Options) (*Proxy, error) {
	p := assemble(store, upstream, opts.withDefaults())
	scrub, err := p.load(p.tasks.ctx)
	if err != nil {
		p.tasks.cancel()
		return nil, fmt.Errorf("read the saved state: %w", err)
	}
	p.pins.migrate(p.tasks.ctx)
	p.tasks.group.Add(1)
	go p.saveRegularly()
	if p.opts.Leases != nil {
		p.tasks.group.Add(1)
		go p.followSettings()
	}
	if p.opts.ScrubEvery > 0 {
		p.tasks.group.Add(1)
		go p.verifier.scrub(scrub)
	}
	return p, nil
}

// load reads the state of earlier runs. It returns the progress of the scrub.
func (p *Proxy) load(ctx context.Context) (scrub scrubRun, err error) {
	mode, err := p.loadMode(ctx)
	if err != nil {
		return scrub, err
	}
	p.network.set(ctx, mode)
	for _, load := range []func(context.Context) error{p.wants.load, p.writes.load, p.backfill.load, p.pulls.load} {
		if err := load(ctx); err != nil {
			return scrub, err
		}
	}
	return p.verifier.load(ctx)
}

// saveRegularly saves wants and resumes the backfill at intervals, until Close.
func (p *Proxy) saveRegularly() {
	defer p.tasks.done()
	ticker := time.NewTicker(saveInterval)
	defer ticker.Stop()
	for {
		select {
		case <-p.tasks.closing:
			return
		case <-ticker.C:
		}
		if err := p.wants.save(p.tasks.ctx); err != nil {
			p.log.Error("cannot save wants, trying again", zap.Error(err))
		}
		p.pulls.saveIfDue(p.tasks.ctx)
		p.backfill.resume()
	}
}

// Close waits for transfers, and for requests that clients wait for, until ctx ends. Then it cancels the rest and returns
// the error of ctx. The store stays open.
func (p *Proxy) Close(ctx context.Context) error {
	p.tasks.close()
	p.calls.close()
	err := p.tasks.wait(ctx)
	if saved := p.pulls.save(context.WithoutCancel(ctx)); saved != nil {
		p.log.Warn("cannot save the counts of pulls", zap.Error(saved))
	}
	if saved := p.wants.save(context.WithoutCancel(ctx)); saved != nil {
		return fmt.Errorf("save wants: %w", saved)
	}
	return err
}

// Names returns the mapping between names in requests and repositories.
func (p *Proxy) Names() mirror.Names { return *p.names.Load() }

// Reconfigure replaces the names and the upstreams. Requests and transfers that are under way finish with the old ones.
// Cached answers of upstreams that content does not exist are forgotten. With [Options.Offline], or if upstream is nil,
// only the names change.
func (p *Proxy) Reconfigure(names mirror.Names, upstream mirror.Upstream) {
	p.names.Store(&names)
	if p.upstream != nil && upstream != nil {
		p.upstream.current.Store(&upstream)
	}
	p.absent.purge()
	p.backfill.retry()
}

// Status returns the state of the proxy. It sends no requests.
func (p *Proxy) Status() mirror.Status {
	status := mirror.Status{
		Mode: p.Mode(), ReadOnly: p.ReadOnly(), Downloads: p.puller.downloads.count(), Backfill: p.backfill.count(), Wants: p.wants.count(),
		Upstreams: []mirror.UpstreamStatus{}, Verify: p.verifier.status(),
	}
	if p.upstream != nil {
		status.Upstreams = p.upstream.Status()
	}
	counts, err := p.ImageCounts(p.tasks.ctx, nil)
	if status.Incomplete, status.Images = counts.Incomplete, counts; err != nil {
		status.IncompleteError = err.Error()
	}
	return status
}

// assemble returns a proxy that has read no state yet.
func assemble(store mirror.Store, upstream mirror.Upstream, opts Options) *Proxy {
	p := &Proxy{opts: opts, log: opts.Log, store: store, network: &network{}, counters: &counters{}, tasks: newTasks()}
	log := opts.Log
	p.names.Store(&opts.Names)
	if upstream != nil {
		p.upstream = newUpstreamSwitch(upstream)
	}
	p.pulls = newPulls(store, time.Now, log)
	p.settings = &settings{store: store, unsaved: make(map[string][]byte)}
	limiter := newMissLimiter(opts.MissesPerSecond)
	p.absent = absentCache{newTTLCache[error](maxAbsent, opts.NegativeTTL)}
	p.calls = &callGroup{tasks: p.tasks, network: p.network, limiter: limiter}
	p.writes = &writes{store: store, capacity: opts.CheckCapacity, log: log}
	p.routing = &routing{store: store, local: opts.Local, network: p.network, writes: p.writes}
	p.recovery = &recovery{store: store, routing: p.routing, tasks: p.tasks, log: log}
	p.content = &content{store: store, tasks: p.tasks, replace: p.recovery.replace, detached: make(chan struct{}, maxDetached), log: log}
	p.wants = &wants{store: store, content: p.content, absent: p.absent, counters: p.counters, onWant: opts.OnWant, tasks: p.tasks, log: log}
	p.wants.shared = opts.Leases != nil
	p.backfill = &backfill{
		store: store, content: p.content, network: p.network, writes: p.writes, tasks: p.tasks,
		enabled: opts.Backfill, log: log, slots: make(chan struct{}, opts.BackfillParallel),
	}
	downloads := &downloads{
		store: store, upstream: p.upstream, network: p.network, tasks: p.tasks, limiter: limiter, routing: p.routing,
		writes: p.writes, wants: p.wants, log: log,
	}
	manifests := &manifests{
		store: store, upstream: p.upstream, content: p.content, writes: p.writes, backfill: p.backfill, wants: p.wants,
		tasks: p.tasks, log: log,
	}
	revalidation := &revalidation{
		store: store, content: p.content, routing: p.routing, calls: p.calls, absent: p.absent, manifests: manifests,
		backfill: p.backfill, ttl: opts.TagTTL, timeout: opts.FallbackTimeout, log: log,
		absentChildren: newTTLCache[digest.Digest](maxAbsent, absentChildTTL),
	}
	pushes := newRecentPushes(store)
	p.puller = &puller{
		store: store, content: p.content, recovery: p.recovery, routing: p.routing, calls: p.calls, absent: p.absent,
		manifests: manifests, downloads: downloads, revalidation: revalidation, backfill: p.backfill, wants: p.wants,
		pushes: pushes, existing: newTTLCache[struct{}](maxExisting, existingTTL), counters: p.counters, pulls: p.pulls,
	}
	p.pusher = &pusher{
		store: store, content: p.content, routing: p.routing, downloads: downloads, writes: p.writes, wants: p.wants,
		pushes: pushes, large: newLargePushes(),
	}
	p.lists = &lists{
		store: store, upstream: p.upstream, routing: p.routing, calls: p.calls, absent: p.absent, cache: newListCache(),
		names: p.Names, timeout: opts.FallbackTimeout, log: log,
	}
	p.fetcher = &fetcher{
		store: store, upstream: p.upstream, content: p.content, routing: p.routing, calls: p.calls, absent: p.absent,
		manifests: manifests, downloads: downloads, lists: p.lists, backfill: p.backfill, writes: p.writes, wants: p.wants,
		tasks: p.tasks, ignoreNondistributable: opts.IgnoreNondistributable,
	}
	p.images = &images{store: store, content: p.content, wants: p.wants, pulls: p.pulls, tasks: p.tasks, ignoreNondistributable: opts.IgnoreNondistributable}
	p.pins = &pins{store: store, content: p.content, log: log}
	p.verifier = &verifier{
		store: store, recovery: p.recovery, images: p.images, tasks: p.tasks, log: log,
		scrubEvery: opts.ScrubEvery, scrubRate: opts.ScrubRate, leases: mirror.Alone{}, now: time.Now,
	}
	if opts.Leases != nil {
		p.verifier.leases, p.verifier.shared, p.verifier.now = opts.Leases, true, store.Now
	}
	// Recovery and backfill fetch, and fetches use both.
	p.recovery.content, p.recovery.fetcher, p.recovery.backfill, p.recovery.wants = p.content, p.fetcher, p.backfill, p.wants
	p.backfill.fetcher = p.fetcher
	return p
}
