package gc

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"airmirror/mirror"
)

// Store is what a [Collector] needs of a store.
type Store interface {
	mirror.CollectStore
	mirror.StateStore
}

// Schedule says when a server collects by itself, and what. It can be read from a configuration; with the zero value it
// collects when the disk is nearly full, and only then. Uploads that were left ([Policy.Uploads]) go in any case.
type Schedule struct {
	Policy `yaml:",inline"`
	// Every is the time between the beginnings of two collections; no schedule if it is zero, but with [Policy.MaxSize] an
	// hour: how much is held is only known by looking at all of it.
	Every Age `json:"every,omitzero" yaml:"every"`
	// Pace is how long a sweep rests between two steps, as a multiple of how long the step took; as long if it is zero, not
	// at all if it is negative.
	Pace float64 `json:"pace,omitempty" yaml:"pace"`
	// NoGuard has a disk that is nearly full be no reason to collect, unless there is a [Policy.KeepFree].
	NoGuard bool `json:"noGuard,omitempty" yaml:"noGuard"`
}

const (
	// checkInterval is how often it is looked how full the disk is, and diskBackoff how long a collection for its sake
	// is not tried again after one in vain: what could not go a minute ago will not go now, and planning reads the whole
	// index.
	checkInterval = time.Minute
	diskBackoff   = 15 * time.Minute
	// sizeInterval is [Schedule.Every] for a budget without a schedule.
	sizeInterval = Age(time.Hour)
	// stateKind is the kind of notes that are results of the last runs, by their causes.
	stateKind = "collection"
)

// The guard of a disk that nobody configured: when less than that is free, of two shares the smaller one, it is brought to
// seven fifths of it.
var defaultKeepFree = [2]Share{{Percent: 5}, {Bytes: 2 << 30}}

// Collector runs collections in a server: by schedule, when the disk is nearly full, and when somebody asks; one at a
// time. All of it may be used concurrently.
type Collector struct {
	store   Store
	sources Sources
	disk    func() (total, free int64, err error)
	log     *zap.Logger
	started time.Time

	mu       sync.Mutex
	schedule Schedule
	changed  chan struct{} // closed when the schedule changes
	began    time.Time     // of the run under way; zero if there is none
	tried    time.Time     // when the schedule last had one begin, or refused because one was under way
	last     map[Cause]Result

	staleChecked time.Time // when it was looked last for uploads that were left; for Serve alone
}

// CollectorOptions are what a [Collector] is told. The zero value works.
type CollectorOptions struct {
	Schedule
	// Disk returns how large the disk is and how much of it is free, in bytes; that is not known if it is nil.
	Disk func() (total, free int64, err error)
	// Log is told about what runs did; nobody is if it is nil.
	Log *zap.Logger
}

// NewCollector returns a collector that collects only when asked until [Collector.Serve] is called. It reads what earlier
// runs left.
func NewCollector(ctx context.Context, store Store, sources Sources, opts CollectorOptions) (*Collector, error) {
	c := &Collector{store: store, sources: sources, disk: opts.Disk, log: opts.Log, started: time.Now(), last: make(map[Cause]Result),
		changed: make(chan struct{})}
	if c.log == nil {
		c.log = zap.NewNop()
	}
	if err := c.Configure(opts.Schedule); err != nil {
		return nil, err
	}
	notes, err := store.State(ctx, stateKind)
	for cause, note := range notes {
		var r Result
		if json.Unmarshal(note, &r) == nil {
			c.last[Cause(cause)] = r
		}
	}
	return c, err
}

// Configure changes the schedule, from the next run on.
func (c *Collector) Configure(schedule Schedule) error {
	if err := schedule.Validate(); err != nil {
		return err
	}
	if schedule.Every < 0 {
		return errors.New("the time between two collections cannot be negative")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.schedule = schedule
	close(c.changed)
	c.changed = make(chan struct{})
	return nil
}

// Status is what a collector is doing and did.
type Status struct {
	Running bool      `json:"running"`
	Since   time.Time `json:"since,omitzero"` // of the run under way
	// Next is when it collects next by schedule; zero without one.
	Next time.Time `json:"next,omitzero"`
	// Last is what the last run did, in this process or an earlier one; nil before the first.
	Last *Result `json:"last,omitempty"`
}

// Status returns what the collector is doing and did.
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

// Options are the options of a run by what is configured, for who asks for one.
func (c *Collector) Options() Options {
	c.mu.Lock()
	defer c.mu.Unlock()
	opts := Options{Policy: c.schedule.Policy, Disk: c.disk, Pace: c.schedule.Pace}
	if opts.Pace == 0 {
		opts.Pace = 1
	}
	return opts
}

// Plan makes a plan without executing it. It may do so during a run.
func (c *Collector) Plan(ctx context.Context, opts Options) (*Plan, error) {
	return MakePlan(ctx, c.store, c.sources, c.withDisk(opts), c.store.Now())
}

// Collect runs a collection because somebody asked for it; see [Run]. [mirror.CodeUnavailable] if one is under way.
func (c *Collector) Collect(ctx context.Context, opts Options, tell func(Event)) (Result, error) {
	return c.run(ctx, ByCommand, c.withDisk(opts), tell)
}

func (c *Collector) withDisk(opts Options) Options {
	if opts.Disk == nil {
		opts.Disk = c.disk
	}
	return opts
}

// run runs a collection unless one is under way, and keeps what it did.
func (c *Collector) run(ctx context.Context, cause Cause, opts Options, tell func(Event)) (Result, error) {
	c.mu.Lock()
	if began := c.began; !began.IsZero() {
		c.mu.Unlock()
		return Result{}, mirror.Errorf(mirror.CodeUnavailable, "a collection is under way since %s: wait for it to end", began.Format(time.RFC3339))
	}
	c.began = time.Now().UTC()
	c.mu.Unlock()

	result, err := Run(ctx, c.store, c.sources, opts, tell)
	result.Cause = cause
	c.mu.Lock()
	c.began, c.last[cause] = time.Time{}, result
	c.mu.Unlock()
	c.record(context.WithoutCancel(ctx), result, err)
	return result, err
}

// keep notes a result for the next process, and logs it.
func (c *Collector) record(ctx context.Context, r Result, err error) {
	note, noteErr := json.Marshal(r)
	if noteErr == nil {
		noteErr = c.store.SetState(ctx, stateKind, map[string][]byte{string(r.Cause): note})
	}
	log := c.log.With(zap.String("cause", string(r.Cause)), zap.Int64("freed", r.Bytes), zap.Int("images", r.Images), zap.Int("blobs", r.Blobs),
		zap.Int("kept", r.Kept), zap.Float64("seconds", r.Seconds))
	switch {
	case errors.Is(err, context.Canceled):
		log.Info("collection was stopped before its end")
	case err != nil:
		log.Error("collection ended early", zap.Error(err))
	case r.Budget.Shortfall > 0:
		log.Warn("collection could not meet its budget", zap.Int64("short", r.Budget.Shortfall), zap.String("why", r.Budget.Reason))
	default:
		log.Info("collected")
	}
	if noteErr != nil {
		c.log.Warn("cannot note what a collection did", zap.Error(noteErr))
	}
}
