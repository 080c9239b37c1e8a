package proxy_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

// TestHeadRequestIsAUse checks that a HEAD request for a tag counts as a use: a dockerd that has the image sends no
// more than that.
func TestHeadRequestIsAUse(t *testing.T) {
	tests := []struct {
		name  string
		ref   func(d mirror.Ref) mirror.Ref
		fresh time.Duration
		setup func(p *place)
	}{
		{"Fresh", nil, time.Hour, nil},
		{"Revalidated", nil, 0, nil},
		{"ByDigest", func(d mirror.Ref) mirror.Ref { return d }, 0, nil},
		{"Stale", nil, 0, func(p *place) {
			p.origin.set(func(context.Context, string) error { return errors.New("gone") })
		}},
		{"Offline", nil, 0, func(p *place) { p.must(p.SetMode(p.t.Context(), mirror.Offline)) }},
		{"TagMovedToWhatIsHeld", func(mirror.Ref) mirror.Ref { return byTag("v2") }, 0, func(p *place) {
			p.get(byTag("v2"), p.origin.image(app, []string{"other"}, "v2").Digest)
			later(time.Hour)
			p.origin.image(app, []string{"layer"}, "v2")
		}},
		{"NewTagOfWhatIsHeld", func(mirror.Ref) mirror.Ref { return byTag("v3") }, 0, func(p *place) {
			p.origin.image(app, []string{"layer"}, "v3")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				p := start(t, proxy.Options{TagTTL: func(mirror.Ref) time.Duration { return tt.fresh }})
				d := p.origin.image(app, []string{"layer"}, "v1").Digest
				p.get(byTag("v1"), d)
				later(time.Minute)
				if tt.setup != nil {
					tt.setup(p)
				}
				ref := byTag("v1")
				if tt.ref != nil {
					ref = tt.ref(byDigest(d))
				}
				asked := time.Now()
				answer, err := p.StatManifest(t.Context(), ref)
				if p.must(err); answer.Digest != d {
					t.Fatalf("%s is %s, want %s", ref, answer.Digest, d)
				}
				if last, err := p.store.LastUsed(t.Context(), app, d); err != nil || last.Before(asked) {
					t.Errorf("used at %s, %v; requested at %s", last, err, asked)
				}
			})
		})
	}
}

// TestClientOfASharedCallRecordsItsUse checks that a client that joins the call of a sync records a use, although the
// sync does not.
func TestClientOfASharedCallRecordsItsUse(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{})
		d := p.origin.image(app, []string{"layer"}, "v1").Digest
		p.get(byTag("v1"), d)
		later(time.Minute)
		release := make(chan bool)
		p.origin.set(func(context.Context, string) error { <-release; return nil })
		fetched := make(chan error)
		go func() {
			_, err := p.Fetch(t.Context(), byTag("v1"), mirror.FetchOptions{})
			fetched <- err
		}()
		synctest.Wait()
		asked, answered := time.Now(), make(chan error)
		go func() {
			_, err := p.StatManifest(t.Context(), byTag("v1"))
			answered <- err
		}()
		synctest.Wait()
		close(release)
		p.must(<-fetched)
		p.must(<-answered)
		if last, err := p.store.LastUsed(t.Context(), app, d); err != nil || last.Before(asked) {
			t.Errorf("used at %s, %v; requested at %s", last, err, asked)
		}
	})
}
