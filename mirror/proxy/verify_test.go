package proxy_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

func sizeOf(content string) string { return strconv.Itoa(len(content)) }

// verify verifies, and returns the events.
func (p *place) verify(opts mirror.VerifyOptions) (mirror.VerifySummary, []mirror.VerifyEvent) {
	p.t.Helper()
	var events []mirror.VerifyEvent
	summary, err := p.Verify(p.t.Context(), opts, func(event mirror.VerifyEvent) { events = append(events, event) })
	p.must(err)
	return summary, events
}

// fetched starts a mirror that holds the image of two layers.
func fetched(t *testing.T, opts proxy.Options) *place {
	t.Helper()
	if opts.TagTTL == nil {
		opts.TagTTL = func(mirror.Ref) time.Duration { return mirror.Forever }
	}
	p := start(t, opts)
	p.origin.image(app, []string{"one", "two"}, "v1")
	_, err := p.Fetch(t.Context(), byTag("v1"), mirror.FetchOptions{})
	p.must(err)
	return p
}

func TestVerifyFindsAndRepairs(t *testing.T) {
	one, two := digest.FromString("one"), digest.FromString("two")
	for name, tt := range map[string]struct {
		damage   func(p *place)
		fast     bool
		fetched  int
		wanted   int
		complete bool
	}{
		"nothing":             {func(*place) {}, false, 0, 0, true},
		"damaged blob":        {func(p *place) { p.flip(one) }, false, 1, 0, true},
		"truncated, fast":     {func(p *place) { p.must(os.Truncate(p.path(one), 1)) }, true, 1, 0, true},
		"missing blobs":       {func(p *place) { p.must(os.Remove(p.path(one))); p.must(os.Remove(p.path(two))) }, false, 2, 0, true},
		"damaged manifest":    {func(p *place) { p.flip(p.images()["v1 "].Digest) }, false, 1, 0, true},
		"missing manifest":    {func(p *place) { p.must(os.Remove(p.path(p.images()["v1 "].Digest))) }, false, 1, 0, true},
		"gone upstream":       {func(p *place) { p.flip(one); delete(p.origin.blobs, one) }, false, 0, 1, false},
		"upstream that fails": {func(p *place) { p.flip(one); p.origin.set(down) }, false, 0, 1, false},
		"offline": {func(p *place) {
			p.flip(one)
			p.must(os.Remove(p.path(p.images()["v1 "].Digest)))
			p.must(p.SetMode(p.t.Context(), mirror.Offline))
			p.origin.set(forbidden(p.t))
		}, false, 0, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := fetched(t, proxy.Options{})
			tt.damage(p)
			defects := tt.fetched + tt.wanted
			summary, events := p.verify(mirror.VerifyOptions{Fast: tt.fast})
			if len(events) != defects || summary.Files != 4 || summary.Bytes == 0 || summary.Repaired+summary.Fetched+summary.Wanted != 0 {
				t.Errorf("without repair: %+v, %+v", summary, events)
			}
			summary, events = p.verify(mirror.VerifyOptions{Fast: tt.fast, Repair: true})
			if len(events) != defects || summary.Fetched != tt.fetched || summary.Wanted != tt.wanted || summary.Repaired != defects || summary.Failed != 0 {
				t.Errorf("with repair: %+v, %+v", summary, events)
			}
			if n := len(p.wants()); n != tt.wanted {
				t.Errorf("%d wants, want %d", n, tt.wanted)
			}
			p.complete("v1", tt.complete)
			if last := p.Status().Verify.Last; last == nil || last.Fetched != tt.fetched || p.Status().Verify.Running {
				t.Errorf("status: %+v", last)
			}
			if tt.complete {
				p.pull("one")
				p.pull("two")
			}
			if _, events := p.verify(mirror.VerifyOptions{}); len(events) != tt.wanted {
				t.Errorf("after repair: %+v", events)
			}
		})
	}
}

// TestLostContentIsADefectUntilItIsStored checks that content that could not be fetched again remains a defect, and that a
// later repair fetches it.
func TestLostContentIsADefectUntilItIsStored(t *testing.T) {
	p := fetched(t, proxy.Options{})
	one, manifest := digest.FromString("one"), p.images()["v1 "].Digest
	p.flip(one)
	p.must(os.Remove(p.path(manifest)))
	p.must(p.SetMode(t.Context(), mirror.Offline))
	for _, repair := range []bool{true, false, true} {
		if summary, events := p.verify(mirror.VerifyOptions{Repair: repair}); len(events) != 2 || summary.Fetched != 0 {
			t.Errorf("offline, repair %t: %+v", repair, events)
		}
		p.restart()
	}
	p.must(p.SetMode(t.Context(), mirror.Online))
	if summary, events := p.verify(mirror.VerifyOptions{Repair: true}); len(events) != 2 || summary.Fetched != 2 {
		t.Errorf("online: %+v", events)
	}
	p.complete("v1", true)
	if _, events := p.verify(mirror.VerifyOptions{}); len(events) != 0 || len(p.wants()) != 0 {
		t.Errorf("at the end: %+v, %v", events, p.wants())
	}
}

