package cache_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"airmirror/cache"
	"airmirror/cache/cachetest"
	"airmirror/mirror"
)

var (
	noon  = time.Date(2026, time.November, 30, 12, 0, 0, 0, time.UTC)
	in70  = time.Date(1970, time.January, 1, 0, 1, 0, 0, time.UTC)
	in40  = time.Date(2040, time.June, 1, 0, 0, 0, 0, time.UTC)
	day   = 24 * time.Hour
	years = 365 * day
)

// timed is a store on a machine whose wall clock jumps.
type timed struct {
	*cache.Store
	machine *cachetest.Machine
	t       *testing.T
	folder  string
	log     *observer.ObservedLogs
}

func newTimed(t *testing.T, now time.Time) *timed {
	s := &timed{machine: cachetest.NewMachine(now), t: t, folder: t.TempDir()}
	s.open()
	t.Cleanup(func() { closeStore(t, s.Store) })
	return s
}

func (s *timed) open() {
	s.t.Helper()
	core, log := observer.New(zap.WarnLevel)
	s.log = log
	s.Store = newStore(s.t, openFiles(s.t, s.folder), openBolt(s.t, s.folder), cache.Options{Clock: s.machine, Log: zap.New(core)})
}

// between closes the store, calls f and opens the store again.
func (s *timed) between(f func()) {
	s.t.Helper()
	closeStore(s.t, s.Store)
	f()
	s.open()
}

func (s *timed) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *timed) Pass(d time.Duration) { s.machine.Pass(d) }
func (s *timed) Set(day time.Time)    { s.machine.Set(day) }

func (s *timed) restart(day time.Time) func() { return func() { s.machine.Restart(day) } }

// TestClock checks that the clock advances by the elapsed time, whatever happens to the wall clock.
func TestClock(t *testing.T) {
	for name, tt := range map[string]struct {
		begin time.Time
		then  func(s *timed)
		want  time.Time // by the clock of the store
	}{
		"nothing happens":      {noon, func(s *timed) { s.Pass(time.Hour) }, noon.Add(time.Hour)},
		"a second of NTP":      {noon, func(s *timed) { s.Pass(time.Hour); s.Set(noon.Add(time.Hour + time.Second)) }, noon.Add(time.Hour + time.Second)},
		"set to 2040":          {noon, func(s *timed) { s.Set(in40); s.Pass(time.Hour) }, noon.Add(time.Hour)},
		"set to 1970":          {noon, func(s *timed) { s.Set(in70); s.Pass(time.Hour) }, noon.Add(time.Hour)},
		"set by an hour":       {noon, func(s *timed) { s.Set(noon.Add(time.Hour)) }, noon},
		"set and set right":    {noon, func(s *timed) { s.Set(in40); s.Now(); s.Pass(time.Hour); s.Set(noon.Add(time.Hour)) }, noon.Add(time.Hour)},
		"begun in 1970":        {in70, func(s *timed) { s.Pass(time.Hour); s.Set(noon) }, in70.Add(time.Hour)},
		"begun in 2040":        {in40, func(s *timed) { s.Pass(time.Hour); s.Set(noon) }, in40.Add(time.Hour)},
		"the process was away": {noon, func(s *timed) { s.between(func() { s.Pass(90 * day) }) }, noon.Add(90 * day)},
		"set while it was away": {noon, func(s *timed) {
			s.between(func() { s.Pass(time.Hour); s.Set(in40) })
		}, noon.Add(time.Hour)},
		"the machine was off for a week":  {noon, func(s *timed) { s.between(s.restart(noon.Add(7 * day))) }, noon.Add(7 * day)},
		"the machine was off for a year":  {noon, func(s *timed) { s.between(s.restart(noon.Add(years))) }, noon.Add(time.Minute)},
		"started in 2040":                 {noon, func(s *timed) { s.between(s.restart(in40)); s.Pass(time.Hour) }, noon.Add(time.Hour + time.Minute)},
		"started in 1970":                 {noon, func(s *timed) { s.between(s.restart(in70)); s.Pass(time.Hour) }, noon.Add(time.Hour + time.Minute)},
		"started in 1970, then set right": {noon, func(s *timed) { s.between(s.restart(in70)); s.Pass(time.Hour); s.Set(noon.Add(day)) }, noon.Add(day)},
		"started in 2040, then set right": {noon, func(s *timed) { s.between(s.restart(in40)); s.Pass(time.Hour); s.Set(noon.Add(day)) }, noon.Add(day)},
		"started in 1970 twice": {noon, func(s *timed) {
			s.between(s.restart(in70))
			s.between(s.restart(in70))
			s.Set(noon.Add(day))
		}, noon.Add(day)},
		"started in 2040, set right, set wrong": {noon, func(s *timed) {
			s.between(s.restart(in40))
			s.Set(noon.Add(day))
			s.Now()
			s.Set(noon.Add(2 * day))
		}, noon.Add(day)},
		"begun in 1970, set right, off for a week": {in70, func(s *timed) {
			s.Set(noon)
			s.Now()
			s.between(s.restart(noon.Add(7 * day)))
		}, in70.Add(7 * day)},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTimed(t, tt.begin)
			if got := s.Now(); !got.Equal(tt.begin) {
				t.Fatalf("it begins at %v", got)
			}
			tt.then(s)
			if got := s.Now(); !got.Equal(tt.want) {
				t.Errorf("it is %v, want %v", got, tt.want)
			}
		})
	}
}

