package gc_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"airmirror/gc"
	"airmirror/mirror"
)

// diskOf returns the Disk of 40 GiB with *free bytes free.
func diskOf(free *int64) func() (int64, int64, error) {
	return func() (int64, int64, error) { return 40 << 30, *free, nil }
}

// collector returns a collector of the store, which serves until s.stop is called.
func (s *testStore) collector(t *testing.T, opts gc.CollectorOptions) *gc.Collector {
	s.Helper()
	opts.Throttle = -1
	c, err := gc.NewCollector(s.Context(), s, s, opts)
	s.must(err)
	ctx, cancel := context.WithCancel(s.Context())
	done := make(chan bool)
	go func() { c.Serve(ctx); close(done) }()
	s.stop = func() { cancel(); <-done }
	return c
}

// lastRun checks the cause of the last run, and how long after the beginning of the test it started.
func (s *testStore) lastRun(c *gc.Collector, cause gc.Cause, after time.Duration) gc.Result {
	s.Helper()
	synctest.Wait()
	last := c.Status().Last
	if last == nil {
		s.Fatal("there was no run")
	}
	if last.Cause != cause || last.Began.Sub(s.began).Round(time.Second) != after {
		s.Fatalf("the last run was by %s after %s, want by %s after %s", last.Cause, last.Began.Sub(s.began), cause, after)
	}
	return *last
}

func TestCollectorRunsBySchedule(t *testing.T) {
	withStore(t, func(s *testStore) {
		c := s.collector(t, gc.CollectorOptions{Schedule: gc.Schedule{Interval: gc.Age(6 * hour)}})
		s.push(team, "alone")
		later(30 * time.Second)
		if status := c.Status(); status.Last != nil || status.Running || status.Next.Sub(s.began) != time.Minute {
			s.Errorf("%+v", status)
		}
		later(time.Minute)
		s.lastRun(c, gc.BySchedule, time.Minute)
		if next := c.Status().Next.Sub(s.began); next != 6*hour+time.Minute {
			s.Errorf("next after %s", next)
		}
		later(6 * hour)
		if r := s.lastRun(c, gc.BySchedule, 6*hour+time.Minute); r.Bytes != 5 {
			s.Errorf("%+v", r)
		}
		s.must(c.Configure(gc.Schedule{Interval: gc.Age(time.Hour)}))
		later(time.Hour)
		s.lastRun(c, gc.BySchedule, 7*hour+time.Minute)
		s.must(c.Configure(gc.Schedule{}))
		later(100 * hour)
		s.lastRun(c, gc.BySchedule, 7*hour+time.Minute)
		if next := c.Status().Next; !next.IsZero() {
			s.Errorf("next at %s", next)
		}

		s.stop() // the next process continues
		s.must(c.Configure(gc.Schedule{}))
		before := *c.Status().Last
		c = s.collector(t, gc.CollectorOptions{Schedule: gc.Schedule{Policy: gc.Policy{MaxSize: 1 << 30}}})
		if after := c.Status().Last; after == nil || !reflect.DeepEqual(*after, before) {
			s.Errorf("%+v, before %+v", after, before)
		}
		later(2 * time.Minute)
		s.lastRun(c, gc.BySchedule, 107*hour+2*time.Minute+30*time.Second)
		later(time.Hour)
		s.lastRun(c, gc.BySchedule, 108*hour+2*time.Minute+30*time.Second)
	})
}

