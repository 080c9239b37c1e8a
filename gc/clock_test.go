package gc_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"airmirror/cache/cachetest"
	"airmirror/gc"
)

const month = 30 * 24 * hour

// jumps change the wall clock of a machine while almost no time passes.
var jumps = map[string]func(s *testStore, m *cachetest.Machine){
	"set to 2040":     func(_ *testStore, m *cachetest.Machine) { m.Set(clockAt(2040)) },
	"set to 1970":     func(_ *testStore, m *cachetest.Machine) { m.Set(clockAt(1970)) },
	"set by a day":    func(_ *testStore, m *cachetest.Machine) { m.Set(m.Now().Add(24 * hour)) },
	"started in 2040": func(s *testStore, m *cachetest.Machine) { s.close(); m.Restart(clockAt(2040)); s.open() },
	"started in 1970": func(s *testStore, m *cachetest.Machine) { s.close(); m.Restart(clockAt(1970)); s.open() },
	"stored in 1970, then set right": func(s *testStore, m *cachetest.Machine) {
		right := m.Now()
		m.Set(clockAt(1970))
		s.must(s.read(team, "layer"))
		m.Set(right)
	},
	"stored in 2040, then set right": func(s *testStore, m *cachetest.Machine) {
		right := m.Now()
		m.Set(clockAt(2040))
		s.must(s.read(team, "layer"))
		m.Set(right)
	},
}

func clockAt(year int) time.Time { return time.Date(year, time.January, 1, 0, 1, 0, 0, time.UTC) }

// withMachine runs f with a store for each jump.
func withMachine(t *testing.T, f func(s *testStore, m *cachetest.Machine, jump func())) {
	for name, jump := range jumps {
		t.Run(name, func(t *testing.T) {
			m := cachetest.NewMachine(time.Now())
			s := &testStore{tester: t, folder: memoryFolder(t), stop: func() {}, clock: m}
			s.open()
			defer s.close()
			f(s, m, func() { jump(s, m); s.Now() })
		})
	}
}

// orphan creates a file that is not in the index.
func (s *testStore) orphan(content string) {
	s.Helper()
	d := digestOf(content)
	file := filepath.Join(s.folder, "blobs", d.Algorithm().String(), d.Encoded()[:2], d.Encoded())
	s.must(os.MkdirAll(filepath.Dir(file), 0o750))
	s.must(os.WriteFile(file, []byte(content), 0o640))
}

// run runs a collection as a server does.
func (s *testStore) run(policy gc.Policy) gc.Result {
	s.Helper()
	result, err := gc.Run(s.Context(), s, s, gc.Options{Policy: policy}, nil)
	s.must(err)
	return result
}

// setClock sets the wall clock, which changes nothing.
func (m *model) setClock(*rapid.T) {
	ahead := rapid.SampledFrom([]time.Duration{0, hour, -hour, 40 * 365 * 24 * hour, -50 * 365 * 24 * hour}).Draw(m.t, "ahead")
	m.testStore.clock.(*cachetest.Bubble).SetAhead(ahead)
}

// TestClockChangeDeletesNothing checks the grace period, retention rules, uploads and orphans: each is deleted when
// its age is reached, not earlier.
func TestClockChangeDeletesNothing(t *testing.T) {
	withMachine(t, func(s *testStore, m *cachetest.Machine, jump func()) {
		policy := gc.Policy{Grace: gc.Age(24 * hour), UploadTTL: gc.Age(24 * hour),
			Rules: []gc.Rule{{Match: team, IncludePushed: true, DropUnusedFor: gc.Age(month)}}}
		s.pushImage(team, "v1", "config", "layer")
		s.push(team, "alone")
		upload := s.upload(time.Now())
		s.orphan("orphan")
		jump()
		m.Pass(23 * hour)
		if r := s.run(policy); r.Bytes != 0 || r.Tags != 0 || !s.hasUpload(upload) {
			t.Errorf("after 23 hours: %+v, upload stored: %t", r, s.hasUpload(upload))
		}
		m.Pass(2 * hour)
		if r := s.run(policy); r.Blobs != 1 || r.Orphans != 1 || r.Uploads != 1 || r.Images != 0 {
			t.Errorf("after a day: %+v", r)
		}
		m.Pass(month)
		if r := s.run(policy); r.Images != 1 || r.Tags != 1 {
			t.Errorf("after a month: %+v", r)
		}
	})
}

// TestBudgetOrderIgnoresClockChanges checks that the image that was used last is kept.
func TestBudgetOrderIgnoresClockChanges(t *testing.T) {
	withMachine(t, func(s *testStore, m *cachetest.Machine, jump func()) {
		s.pushImage(team, "v1", "config", "layer")
		s.mirrorImage(hub, "first", "c1", "layer of the first")
		m.Pass(hour)
		s.mirrorImage(hub, "second", "c2", "layer of the second")
		m.Pass(hour)
		s.mirrorImage(hub, "third", "c3", "layer of the third")
		jump()
		m.Pass(hour)
		s.pull(hub, "first", "layer of the first") // second is now the least recently used
		m.Pass(25 * hour)
		r := s.run(gc.Policy{Grace: gc.Age(24 * hour), MaxSize: gc.Size(s.disk() - 1), ShrinkTo: gc.Size(s.disk() - 1)})
		if _, err := s.Tag(s.Context(), repoOf(hub), "second"); r.Images != 1 || err == nil {
			t.Errorf("result is %+v; second is stored: %t", r, err == nil)
		}
	})
}

// TestPlanShowsWallClockTimes checks that the times in a plan are comparable with the wall clock.
func TestPlanShowsWallClockTimes(t *testing.T) {
	m := cachetest.NewMachine(time.Now().Add(-10 * 365 * 24 * hour)) // set right ten years later
	s := &testStore{tester: t, folder: memoryFolder(t), stop: func() {}, clock: m}
	s.open()
	defer s.close()
	s.push(team, "alone")
	m.Set(time.Now())
	p, err := gc.MakePlan(s.Context(), s, s, gc.Options{Policy: gc.Policy{Grace: gc.Age(hour)}}, s.Now())
	s.must(err)
	if ago := time.Since(p.Made).Abs(); ago > time.Minute {
		t.Errorf("made %v ago", ago)
	}
	if left := time.Until(p.InGrace.Until); left < 59*time.Minute || left > 61*time.Minute {
		t.Errorf("the grace period ends in %v", left)
	}
	m.Pass(2 * hour)
	m.Set(time.Now())
	p, err = gc.MakePlan(s.Context(), s, s, gc.Options{Policy: gc.Policy{Grace: gc.Age(hour)}}, s.Now())
	s.must(err)
	for c := range p.Candidates() {
		if ago := time.Since(c.LastUsed); ago < 2*hour-time.Minute || ago > 2*hour+time.Minute {
			t.Errorf("%s was used %v ago", c.Name, ago)
		}
	}
	if p.Totals.Blobs != 1 {
		t.Errorf("%+v", p.Totals)
	}
}