// TestDeletedLostContentIsNoDefect checks that what an image lost is no defect after the image was deleted.
func TestDeletedLostContentIsNoDefect(t *testing.T) {
	p := fetched(t, proxy.Options{})
	p.flip(digest.FromString("one"))
	p.must(p.SetMode(t.Context(), mirror.Offline))
	p.verify(mirror.VerifyOptions{Repair: true})
	p.must(p.Delete(t.Context(), byDigest(p.images()["v1 "].Digest)))
	if _, events := p.verify(mirror.VerifyOptions{}); len(events) != 0 {
		t.Errorf("%+v", events)
	}
}

// TestVerifyWantsLostPushes checks that lost pushed content becomes a want until it is pushed again.
func TestVerifyWantsLostPushes(t *testing.T) {
	p := start(t, proxy.Options{})
	p.origin.set(forbidden(t))
	_, blob := p.pushed("ours alone")
	p.flip(blob)
	for range 2 { // the second time it is missing, and the want is the same
		summary, events := p.verify(mirror.VerifyOptions{Repair: true})
		if len(events) != 1 || summary.Wanted != 1 || summary.Fetched != 0 {
			t.Errorf("%+v, %+v", summary, events)
		}
	}
	wants := p.Wants()
	if len(wants) != 1 || wants[0].Count != 0 || !wants[0].Blob || !strings.Contains(wants[0].Reason, "cannot be fetched again") {
		t.Fatalf("%+v", wants)
	}
	p.push(ours, "ours alone")
	if wants := p.wants(); len(wants) != 0 {
		t.Errorf("wanted: %v", wants)
	}
	if _, events := p.verify(mirror.VerifyOptions{}); len(events) != 0 {
		t.Errorf("%+v", events)
	}
}

// TestLostBlobOfSeveralRepositories checks that a lost blob is wanted for one repository and recovered for all that
// need it.
func TestLostBlobOfSeveralRepositories(t *testing.T) {
	p := start(t, proxy.Options{})
	config := digest.FromString("{}")
	p.push(app, "{}")
	p.tag("v1")
	p.push(ours, "{}")
	p.pushed("{}")
	p.flip(config)
	if summary, events := p.verify(mirror.VerifyOptions{Repair: true}); summary.Wanted != 1 || len(events) != 1 || len(events[0].Repos) != 2 {
		t.Errorf("%+v, %+v", summary, events)
	}
	if wants := p.wants(); !slices.Equal(wants, []string{byDigest(config).String()}) {
		t.Errorf("wanted: %v", wants)
	}
	p.push(ours, "{}")
	if wants := p.wants(); len(wants) != 0 {
		t.Errorf("wanted although it is stored: %v", wants)
	}
}

// TestVerifyAdoptsOrphans checks that an image that lacked an orphan is complete again.
func TestVerifyAdoptsOrphans(t *testing.T) {
	p := start(t, proxy.Options{})
	_, blob := p.pushed("ours alone")
	p.must(os.Rename(p.path(blob), p.path(blob)+".away"))
	if summary, _ := p.verify(mirror.VerifyOptions{Repair: true}); summary.Wanted != 1 {
		t.Errorf("%+v", summary)
	}
	p.must(os.Rename(p.path(blob)+".away", p.path(blob)))
	p.must(os.Chtimes(p.path(blob), time.Time{}, time.Now().Add(-time.Hour)))
	summary, events := p.verify(mirror.VerifyOptions{Repair: true})
	if len(events) != 1 || events[0].Kind != mirror.Orphaned || summary.Repaired != 1 || len(p.wants()) != 0 {
		t.Errorf("%+v, %+v; wanted: %v", summary, events, p.wants())
	}
	if got, err := p.read(ours, blob); err != nil || got != "ours alone" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestVerifyKeepsToItsRate(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{})
		for _, r := range "abcd" {
			p.push(ours, strings.Repeat(string(r), 1<<20))
		}
		began := time.Now()
		summary, _ := p.verify(mirror.VerifyOptions{Rate: 1 << 20})
		if took := time.Since(began); took < 3*time.Second || took > 5*time.Second || summary.Seconds < 3 {
			t.Errorf("4 MiB at 1 MiB in a second took %v; %+v", took, summary)
		}
	})
}