// TestClockSurvivesCrash checks that a clock record of an hour ago is enough after a crash.
func TestClockSurvivesCrash(t *testing.T) {
	s := newTimed(t, noon)
	copied := t.TempDir()
	s.must(receive(t.Context(), s.Store, "{}"))
	s.must(s.FlushRecency(t.Context()))
	s.must(os.CopyFS(copied, os.DirFS(s.folder)))
	s.Pass(3 * day)
	s.Set(in40)
	s.between(func() { s.folder = copied })
	if got := s.Now(); !got.Equal(noon.Add(3 * day)) {
		t.Errorf("it is %v, want %v", got, noon.Add(3*day))
	}
}

// TestUncertainClockIsReported checks the log at the start, and when the wall clock is set later.
func TestUncertainClockIsReported(t *testing.T) {
	s := newTimed(t, noon)
	s.between(s.restart(noon.Add(7 * day)))
	if n := s.log.Len(); n != 0 {
		t.Errorf("%d warnings after a week: %v", n, s.log.All())
	}
	s.between(s.restart(in40))
	if n := s.log.FilterField(zap.Time("clock", in40)).Len(); n != 1 {
		t.Errorf("%d warnings of a start in 2040, want 1", n)
	}
	s.Set(noon.Add(8 * day))
	s.Now()
	s.Now()
	if n := s.log.Len(); n != 2 {
		t.Errorf("%d warnings, want one more: %v", n, s.log.All())
	}
}

// TestAgesThroughJumps checks that stored content ages by the elapsed time.
func TestAgesThroughJumps(t *testing.T) {
	const passes = time.Hour
	for name, jump := range map[string]func(s *timed){
		"set to 2040":               func(s *timed) { s.Set(in40) },
		"set to 1970":               func(s *timed) { s.Set(in70) },
		"set by an hour":            func(s *timed) { s.Set(noon.Add(time.Hour)) },
		"set back by an hour":       func(s *timed) { s.Set(noon.Add(-time.Hour)) },
		"started in 2040":           func(s *timed) { s.between(s.restart(in40)) },
		"started in 1970":           func(s *timed) { s.between(s.restart(in70)) },
		"set while it was not open": func(s *timed) { s.between(func() { s.Set(in40) }) },
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			s := newTimed(t, noon)
			s.must(receive(ctx, s.Store, "{}"))
			putManifest(t, s.Store, image("{}", mirror.Pushed), "v1")
			read(t, s.Store, "{}")
			jump(s)
			putManifest(t, s.Store, image("elsewhere", mirror.Mirrored), "after")
			s.Pass(passes)
			age := func(what string, at time.Time) {
				t.Helper()
				// After a reboot the machine has been running for a minute.
				if age := s.Now().Sub(at); age < passes || age > passes+time.Minute {
					t.Errorf("%s is %v old, want %v", what, age, passes)
				}
			}
			for _, tag := range []string{"v1", "after"} {
				got, err := s.Tag(ctx, repo, tag)
				s.must(err)
				age("tag "+tag, got.Updated)
			}
			used, err := s.LastUsed(ctx, repo, digest.FromString("{}"))
			s.must(err)
			age("a use", used)
			s.must(s.Survey(ctx, func(v mirror.Survey) error {
				for b, err := range v.Blobs() {
					s.must(err)
					age("blob "+b.Digest.String(), b.Used)
				}
				for m, err := range v.Manifests() {
					s.must(err)
					age("manifest "+m.Digest.String(), m.Added)
				}
				return nil
			}))
			if used.Year() != 2026 {
				t.Errorf("it was used in %v", used)
			}
		})
	}
}