func TestCollectorRunsWhenDiskIsNearlyFull(t *testing.T) {
	for name, test := range map[string]struct {
		schedule gc.Schedule
		free     int64
		deleted  int // images that are deleted, of three; all but one must be old
	}{
		"enough is free":                {gc.Schedule{}, 2 << 30, 0},
		"nearly full":                   {gc.Schedule{}, 2<<30 - 9999, 2},
		"disabled":                      {gc.Schedule{IgnoreLowDisk: true}, 0, 0},
		"as configured":                 {gc.Schedule{Policy: gc.Policy{KeepFree: gc.Share{Percent: 10}}}, 4<<30 - 9999, 2},
		"disabled, but configured":      {gc.Schedule{IgnoreLowDisk: true, Policy: gc.Policy{KeepFree: gc.Share{Bytes: 10 << 30}}}, 9 << 30, 2},
		"enough is free, as configured": {gc.Schedule{Policy: gc.Policy{KeepFree: gc.Share{Percent: 1}}}, 2 << 30, 0},
	} {
		t.Run(name, func(t *testing.T) {
			withStore(t, func(s *testStore) {
				s.mirrorImage(hub, "v1", "config 1", "base")
				s.mirrorImage(hub, "v2", "config 2", "base")
				s.pushImage(team, "v1", "config 3")
				later(2 * time.Hour)
				s.began = time.Now()
				c := s.collector(t, gc.CollectorOptions{Schedule: test.schedule, Disk: diskOf(&test.free)})
				later(61 * time.Second)
				if test.deleted == 0 {
					if last := c.Status().Last; last != nil {
						s.Errorf("%+v", last)
					}
					return
				}
				r := s.lastRun(c, gc.ByDisk, time.Minute)
				if name == "nearly full" && (r.Budget.KeepFree != 2<<30 || r.Budget.FreeUpTo != (2<<30)/5*7) {
					s.Errorf("%+v", r.Budget)
				}
				if r.Images != test.deleted || r.Budget.Shortfall == 0 || r.Budget.FreeUpTo <= r.Budget.KeepFree {
					s.Errorf("%+v", r)
				}
				s.pull(team, "v1", "config 3")
				later(10 * time.Minute) // the run did not free enough: the next one waits
				s.lastRun(c, gc.ByDisk, time.Minute)
				later(5 * time.Minute)
				s.lastRun(c, gc.ByDisk, 16*time.Minute)
			})
		})
	}
}

func TestDiskRunStopsWhenEnoughIsFree(t *testing.T) {
	withStore(t, func(s *testStore) {
		for _, tag := range []string{"v1", "v2", "v3"} {
			s.mirrorImage(hub, tag, "config "+tag)
			later(time.Hour)
		}
		later(time.Hour)
		free := int64(2<<30) - 1
		s.began = time.Now()
		c := s.collector(t, gc.CollectorOptions{Schedule: gc.Schedule{Policy: gc.Policy{
			KeepFree: gc.Share{Bytes: 2 << 30}, FreeUpTo: gc.Share{Bytes: 2<<30 + 1},
		}}, Disk: diskOf(&free)})
		later(61 * time.Second)
		if r := s.lastRun(c, gc.ByDisk, time.Minute); r.Images != 1 || r.Budget.Shortfall != 0 {
			s.Errorf("%+v", r)
		}
		later(time.Minute) // the run freed enough: the next one does not wait
		s.lastRun(c, gc.ByDisk, 2*time.Minute)
	})
}

func TestUnreadableDiskSizeStartsNoRun(t *testing.T) {
	withStore(t, func(s *testStore) {
		c := s.collector(t, gc.CollectorOptions{Disk: func() (int64, int64, error) { return 0, 0, errBroken }})
		later(time.Hour)
		if last := c.Status().Last; last != nil {
			s.Errorf("%+v", last)
		}
	})
}

// blockedStore is a store whose sweeps wait for release.
type blockedStore struct {
	*testStore
	release chan bool
}