func TestVerifyEndsWithContextAndClose(t *testing.T) {
	for name, end := range map[string]func(p *place, cancel func()){
		"when it is cancelled":       func(_ *place, cancel func()) { cancel() },
		"when the mirror is closing": func(p *place, _ func()) { _ = p.Close(p.t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				p := start(t, proxy.Options{})
				p.push(ours, strings.Repeat("a", 1<<20))
				ctx, cancel := context.WithCancel(t.Context())
				var verifying sync.WaitGroup
				verifying.Go(func() {
					summary, err := p.Verify(ctx, mirror.VerifyOptions{Rate: 1 << 10}, nil)
					if err == nil || summary.Files != 0 {
						t.Errorf("%+v, %v", summary, err)
					}
				})
				later(10 * time.Second)
				end(p, cancel)
				verifying.Wait()
				cancel()
				if status := p.Status().Verify; status.Running || status.Last != nil {
					t.Errorf("%+v", status)
				}
			})
		})
	}
}

// TestScrubRepairsRegularly checks that the scrub repairs defects in the background, again and again.
func TestScrubRepairsRegularly(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := fetched(t, proxy.Options{ScrubEvery: 24 * time.Hour})
		later(time.Minute)
		first := p.Status().Verify.Last
		if first == nil { // it began with the mirror, when there was nothing yet
			t.Fatal("no lap was done")
		}
		p.flip(digest.FromString("one"))
		later(23 * time.Hour)
		if p.Status().Verify.Last != first {
			t.Error("scrubbed again before it was time")
		}
		later(2 * time.Hour)
		if last := p.Status().Verify.Last; last.Fetched != 1 || last.Files != 4 {
			t.Errorf("%+v", last)
		}
		p.pull("one")
		p.restart()
		if last := p.Status().Verify.Last; last == nil || last.Fetched != 1 {
			t.Errorf("after a restart: %+v", last)
		}
		later(time.Hour)
		if last := p.Status().Verify.Last; last.Fetched != 1 {
			t.Errorf("a restart began a new lap: %+v", last)
		}
	})
}

// TestScrubContinuesAfterARestart checks that a scrub continues where it stopped.
func TestScrubContinuesAfterARestart(t *testing.T) {
	inTime(t, func(t *testing.T) {
		core, logged := observer.New(zap.ErrorLevel)
		p := start(t, proxy.Options{ScrubEvery: 24 * time.Hour, ScrubRate: 16 << 10, Log: zap.New(core)})
		later(time.Minute) // an empty lap
		for _, r := range "abcdefgh" {
			p.push(ours, strings.Repeat(string(r), 1<<20))
		}
		later(24*time.Hour + 3*time.Minute) // each takes more than a minute
		if status := p.Status().Verify; !status.Running {
			t.Errorf("%+v", status)
		}
		p.restart()
		later(6*time.Minute + 30*time.Second) // and all of them more than 8
		last := p.Status().Verify.Last
		if last == nil || last.Files != 8 || last.Bytes != 8<<20 || last.Seconds < 8*60 {
			t.Errorf("%+v", last)
		}
		if n := logged.Len(); n != 0 {
			t.Errorf("%+v", logged.All())
		}
	})
}

// TestVerifyReportsUnreadableFiles checks that a verification reports what it cannot read, and continues.
func TestVerifyReportsUnreadableFiles(t *testing.T) {
	p := fetched(t, proxy.Options{})
	one := digest.FromString("one")
	p.must(os.Remove(p.path(one)))
	p.must(os.Symlink(p.path(one), p.path(one))) // there is something, and it cannot be opened
	p.flip(digest.FromString("two"))
	summary, events := p.verify(mirror.VerifyOptions{Repair: true})
	if summary.Files != 4 || len(events) != 2 || summary.Failed != 1 || summary.Fetched != 1 {
		t.Errorf("%+v, %+v", summary, events)
	}
	if i := slices.IndexFunc(events, func(e mirror.VerifyEvent) bool { return e.Digest == one }); i < 0 || events[i].Kind != mirror.Unread || events[i].Repaired {
		t.Errorf("%+v", events)
	}
	if _, err := p.Verify(cancelled(), mirror.VerifyOptions{}, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// TestVerifyNamesLostContentOnce checks the reason of a want for a blob that a mirror with a full disk lost.
func TestVerifyNamesLostContentOnce(t *testing.T) {
	var full atomic.Bool
	p := start(t, proxy.Options{CheckCapacity: func(int64) error {
		if full.Load() {
			return mirror.Errorf(mirror.CodeStorageFull, "no room")
		}
		return nil
	}})
	p.origin.image(app, []string{"layer"}, "v1")
	_, err := p.Fetch(t.Context(), byTag("v1"), mirror.FetchOptions{})
	p.must(err)
	full.Store(true)
	lost := digest.FromString("layer")
	p.flip(lost)
	p.verify(mirror.VerifyOptions{Repair: true})
	wants := p.Wants()
	if len(wants) != 1 || !strings.HasSuffix(wants[0].Reason, "cannot be fetched again: no room") || strings.Contains(wants[0].Reason, lost.String()) {
		t.Errorf("%+v", wants)
	}
}
