package proxy

import (
	"time"

	"go.uber.org/zap"

	"airmirror/mirror"
)

// Options configure a [Proxy]. With the zero value, every tag is revalidated at each request and nothing is logged.
type Options struct {
	// Names maps the names in requests to repositories.
	Names mirror.Names
	// TagTTL returns for how long a tag is served without a request to the upstream after the upstream confirmed it.
	// Nil means 0.
	TagTTL func(mirror.Ref) time.Duration
	// Local overrides whether a repository is local, regardless of how it was created. If decided is false, or Local is
	// nil, a repository is local if it was created by a push.
	Local func(mirror.Repo) (local, decided bool)
	// Backfill returns whether pulled images of a repository are completed in the background, and whether their
	// referrers are fetched with them. Nil means neither.
	Backfill func(mirror.Repo) (images, referrers bool)
	// IgnoreNondistributable makes images count as complete without their nondistributable layers, which some registries
	// do not have. Layers that an upstream has are fetched and stored anyway.
	IgnoreNondistributable bool
	// BackfillParallel is the number of blobs that backfill fetches at a time. The default is 2.
	BackfillParallel int
	// FallbackTimeout is how long a client waits for an upstream if a stored answer exists. Revalidation continues
	// without the client. The default is 700 ms.
	FallbackTimeout time.Duration
	// NegativeTTL is how long the answer of an upstream that content does not exist is cached. The default is 10 s.
	NegativeTTL time.Duration
	// MissesPerSecond returns how many new requests and transfers one client may cause at upstreams per second, with
	// bursts of ten times as many. Further misses are answered from the store. Nil and 0 mean no limit.
	MissesPerSecond func() float64
	// Offline disables all upstream requests, whatever the mode.
	Offline bool
	// ScrubEvery is the interval at which everything that is stored is verified and repaired in the background; 0
	// disables it. ScrubRate is how many bytes of content a scrub reads per second. The default is 10 MiB.
	ScrubEvery time.Duration
	ScrubRate  int64
	// CheckCapacity returns an error if there is no room for need more bytes. Pushes fail with that error, and content
	// of upstreams passes through without being stored. Nil means that there is always room.
	CheckCapacity func(need int64) error
	// OnWant is called once for each new [mirror.Want]. A client waits for its answer meanwhile, so OnWant must return
	// at once.
	OnWant func(mirror.Want)
	// Leases are those of a store that several nodes use: then one of them at a time scrubs, and the mode, the read-only
	// setting and the wants of the others are read again and again. Nil means that no other process uses the store.
	Leases mirror.Leases
	// Mode is the initial mode if no mode was set before. The default is [mirror.Auto].
	Mode mirror.Mode
	// Log receives log messages. Nil discards them.
	Log *zap.Logger
}

func (o Options) withDefaults() Options {
	if o.TagTTL == nil {
		o.TagTTL = func(mirror.Ref) time.Duration { return 0 }
	}
	if o.Local == nil {
		o.Local = func(mirror.Repo) (local, decided bool) { return false, false }
	}
	if o.Backfill == nil {
		o.Backfill = func(mirror.Repo) (images, referrers bool) { return false, false }
	}
	if o.BackfillParallel == 0 {
		o.BackfillParallel = 2
	}
	if o.FallbackTimeout == 0 {
		o.FallbackTimeout = 700 * time.Millisecond
	}
	if o.NegativeTTL == 0 {
		o.NegativeTTL = 10 * time.Second
	}
	if o.ScrubRate == 0 {
		o.ScrubRate = defaultScrubRate
	}
	if o.MissesPerSecond == nil {
		o.MissesPerSecond = func() float64 { return 0 }
	}
	if o.CheckCapacity == nil {
		o.CheckCapacity = func(int64) error { return nil }
	}
	if o.OnWant == nil {
		o.OnWant = func(mirror.Want) {}
	}
	if o.Mode == "" {
		o.Mode = mirror.Auto
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return o
}