func (w blockedStore) Sweep(ctx context.Context, requests iter.Seq[mirror.DeleteRequest], done func(mirror.DeleteResult)) error {
	select {
	case <-w.release:
		return w.testStore.Sweep(ctx, requests, done)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestCollectorRunsOneCollectionAtATime(t *testing.T) {
	withStore(t, func(s *testStore) {
		s.push(team, "alone")
		later(2 * time.Hour)
		s.began = time.Now()
		w := blockedStore{s, make(chan bool)}
		c, err := gc.NewCollector(s.Context(), w, s, gc.CollectorOptions{Schedule: gc.Schedule{Interval: gc.Age(hour), Throttle: -1}})
		s.must(err)
		ctx, cancel := context.WithCancel(s.Context())
		defer cancel()
		go c.Serve(ctx)
		errs := make(chan error)
		go func() { _, err := c.Collect(ctx, c.Options(), nil); errs <- err }()
		synctest.Wait()
		if status := c.Status(); !status.Running || !status.Since.Equal(s.began) {
			s.Errorf("%+v", status)
		}
		if _, err := c.Collect(ctx, c.Options(), nil); mirror.CodeOf(err) != mirror.CodeUnavailable {
			s.Errorf("%v", err)
		}
		if p, err := c.Plan(ctx, c.Options()); err != nil || p.Totals.Bytes != 5 {
			s.Errorf("%v, %v", p, err)
		}
		later(90 * time.Second) // the schedule finds a run in progress
		close(w.release)
		s.must(<-errs)
		if r := s.lastRun(c, gc.ByCommand, 0); r.Bytes != 5 || r.Seconds != 90 {
			s.Errorf("%+v", r)
		}
		later(time.Minute) // and tries again
		s.lastRun(c, gc.BySchedule, 2*time.Minute)
	})
}

func TestCanceledCollectionIsRecorded(t *testing.T) {
	withStore(t, func(s *testStore) {
		s.push(team, "alone")
		later(2 * time.Hour)
		s.began = time.Now()
		c, err := gc.NewCollector(s.Context(), blockedStore{s, nil}, s, gc.CollectorOptions{})
		s.must(err)
		ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
		defer cancel()
		r, err := c.Collect(ctx, c.Options(), nil)
		if !errors.Is(err, context.DeadlineExceeded) || r.Error == "" {
			s.Errorf("%+v, %v", r, err)
		}
		if r := s.lastRun(c, gc.ByCommand, 0); r.Error == "" {
			s.Errorf("%+v", r)
		}
	})
}

func TestInvalidSchedulesAreRefused(t *testing.T) {
	withStore(t, func(s *testStore) {
		for _, schedule := range []gc.Schedule{{Interval: -1}, {Policy: gc.Policy{MaxSize: 1, ShrinkTo: 2}}} {
			if _, err := gc.NewCollector(s.Context(), s, s, gc.CollectorOptions{Schedule: schedule}); err == nil {
				s.Errorf("%+v", schedule)
			}
		}
	})
}

// TestRunDatedInTheFutureDelaysNothing loads the result of a run that an earlier process dated by a wrong clock.
func TestRunDatedInTheFutureDelaysNothing(t *testing.T) {
	withStore(t, func(s *testStore) {
		s.mirrorImage(hub, "v1", "config 1", "base")
		later(2 * time.Hour)
		wrong, err := json.Marshal(gc.Result{Began: time.Now().AddDate(40, 0, 0)})
		s.must(err)
		s.must(s.SetState(s.Context(), "collection", map[string][]byte{string(gc.BySchedule): wrong, string(gc.ByDisk): wrong}))
		s.began = time.Now()
		free := int64(0)
		c := s.collector(t, gc.CollectorOptions{Schedule: gc.Schedule{Interval: gc.Age(6 * hour)}, Disk: diskOf(&free)})
		later(3 * time.Minute) // one run at each check
		began := make(map[gc.Cause]bool)
		stored, err := s.State(s.Context(), "collection")
		s.must(err)
		for cause, data := range stored {
			var r gc.Result
			s.must(json.Unmarshal(data, &r))
			began[gc.Cause(cause)] = !r.Began.After(time.Now())
		}
		if !began[gc.BySchedule] || !began[gc.ByDisk] || c.Status().Running {
			s.Errorf("runs dated by the right clock: %v", began)
		}
	})
}
