package gc

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"airmirror/mirror"
)

const (
	// sampleState is the kind of the states that are samples, by day.
	sampleState = "storage-sample"
	// maxSamples is the number of samples that are kept.
	maxSamples = 400
	// sampleRetry is the pause after a sample that failed.
	sampleRetry = time.Hour
)

// Sample is how much was stored on one day. Sizes are in bytes.
//
// The day is that of the store's clock, in UTC, which never goes back and does not follow a wall clock that is set: so each
// day has one sample, and none is in the future. Days on which no server ran have none.
type Sample struct {
	Day    string `json:"day"`    // as 2026-01-31
	Stored int64  `json:"stored"` // all files
	// Origins are the files by origin. A file of several repositories counts for the origin that is the hardest to get
	// again; one that no repository uses for "".
	Origins map[mirror.Origin]int64 `json:"origins"`
	Total   int64                   `json:"total,omitempty"` // of the disk; 0 if unknown
	Free    int64                   `json:"free,omitempty"`
}

// Samples returns the samples of the last days, the oldest first.
func (c *Collector) Samples(ctx context.Context) ([]Sample, error) {
	states, err := c.store.State(ctx, sampleState)
	if err != nil {
		return nil, fmt.Errorf("read the samples of storage: %w", err)
	}
	samples := make([]Sample, 0, len(states))
	for day, state := range states {
		var s Sample
		if json.Unmarshal(state, &s) == nil && s.Day == day {
			samples = append(samples, s)
		}
	}
	slices.SortFunc(samples, func(a, b Sample) int { return cmp.Compare(a.Day, b.Day) })
	return samples, nil
}

// sampler is what [Collector.Serve] needs to take samples.
type sampler struct {
	day   string    // of the last sample; "" if it is not known yet
	tried time.Time // by the store's clock, when the last one failed
}

// sampleIfDue takes the sample of the day, if there is none yet.
func (c *Collector) sampleIfDue(ctx context.Context) {
	now := c.store.Now().UTC()
	day := now.Format(time.DateOnly)
	if c.samples.day == day || mirror.Within(c.samples.tried, now, sampleRetry) {
		return
	}
	err := c.leases.Run(ctx, "storage sample", func(ctx context.Context) error { return c.sample(ctx, day) })
	if err != nil {
		c.samples.tried = now
		if taken := new(mirror.LeaseTakenError); ctx.Err() == nil && !errors.As(err, &taken) {
			c.log.Warn("cannot take the sample of storage of this day, trying again later", zap.Error(err))
		}
		return
	}
	c.samples.day = day
}

// sample takes and stores the sample of a day, unless there is one, and deletes those that are too many.
func (c *Collector) sample(ctx context.Context, day string) error {
	states, err := c.store.State(ctx, sampleState)
	if err != nil || states[day] != nil {
		return err
	}
	s := Sample{Day: day}
	if err := c.store.Survey(ctx, s.add); err != nil {
		return err
	}
	if c.disk != nil {
		if s.Total, s.Free, err = c.disk(); err != nil {
			s.Total, s.Free = 0, 0
		}
	}
	record, err := json.Marshal(s)
	if err != nil {
		return err
	}
	records := map[string][]byte{day: record}
	days := slices.Sorted(maps.Keys(states))
	for _, old := range days[:max(0, len(days)+1-maxSamples)] {
		records[old] = nil
	}
	return c.store.SetState(ctx, sampleState, records)
}

// add adds up the files of a survey. Files whose records cannot be read are left out; a verification reports them.
func (s *Sample) add(survey mirror.Survey) error {
	s.Stored, s.Origins = 0, make(map[mirror.Origin]int64)
	repos := survey.Repos()
	for blob, err := range survey.Blobs() {
		if err == nil {
			s.Stored += blob.Size
			s.Origins[blob.Origin(repos)] += blob.Size
		}
	}
	return nil
}
