package proxy_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

func completing(images, referrers bool) proxy.Options {
	return proxy.Options{TagTTL: func(mirror.Ref) time.Duration { return mirror.Forever },
		Backfill: func(mirror.Repo) (bool, bool) { return images, referrers }}
}

func TestBackfillCompletesPulledImages(t *testing.T) {
	for name, tt := range map[string]struct {
		opts proxy.Options
		pull func(p *place, d digest.Digest)
		want bool
	}{
		"a manifest by tag":      {completing(true, false), func(p *place, d digest.Digest) { p.get(byTag("v1"), d) }, true},
		"a manifest by digest":   {completing(true, false), func(p *place, d digest.Digest) { p.stat(byTag("v1"), d); p.get(byDigest(d), d) }, true},
		"one layer":              {completing(true, false), func(p *place, d digest.Digest) { p.stat(byTag("v1"), d); p.pull("two") }, true},
		"a question":             {completing(true, false), func(p *place, d digest.Digest) { p.stat(byTag("v1"), d); p.stat(byTag("v1"), d) }, false},
		"where it is not wished": {completing(false, false), func(p *place, d digest.Digest) { p.get(byTag("v1"), d); p.pull("two") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				p := start(t, tt.opts)
				d := p.origin.image(app, []string{"one", "two", "three"}, "v1").Digest
				tt.pull(p, d)
				later(time.Second)
				p.complete("v1", tt.want)
				p.origin.once()
				if n := p.Status().Backfill; n != 0 {
					t.Errorf("%d images in the backfill queue", n)
				}
				if !tt.want {
					return
				}
				p.origin.set(forbidden(t))
				p.must(p.SetMode(t.Context(), mirror.Offline))
				for _, layer := range []string{"one", "two", "three", "{}"} {
					p.pull(layer)
				}
			})
		})
	}
}

func (p *place) stat(ref mirror.Ref, d digest.Digest) {
	p.t.Helper()
	answer, err := p.StatManifest(p.t.Context(), ref)
	if p.must(err); answer.Digest != d {
		p.t.Fatalf("%s is %s, want %s", ref, answer.Digest, d)
	}
}

func TestBackfillOfThePulledPlatformOnly(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, completing(true, true))
		amd := on("linux", "amd64", p.origin.image(app, []string{"shared", "amd64"}))
		arm := on("linux", "arm64", p.origin.image(app, []string{"shared", "arm64"}))
		index := p.origin.index(app, []v1.Descriptor{amd, arm}, "v1")
		p.origin.about(app, amd, "signature", true)
		p.get(byTag("v1"), index.Digest)
		p.get(byDigest(amd.Digest), amd.Digest)
		p.pull("shared")
		later(time.Second)
		images := p.images()
		if image := images["v1 linux/amd64"]; !image.Complete || image.Size != int64(len("{}sharedamd64")) || image.Missing != 0 {
			t.Errorf("%+v", image)
		}
		if image := images["v1 linux/arm64"]; image.Complete || image.Size != 0 {
			t.Errorf("%+v", image)
		}
		if n := p.origin.count("blob origin.test/org/app " + digest.FromString("signature").String()); n != 1 {
			t.Errorf("the signature was fetched %d times", n)
		}
		p.get(byDigest(arm.Digest), arm.Digest)
		later(time.Second)
		p.complete("v1", true)
	})
}

func TestBackfillSurvivesFailuresAndRestarts(t *testing.T) {
	failing := func(layer string) func(context.Context, string) error {
		return func(_ context.Context, call string) error {
			if strings.HasPrefix(call, "blob") && strings.HasSuffix(call, digest.FromString(layer).String()) {
				return errDown
			}
			return nil
		}
	}
	for name, restart := range map[string]bool{"in one run": false, "after a restart": true} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				p := start(t, completing(true, false))
				d := p.origin.image(app, []string{"one", "two"}, "v1").Digest
				p.origin.set(failing("two"))
				p.get(byTag("v1"), d)
				later(12 * time.Second)
				p.complete("v1", false)
				if n := p.origin.count("blob origin.test/org/app " + digest.FromString("two").String()); n < 2 || n > 4 {
					t.Errorf("%d attempts in 12 s", n)
				}
				if n := p.Status().Backfill; n != 1 {
					t.Errorf("%d images in the backfill queue, want 1", n)
				}
				if wants := p.wants(); len(wants) != 0 {
					t.Errorf("wants of the backfill: %s", wants)
				}
				p.origin.set(nil)
				if restart {
					p.restart()
				}
				later(time.Minute)
				p.complete("v1", true)
				if n := p.Status().Backfill; n != 0 {
					t.Errorf("%d images in the backfill queue", n)
				}
				p.restart()
				if n := p.Status().Backfill; n != 0 {
					t.Errorf("%d images in the backfill queue again", n)
				}
			})
		})
	}
}

