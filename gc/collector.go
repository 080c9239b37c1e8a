package gc

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"airmirror/mirror"
)

// Store is the part of a store that a [Collector] uses.
type Store interface {
	mirror.CollectStore
	mirror.StateStore
}

// Schedule defines when a server collects automatically, and by which policy. The zero value collects only when the
// disk is nearly full. Stale uploads ([Policy.UploadTTL]) are deleted in any case.
type Schedule struct {
	Policy `yaml:",inline"`
	// Interval is the interval between the starts of two collections. If it is zero there is no schedule, except that a
	// policy with [Policy.MaxSize] is applied once an hour: only a survey measures the stored size.
	Interval Age `json:"interval,omitzero" yaml:"interval"`
	// Throttle is how long a collection pauses between two groups of requests, as a multiple of the time that the store
	// took for the last group. Zero means [DefaultThrottle]; a negative value means no pause.
	Throttle float64 `json:"throttle,omitempty" yaml:"throttle"`
	// IgnoreLowDisk disables collections for a nearly full disk, unless [Policy.KeepFree] is set.
	IgnoreLowDisk bool `json:"ignoreLowDisk,omitempty" yaml:"-"`
}

// DefaultThrottle lets a collection rest for a fifth of its time. Pushes meanwhile wait for transactions that delete, and
// those are short in any case; a longer rest makes the collection longer, and hardly any request faster.
const DefaultThrottle = 0.25

const (
	// checkInterval is how often the free space of the disk is checked.
	checkInterval = time.Minute
	// diskBackoff is how long no collection is started for a full disk after one that could not free enough. Another
	// run soon after that rarely frees more, and planning reads the whole index.
	diskBackoff = 15 * time.Minute
	// sizeInterval is [Schedule.Interval] for a [Policy.MaxSize] without a schedule.
	sizeInterval = Age(time.Hour)
	// leaseName is the lease of the node that collects.
	leaseName = "collector"
	// stateKind is the kind of the stored state: the last results, by cause.
	stateKind = "collection"
)

// defaultKeepFree is the default of [Policy.KeepFree] in a server: the smaller of two shares of the disk. The default
// of [Policy.FreeUpTo] is seven fifths of it.
var defaultKeepFree = [2]Share{{Percent: 5}, {Bytes: 2 << 30}}

// Collector runs collections in a server: by schedule, when the disk is nearly full, and on request. It runs one at a
// time. All methods may be called concurrently.
type Collector struct {
	store   Store
	sources Sources
	disk    func() (total, free int64, err error)
	onEnd   func(Result, error)
	log     *zap.Logger
	started time.Time
	leases  mirror.Leases
	shared  bool // other nodes collect in the same store
	now     func() time.Time

	mu       sync.Mutex
	schedule Schedule
	changed  chan struct{} // closed when the schedule changes
	began    time.Time     // start of the current run; zero if there is none
	tried    time.Time     // when the schedule last tried to start a run
	last     map[Cause]Result

	samples      sampler   // used by Serve alone
	staleChecked time.Time // when stale uploads were last looked for; used by Serve alone
}

// CollectorOptions are the options of a [Collector]. The zero value works.
type CollectorOptions struct {
	Schedule
	// Disk returns the size and the free space of the disk, in bytes. Nil means that they are unknown.
	Disk func() (total, free int64, err error)
	// OnCollected is called after each run with its result and error; nil ignores them.
	OnCollected func(Result, error)
	// Leases are those of a store that several nodes use: one of them at a time collects. Nil means that there is one.
	Leases mirror.Leases
	// Log receives the results of runs; nil logs nothing.
	Log *zap.Logger
}

// NewCollector returns a collector that collects only on request until [Collector.Serve] is called. It loads the
// results of earlier runs from the store.
func NewCollector(ctx context.Context, store Store, sources Sources, opts CollectorOptions) (*Collector, error) {
	c := &Collector{store: store, sources: sources, disk: opts.Disk, onEnd: opts.OnCollected, log: opts.Log, last: make(map[Cause]Result),
		changed: make(chan struct{}), leases: mirror.Alone{}, now: time.Now}
	if c.log == nil {
		c.log = zap.NewNop()
	}
	if opts.Leases != nil {
		c.leases, c.shared, c.now = opts.Leases, true, store.Now
	}
	c.started = c.now()
	if err := c.Configure(opts.Schedule); err != nil {
		return nil, err
	}
	return c, c.loadResults(ctx)
}

// loadResults reads the results of earlier runs, and of other nodes.
func (c *Collector) loadResults(ctx context.Context) error {
	stored, err := c.store.State(ctx, stateKind)
	c.mu.Lock()
	defer c.mu.Unlock()
	for cause, data := range stored {
		if r, err := decodeResult(data); err == nil {
			c.last[Cause(cause)] = r
		}
	}
	return err
}

