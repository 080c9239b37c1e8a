package gc_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"airmirror/gc"
	"airmirror/mirror"
)

// TestServeSamplesOncePerDay checks the content of a sample, and that there is one a day.
func TestServeSamplesOncePerDay(t *testing.T) {
	withStore(t, func(s *testStore) {
		var free atomic.Int64
		free.Store(10 << 30)
		s.push(team, "alone")
		c := s.collector(t, gc.CollectorOptions{Disk: func() (int64, int64, error) { return 40 << 30, free.Load(), nil }})
		later(2 * time.Minute)
		first := s.samples(c)
		want := gc.Sample{Day: s.began.UTC().Format(time.DateOnly), Stored: 5, Origins: map[mirror.Origin]int64{"": 5}, Total: 40 << 30, Free: 10 << 30}
		if len(first) != 1 || fmt.Sprint(first[0]) != fmt.Sprint(want) {
			t.Errorf("%+v, want %+v", first, want)
		}
		free.Store(5 << 30)
		later(5 * hour)
		if again := s.samples(c); fmt.Sprint(again) != fmt.Sprint(first) {
			t.Errorf("later on the same day: %+v", again)
		}
		later(48 * hour)
		days := s.samples(c)
		if len(days) != 3 || days[2].Free != 5<<30 || days[0].Day >= days[1].Day || days[1].Day >= days[2].Day {
			t.Errorf("after two more days: %+v", days)
		}
	})
}

// TestSamplesAreBounded checks that the oldest samples are deleted, and that a server that starts again on the same day
// takes no other one.
func TestSamplesAreBounded(t *testing.T) {
	withStore(t, func(s *testStore) {
		old := map[string][]byte{}
		for i := range 500 {
			day := s.began.UTC().AddDate(0, 0, -i-1).Format(time.DateOnly)
			old[day] = fmt.Appendf(nil, `{"day":%q,"stored":%d,"origins":{}}`, day, i)
		}
		s.must(s.SetState(s.Context(), "storage-sample", old))
		c := s.collector(t, gc.CollectorOptions{})
		later(2 * time.Minute)
		got := s.samples(c)
		if today := s.began.UTC().Format(time.DateOnly); len(got) != 400 || got[399].Day != today || got[398].Stored != 0 {
			t.Errorf("%d samples, the last ones are %+v", len(got), got[max(0, len(got)-2):])
		}
		s.stop()
		s.push(team, "more")
		c = s.collector(t, gc.CollectorOptions{})
		later(2 * time.Minute)
		if again := s.samples(c); fmt.Sprint(again) != fmt.Sprint(got) {
			t.Errorf("after a restart the last sample is %+v", again[len(again)-1])
		}
	})
}

func (s *testStore) samples(c *gc.Collector) []gc.Sample {
	s.Helper()
	samples, err := c.Samples(s.Context())
	s.must(err)
	return samples
}