func TestBackfillEndsForAbsentContent(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, completing(true, false))
		d := p.origin.image(app, []string{"one", "two"}, "v1").Digest
		delete(p.origin.blobs, digest.FromString("two"))
		p.get(byTag("v1"), d)
		later(time.Minute)
		if n := p.origin.count("blob origin.test/org/app " + digest.FromString("two").String()); n != 1 {
			t.Errorf("%d attempts for absent content", n)
		}
		// A manifest that is deleted meanwhile stays away.
		p.origin.set(down)
		deleted := p.origin.image(app, []string{"three"}).Digest
		p.origin.set(hangs("blob"))
		p.get(byDigest(deleted), deleted)
		synctest.Wait()
		p.must(p.SetMode(t.Context(), mirror.Offline))
		p.must(p.Delete(t.Context(), byDigest(deleted)))
		p.origin.set(nil)
		p.must(p.SetMode(t.Context(), mirror.Auto))
		later(time.Minute)
		if n := p.origin.count("manifest " + byDigest(deleted).String()); n != 1 || p.Status().Backfill != 0 {
			t.Errorf("a deleted manifest was fetched %d times, %d images in the backfill queue", n, p.Status().Backfill)
		}
	})
}

// TestBackfillBacksOff checks that the pause grows with each failure, and ends when a client pulls the image again or
// the mode changes.
func TestBackfillBacksOff(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, completing(true, false))
		d := p.origin.image(app, []string{"one"}, "v1").Digest
		tries := func() int { return p.origin.count("blob origin.test/org/app " + digest.FromString("one").String()) }
		p.origin.set(func(_ context.Context, call string) error {
			if strings.HasPrefix(call, "blob") {
				return errDown
			}
			return nil
		})
		p.get(byTag("v1"), d)
		later(24 * time.Hour)
		before := tries()
		if before < 20 || before > 35 {
			t.Errorf("%d attempts in a day", before)
		}
		for what, ask := range map[string]func(){
			"a pull":            func() { _, _ = p.read(app, digest.FromString("one")) },
			"a change of modes": func() { p.must(p.SetMode(t.Context(), mirror.Online)) },
		} {
			before := tries()
			ask()
			later(30 * time.Second)
			if n := tries() - before; n < 2 {
				t.Errorf("%d attempts after %s", n, what)
			}
		}
	})
}

func TestBackfillGivesUpAfterWrongBytes(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, completing(true, false))
		d := p.origin.image(app, []string{"one"}, "v1").Digest
		p.origin.body = func(_ context.Context, content string) (io.ReadCloser, int64) {
			return io.NopCloser(readerOf(strings.ToUpper(content))), int64(len(content))
		}
		p.get(byTag("v1"), d)
		later(24 * time.Hour)
		if n := p.origin.count("blob origin.test/org/app " + digest.FromString("one").String()); n != 3 {
			t.Errorf("%d attempts for wrong bytes", n)
		}
		if n := p.Status().Backfill; n != 0 {
			t.Errorf("%d images in the backfill queue", n)
		}
		p.restart()
		if n := p.Status().Backfill; n != 0 {
			t.Errorf("%d images in the backfill queue after a restart", n)
		}
		p.origin.sends(nil)
		p.pull("one") // pulling it again restarts the backfill
		later(time.Minute)
		p.complete("v1", true)
	})
}

func TestBackfillIsParallelWithinLimits(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, completing(true, false))
		slow := func(_ context.Context, call string) error {
			if strings.HasPrefix(call, "blob") {
				later(20 * time.Second)
			}
			if n := p.Status().Downloads; n > 2 {
				t.Errorf("%d transfers at a time", n)
			}
			return nil
		}
		p.origin.set(slow)
		for _, tag := range []string{"v1", "v2", "v3", "v4", "v5", "v6"} {
			p.get(byTag(tag), p.origin.image(app, []string{"layer of " + tag}, tag).Digest)
		}
		later(30 * time.Second)
		if n := p.Status().Backfill; n == 0 {
			t.Error("all images were completed at once")
		}
		later(3 * time.Minute)
		for _, tag := range []string{"v1", "v2", "v3", "v4", "v5", "v6"} {
			p.complete(tag, true)
		}
		p.origin.once()
	})
}