// Configure changes the schedule. A current run is not affected.
func (c *Collector) Configure(schedule Schedule) error {
	if err := schedule.Validate(); err != nil {
		return err
	}
	if schedule.Interval < 0 {
		return errors.New("the time between two collections cannot be negative")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.schedule = schedule
	close(c.changed)
	c.changed = make(chan struct{})
	return nil
}

// Status is the state of a [Collector].
type Status struct {
	Running bool      `json:"running"`
	Since   time.Time `json:"since,omitzero"` // start of the current run
	// Next is when the schedule starts the next run; zero without a schedule.
	Next time.Time `json:"next,omitzero"`
	// Last is the result of the last run, of this process or an earlier one; nil before the first.
	Last *Result `json:"last,omitempty"`
}

// Status returns the state of the collector.
func (c *Collector) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Status{Running: !c.began.IsZero(), Since: c.began, Next: c.next()}
	for _, r := range c.last {
		if s.Last == nil || r.Began.After(s.Last.Began) {
			s.Last = &r
		}
	}
	return s
}

// Options returns the configured options of a run.
func (c *Collector) Options() Options {
	c.mu.Lock()
	defer c.mu.Unlock()
	opts := Options{Policy: c.schedule.Policy, Disk: c.disk, Throttle: c.schedule.Throttle}
	if opts.Throttle == 0 {
		opts.Throttle = DefaultThrottle
	}
	return opts
}

// Plan makes a plan without executing it. It may be called during a run.
func (c *Collector) Plan(ctx context.Context, opts Options) (*Plan, error) {
	return MakePlan(ctx, c.store, c.sources, c.withDisk(opts), c.store.Now())
}

// Collect runs a collection on request; see [Run]. The error is a [mirror.CodeUnavailable] if a collection is
// running.
func (c *Collector) Collect(ctx context.Context, opts Options, report func(Candidate)) (Result, error) {
	return c.run(ctx, ByCommand, c.withDisk(opts), report)
}

// withDisk fills in the collector's disk.
func (c *Collector) withDisk(opts Options) Options {
	if opts.Disk == nil {
		opts.Disk = c.disk
	}
	return opts
}

// run runs a collection unless one is running, on this node or another one, and stores its result.
func (c *Collector) run(ctx context.Context, cause Cause, opts Options, report func(Candidate)) (result Result, err error) {
	c.mu.Lock()
	if began := c.began; !began.IsZero() {
		c.mu.Unlock()
		return Result{}, mirror.Errorf(mirror.CodeUnavailable, "a collection has been running since %s: wait for it to end", began.Format(time.RFC3339))
	}
	c.began = c.now().UTC()
	seen := c.last[cause].Began
	c.mu.Unlock()

	ran := false
	err = c.leases.Run(ctx, leaseName, func(ctx context.Context) error {
		if cause != ByCommand && c.ranElsewhere(ctx, cause, seen) {
			return nil
		}
		var err error
		ran = true
		result, err = c.runLeased(ctx, cause, opts, report)
		c.record(context.WithoutCancel(ctx), result, err)
		return err
	})
	c.mu.Lock()
	c.began = time.Time{}
	c.mu.Unlock()
	switch {
	case !ran:
		return Result{}, c.notRun(cause, err)
	case c.onEnd != nil:
		c.onEnd(result, err)
	}
	return result, err
}

// runLeased runs a collection while no other node does.
func (c *Collector) runLeased(ctx context.Context, cause Cause, opts Options, report func(Candidate)) (Result, error) {
	began := c.now().UTC()
	result, err := Run(ctx, c.store, c.sources, opts, report)
	result.Cause = cause
	if c.shared {
		result.Began = began // by the clock that all nodes have
	}
	c.mu.Lock()
	c.last[cause] = result
	c.mu.Unlock()
	return result, err
}

// record stores a result for later processes, and logs it.
func (c *Collector) record(ctx context.Context, r Result, err error) {
	data, storeErr := encodeResult(r)
	if storeErr == nil {
		storeErr = c.store.SetState(ctx, stateKind, map[string][]byte{string(r.Cause): data})
	}
	log := c.log.With(zap.String("cause", string(r.Cause)), zap.Int64("freed", r.Bytes), zap.Int("images", r.Images), zap.Int("blobs", r.Blobs),
		zap.Int("kept", r.Kept), zap.Float64("seconds", r.Seconds))
	switch {
	case errors.Is(err, context.Canceled):
		log.Info("collection canceled")
	case err != nil:
		log.Error("collection failed", zap.Error(err))
	case r.Budget.Shortfall > 0:
		log.Warn("collection missed its budget", zap.Int64("short", r.Budget.Shortfall), zap.String("reason", r.Budget.Reason))
	default:
		log.Info("collection finished")
	}
	if storeErr != nil {
		c.log.Warn("cannot store the result of a collection", zap.Error(storeErr))
	}
}
