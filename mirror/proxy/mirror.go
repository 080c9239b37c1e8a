package proxy

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/mirror"
)

// Options say how a [Proxy] decides. The zero value works: everything is revalidated, nothing is logged.
type Options struct {
	Names mirror.Names
	// TagTTL is how long a tag that an upstream confirmed is served without asking again; nil means not at all.
	TagTTL func(mirror.Ref) time.Duration
	// Local says of a repository that it is local or that it is not, whoever created it; decided is false for those
	// that this is left to. Nil decides nothing.
	Local func(mirror.Repo) (local, decided bool)
	// Backfill says whether the rest of an image of repo is fetched when it is pulled, and with it what refers to it.
	// Nil means neither.
	Backfill func(mirror.Repo) (images, referrers bool)
	// IgnoreNondistributable has images count as complete without their nondistributable layers, which some registries do
	// not have. They are fetched where they can be had, and stored and copied, all the same.
	IgnoreNondistributable bool
	// BackfillParallel is how many blobs are fetched at a time to complete images; 2 if it is zero.
	BackfillParallel int
	// FallbackTimeout is how long a client waits for an upstream when there is a held answer to fall back on; 700 ms if it
	// is zero. Revalidation goes on without the client.
	FallbackTimeout time.Duration
	// NegativeTTL is how long an upstream's word that it does not have something is believed; 10 s if it is zero.
	NegativeTTL time.Duration
	// MissesPerSecond is how many new questions and transfers one client may cause at upstreams in a second, and ten times as
	// many at once. Further misses are answered with what is stored, or not at all. Nil, and zero, is any number.
	MissesPerSecond func() float64
	// Offline means that no upstream is asked for anything, whatever the mode.
	Offline bool
	// ScrubEvery is how often everything that is held is verified in the background, and repaired; not at all if it is
	// zero. ScrubRate is how many bytes of content are read for it in a second; 10 MiB if it is zero.
	ScrubEvery time.Duration
	ScrubRate  int64
	// CheckCapacity returns why there is no room for so many bytes more; pushes are refused with that, and what comes from upstreams
	// is passed on and not kept. Nil means that there always is.
	CheckCapacity func(need int64) error
	// OnWant is told of each [mirror.Want] when it becomes one, once, by the goroutine whose client is still waiting for its
	// answer: it must return at once. Nil is told nothing.
	OnWant func(mirror.Want)
	// Mode is what the mirror begins in if it was not told another one before; [mirror.Auto] if it is empty.
	Mode mirror.Mode
	Log  *zap.Logger
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

const (
	// maxUnknown is how many answers "does not exist" are remembered.
	maxUnknown = 4096
	// goneFor is how long a tag is asked for again that leads to what an upstream no longer has.
	goneFor = time.Minute
	// maxPushes is how many pushes are remembered, for pushesLast after a blob of them came in.
	maxPushes  = 1024
	pushesLast = 10 * time.Minute
	// noteInterval is how often wants are noted, and unfinished images looked at again.
	noteInterval = 5 * time.Second
)

// Mirror is a registry that holds content and fetches what it does not hold: the domain, see the package comment.
// All of it may be used concurrently. Work that it does on behalf of clients goes on when they leave; Close ends it.
type Proxy struct {
	store     mirror.Store
	upstream  *gate // nil with [Options.Offline]
	names     atomic.Pointer[mirror.Names]
	opts      Options
	log       *zap.Logger
	questions questions // for manifests and lists
	flights   flights   // of blobs
	unknown   *brief[error]
	misses    *misses
	lists     *lists                // what upstreams listed
	gone      *brief[digest.Digest] // by repository, the last manifest that its upstream did not have
	pushes    *brief[struct{}]      // who brought blobs for which repositories
	// largePushes are the pushes of large manifests that are under way.
	largePushes chan struct{}
	largeLine   *mirror.Shares[string] // of those that wait for that, by client
	largeWaits  *mirror.Shares[string] // of the memory of those that wait for an upstream, by client
	// unattended are the blobs that are verified though no client waits for it.
	unattended chan struct{}
	network    network
	wants      wants
	chores     chores // images to complete
	verified   verified
	incomplete incomplete
	counters   counters
	readOnly   atomic.Bool

	ctx     context.Context // of work that outlives the request that caused it
	cancel  context.CancelFunc
	closing sync.RWMutex // held for writing once, to let no work begin after Close
	closed  bool
	work    sync.WaitGroup
}

// New returns a mirror over what store holds. It asks upstream nothing until a request needs it, or an image is left to
// be completed from an earlier run, or something that is scrubbed turns out to be lost; with [Options.Offline] upstream is never called and may be nil.
func New(store mirror.Store, upstream mirror.Upstream, opts Options) (*Proxy, error) {
	opts = opts.withDefaults()
	ctx, cancel := context.WithCancel(context.Background())
	m := &Proxy{
		store: store, opts: opts, log: opts.Log, ctx: ctx, cancel: cancel,
		unknown: newBrief[error](maxUnknown, opts.NegativeTTL),
		lists:   newLists(),
		misses:  newMisses(opts.MissesPerSecond),
		gone:    newBrief[digest.Digest](maxUnknown, goneFor),
		pushes:  newBrief[struct{}](maxPushes, pushesLast),

		largePushes: make(chan struct{}, 2),
		largeLine:   mirror.NewShares[string](maxLargeLine),
		largeWaits:  mirror.NewShares[string](maxLargeWaits),
		unattended:  make(chan struct{}, maxUnattended),
	}
	m.names.Store(&opts.Names)
	if upstream != nil {
		m.upstream = newGate(upstream)
	}
	mode, err := m.rememberedMode(ctx)
	if err == nil {
		m.network.set(ctx, mode)
		err = m.wants.load(ctx, store)
	}
	if err == nil {
		err = m.loadReadOnly(ctx)
	}
	if err == nil {
		err = m.loadChores(ctx)
	}
	var begun lap
	if err == nil {
		begun, err = m.verified.load(ctx, store)
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("read what the mirror noted: %w", err)
	}
	m.rootPins(ctx)
	m.work.Add(1)
	go m.keepNotes()
	if opts.ScrubEvery > 0 {
		m.work.Add(1)
		go m.scrub(begun)
	}
	return m, nil
}

// keepNotes writes wants and looks after unfinished images, now and then, until Close.
func (m *Proxy) keepNotes() {
	defer m.work.Done()
	ticker := time.NewTicker(noteInterval)
	defer ticker.Stop()
	for {
		select {
		case <-m.closeBegan():
			return
		case <-ticker.C:
		}
		if err := m.wants.note(m.ctx, m.store); err != nil {
			m.log.Error("cannot note wants, trying again", zap.Error(err))
		}
		m.resumeChores()
	}
}

// Close waits for transfers under way, and for answers that clients wait for, until ctx ends, then breaks off the rest. The
// store stays open.
func (m *Proxy) Close(ctx context.Context) error {
	m.closing.Lock()
	if !m.closed {
		m.closed = true
		close(m.chores.stop)
	}
	m.closing.Unlock()
	m.questions.close()
	done := make(chan struct{})
	go func() { m.work.Wait(); close(done) }()
	defer m.cancel()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
		m.cancel()
		<-done
	}
	if noted := m.wants.note(context.WithoutCancel(ctx), m.store); noted != nil {
		return fmt.Errorf("note wants: %w", noted)
	}
	return err
}

// closeBegan is closed when Close is called.
func (m *Proxy) closeBegan() <-chan struct{} { return m.chores.stop }

// Names returns how this mirror reads and writes repository names.
func (m *Proxy) Names() mirror.Names { return *m.names.Load() }

// Reconfigure replaces the upstreams, and how repositories are named. Transfers and questions under way go on with the
// upstreams that they began with; so do requests with the names. What the mirror remembered of what upstreams do not have
// is forgotten. With [Options.Offline], and for a nil upstream, only the names change.
func (m *Proxy) Reconfigure(names mirror.Names, upstream mirror.Upstream) {
	m.names.Store(&names)
	if m.upstream != nil && upstream != nil {
		m.upstream.beyond.Store(&upstream)
	}
	m.unknown.values.Purge()
	m.retryChores()
}

// begin notes that work goes on which Close must wait for; the caller calls m.work.Done when it ends.
func (m *Proxy) begin() error {
	m.closing.RLock()
	defer m.closing.RUnlock()
	if m.closed {
		return errClosing
	}
	m.work.Add(1)
	return nil
}
