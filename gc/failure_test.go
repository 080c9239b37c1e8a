package gc_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"airmirror/gc"
	"airmirror/mirror"
)

// failingStore is a store whose sweeps fail, before they did anything or after all of it, and whose state cannot be written.
type failingStore struct {
	*testStore
	before, after, state, expire error
	longest                      time.Duration // of the transactions, if not zero
	requests                     []mirror.DeleteRequest
}

func (f *failingStore) Sweep(ctx context.Context, requests iter.Seq[mirror.DeleteRequest], done func(mirror.DeleteResult)) error {
	if f.before != nil {
		return f.before
	}
	list := slices.Collect(requests)
	f.requests = append(f.requests, list...)
	err := f.testStore.Sweep(ctx, slices.Values(list), func(result mirror.DeleteResult) {
		if f.longest > 0 {
			result.Longest = f.longest
		}
		done(result)
	})
	return errors.Join(err, f.after)
}

func (f *failingStore) ExpireUpload(ctx context.Context, id string, idle time.Time) (bool, error) {
	if f.expire != nil {
		return false, f.expire
	}
	return f.testStore.ExpireUpload(ctx, id, idle)
}

func (f *failingStore) SetState(ctx context.Context, kind string, state map[string][]byte) error {
	if f.state != nil {
		return f.state
	}
	return f.testStore.SetState(ctx, kind, state)
}

// TestExecuteContinuesAfterUnreadableRecord checks that a sweep that did everything, but returns an error at the end, does
// not end the collection, and that one that did nothing does.
func TestExecuteContinuesAfterUnreadableRecord(t *testing.T) {
	for name, test := range map[string]struct {
		before, after error
		uploads       int
	}{
		"everything was tried": {after: errBroken, uploads: 1},
		"nothing was tried":    {before: errBroken},
	} {
		t.Run(name, func(t *testing.T) {
			withStore(t, func(s *testStore) {
				s.push(team, "alone")
				s.upload(s.began.Add(-30 * hour))
				later(2 * time.Hour)
				r, err := s.plan(gc.Policy{}).Execute(s.Context(), &failingStore{testStore: s, before: test.before, after: test.after}, nil)
				if !errors.Is(err, errBroken) || r.Error == "" || r.Uploads != test.uploads || r.Blobs != test.uploads {
					s.Errorf("%+v, %v", r, err)
				}
			})
		})
	}
}

// TestErrorNamesFirstFailures has more failures than an error names.
func TestErrorNamesFirstFailures(t *testing.T) {
	withStore(t, func(s *testStore) {
		for range 10 {
			s.upload(s.began.Add(-30 * hour))
		}
		r, err := s.plan(gc.Policy{}).Execute(s.Context(), &failingStore{testStore: s, expire: errBroken}, nil)
		if n := strings.Count(fmt.Sprint(err), "delete upload"); n != 8 || r.Uploads != 0 {
			s.Errorf("%d failures are named, want 8: %v, %+v", n, err, r)
		}
	})
}

func TestResultHasLongestTransaction(t *testing.T) {
	withStore(t, func(s *testStore) {
		s.push(team, "alone")
		later(2 * time.Hour)
		r, err := s.plan(gc.Policy{}).Execute(s.Context(), &failingStore{testStore: s, longest: 1500 * time.Millisecond}, nil)
		if s.must(err); r.LongestMillis != 1500 {
			s.Errorf("longest transaction: %v ms, want 1500", r.LongestMillis)
		}
	})
}

func TestUnreferencedBlobsAreDeletedInBatches(t *testing.T) {
	withStore(t, func(s *testStore) {
		for i := range 300 {
			s.push(team, fmt.Sprint("blob ", i))
		}
		later(2 * time.Hour)
		store := &failingStore{testStore: s}
		r, err := s.plan(gc.Policy{}).Execute(s.Context(), store, nil)
		s.must(err)
		if len(store.requests) != 2 || len(store.requests[0].Blobs) != 256 || len(store.requests[1].Blobs) != 44 || r.Blobs != 300 {
			s.Errorf("%d requests deleted %d blobs", len(store.requests), r.Blobs)
		}
	})
}