// TestFileTimes checks that file times before the wall clock was last set are ignored.
func TestFileTimes(t *testing.T) {
	for name, tt := range map[string]struct {
		written time.Time // by the file system
		then    func(s *timed)
		want    time.Duration // its age an hour later
	}{
		"right all along":            {noon.Add(-day), func(*timed) {}, day + time.Hour},
		"later than now":             {in40, func(*timed) {}, time.Hour},
		"a little later than now":    {noon.Add(time.Second), func(*timed) {}, time.Hour - time.Second},
		"in 1970, then set right":    {in70, func(s *timed) { s.Set(in70); s.Now(); s.Set(noon); s.Now() }, time.Hour},
		"before it was set to 2040":  {noon.Add(-day), func(s *timed) { s.Set(in40); s.Now() }, time.Hour},
		"in 2040, then set right":    {in40, func(s *timed) { s.Set(in40); s.Now(); s.Set(noon); s.Now() }, time.Hour},
		"before it started in 1970":  {noon.Add(-day), func(s *timed) { s.between(s.restart(in70)) }, time.Hour},
		"before the process stopped": {noon.Add(-day), func(s *timed) { s.between(func() {}) }, day + time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			s := newTimed(t, noon)
			u, err := s.StartUpload(ctx, repo, digest.SHA256)
			s.must(err)
			_, err = u.Append(strings.NewReader("upload"))
			s.must(err)
			s.must(u.Close())
			orphan := digest.FromString("orphan")
			file := filepath.Join(s.folder, "blobs", "sha256", orphan.Encoded()[:2], orphan.Encoded())
			s.must(os.MkdirAll(filepath.Dir(file), 0o750))
			s.must(os.WriteFile(file, []byte("orphan"), 0o600))
			upload := filepath.Join(s.folder, "incoming", u.ID())
			for _, file := range []string{file, upload} {
				s.must(os.Chtimes(file, tt.written, tt.written))
			}
			tt.then(s)
			s.Pass(time.Hour)
			now := s.Now()
			for o, err := range s.Orphans(ctx) {
				s.must(err)
				if age := now.Sub(o.Written); age != tt.want {
					t.Errorf("the orphan is %v old, want %v", age, tt.want)
				}
			}
			for u, err := range s.Uploads(ctx) {
				s.must(err)
				if age := now.Sub(u.Written); age != tt.want {
					t.Errorf("the upload is %v old, want %v", age, tt.want)
				}
			}
			written := now.Add(-tt.want)
			if dropped(s, orphan, u.ID(), written) {
				t.Error("what was written at that time goes")
			}
			if !dropped(s, orphan, u.ID(), written.Add(time.Nanosecond)) {
				t.Error("what was written before stays")
			}
		})
	}
}

// dropped deletes an orphan and an upload if they are older than a time, and reports whether they were.
func dropped(s *timed, orphan digest.Digest, upload string, before time.Time) bool {
	s.t.Helper()
	file, err := s.DeleteOrphan(s.t.Context(), orphan, before)
	s.must(err)
	expired, err := s.ExpireUpload(s.t.Context(), upload, before)
	s.must(err)
	if file != expired {
		s.t.Errorf("the orphan goes: %t, the upload goes: %t", file, expired)
	}
	return file && expired
}