func TestCollectUsesDiskOfCollector(t *testing.T) {
	withStore(t, func(s *testStore) {
		free := int64(1 << 30)
		c := s.collector(t, gc.CollectorOptions{Schedule: gc.Schedule{IgnoreLowDisk: true}, Disk: diskOf(&free)})
		opts := gc.Options{Policy: gc.Policy{KeepFree: gc.Share{Bytes: 1}}}
		if p, err := c.Plan(s.Context(), opts); err != nil || p.Budget.DiskFree != free {
			s.Errorf("%+v, %v", p, err)
		}
		opts.Disk = func() (int64, int64, error) { return 10, 7, nil }
		if p, err := c.Plan(s.Context(), opts); err != nil || p.Budget.DiskFree != 7 {
			s.Errorf("%+v, %v", p, err)
		}
	})
}

func TestCollectorLogsOutcome(t *testing.T) {
	for name, test := range map[string]struct {
		store    failingStore
		policy   gc.Policy
		canceled bool
		want     []string
	}{
		"success":         {want: []string{"info: collection finished"}},
		"missed budget":   {policy: gc.Policy{MaxSize: 1}, want: []string{"warn: collection missed its budget"}},
		"failure":         {store: failingStore{after: errBroken}, want: []string{"error: collection failed"}},
		"canceled":        {canceled: true, want: []string{"info: collection canceled"}},
		"result not kept": {store: failingStore{state: errBroken}, want: []string{"info: collection finished", "warn: cannot store the result of a collection"}},
	} {
		t.Run(name, func(t *testing.T) {
			withStore(t, func(s *testStore) {
				s.pushImage(team, "v1", "config")
				s.push(team, "alone")
				later(2 * time.Hour)
				core, logs := observer.New(zapcore.DebugLevel)
				test.store.testStore = s
				c, err := gc.NewCollector(s.Context(), &test.store, s, gc.CollectorOptions{Log: zap.New(core)})
				s.must(err)
				ctx, cancel := context.WithCancel(s.Context())
				defer cancel()
				if test.canceled {
					cancel()
				}
				_, _ = c.Collect(ctx, gc.Options{Policy: test.policy}, nil)
				var got []string
				for _, entry := range logs.All() {
					got = append(got, entry.Level.String()+": "+entry.Message)
				}
				if !slices.Equal(got, test.want) {
					s.Errorf("logged %q, want %q", got, test.want)
				}
			})
		})
	}
}

func TestServeLogsStaleUploads(t *testing.T) {
	for name, test := range map[string]struct {
		uploads int
		expire  error
		want    []string
	}{
		"none":    {},
		"two":     {uploads: 2, want: []string{"info: deleted stale uploads: 2 of 24 bytes, 0 failures"}},
		"failing": {uploads: 7, expire: errBroken, want: []string{"warn: cannot delete stale uploads: 0 of 0 bytes, 5 failures"}},
	} {
		t.Run(name, func(t *testing.T) {
			withStore(t, func(s *testStore) {
				core, logs := observer.New(zapcore.DebugLevel)
				c, err := gc.NewCollector(s.Context(), &failingStore{testStore: s, expire: test.expire}, s, gc.CollectorOptions{Log: zap.New(core)})
				s.must(err)
				for range test.uploads {
					s.upload(s.began.Add(-30 * hour))
				}
				ctx, cancel := context.WithCancel(s.Context())
				done := make(chan bool)
				go func() { c.Serve(ctx); close(done) }()
				later(2 * time.Minute)
				cancel()
				<-done
				var got []string
				for _, entry := range logs.All() {
					fields := entry.ContextMap()
					uploads, _ := fields["uploads"].(int64)
					freed, _ := fields["freed"].(int64)
					failures := strings.Count(fmt.Sprint(fields["error"]), errBroken.Error())
					got = append(got, fmt.Sprintf("%s: %s: %d of %d bytes, %d failures", entry.Level, entry.Message, uploads, freed, failures))
				}
				if !slices.Equal(got, test.want) {
					s.Errorf("logged %q, want %q", got, test.want)
				}
			})
		})
	}
}
