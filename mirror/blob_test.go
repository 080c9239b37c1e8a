package mirror_test

import (
	"context"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// TestWhoseQuestionAboutABlobGoesUpstream holds that a client that pulls is told what the upstream has, and that one that
// pushes waits for nobody.
func TestWhoseQuestionAboutABlobGoesUpstream(t *testing.T) {
	d := digest.FromString("layer")
	for name, tt := range map[string]struct {
		before func(p *place)
		asked  int
		known  bool
	}{
		"who pulled its manifest": {func(p *place) {
			p.stat(byTag("v1"), p.origin.image(app, []string{"layer"}, "v1").Digest)
		}, 1, true},
		"who asked for a manifest of that digest":    {func(p *place) { p.missing(byDigest(d)) }, 1, true},
		"who asked for a manifest of another digest": {func(p *place) { p.missing(byDigest(digest.FromString("other"))) }, 0, false},
		"who asked long ago":                         {func(p *place) { p.missing(byDigest(d)); later(time.Minute) }, 0, false},
		"who is about to push":                       {func(*place) {}, 0, false},
		"who is about to push what is mirrored":      {func(p *place) { p.stat(byTag("v2"), p.origin.image(app, nil, "v2").Digest) }, 0, false},
		"who asked while the upstream could not answer": {func(p *place) {
			p.origin.set(down)
			p.missing(byDigest(d))
			p.origin.set(nil)
		}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				p := start(t, mirror.Options{})
				p.origin.put("layer")
				tt.before(p)
				size, err := p.StatBlob(t.Context(), app, d)
				if known := err == nil; known != tt.known || known && size != int64(len("layer")) {
					t.Errorf("%d, %v", size, err)
				}
				if n := p.origin.count("stat"); n != tt.asked {
					t.Errorf("the upstream was asked %d times, want %d", n, tt.asked)
				}
			})
		})
	}
}

func TestQuestionsAboutBlobsThatAreNotThere(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, mirror.Options{})
		p.stat(byTag("v1"), p.origin.image(app, []string{"layer"}, "v1").Digest)
		d := digest.FromString("layer")
		p.origin.set(hangs("stat"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.StatBlob(ctx, app, d); err != context.DeadlineExceeded || len(p.wants()) != 0 {
			t.Errorf("%v, wants %s: a client that has gone wants nothing", err, p.wants())
		}
		p.origin.set(nil)
		delete(p.origin.blobs, d)
		for range 3 { // the second one is answered from memory
			if _, err := p.StatBlob(t.Context(), app, d); mirror.CodeOf(err) != mirror.CodeBlobUnknown {
				t.Error(err)
			}
			if _, err := p.read(app, d); mirror.CodeOf(err) != mirror.CodeBlobUnknown {
				t.Error(err)
			}
		}
		if n := p.origin.count("stat") + p.origin.count("blob"); n != 2 {
			t.Errorf("the upstream was asked %d times, want 2", n)
		}
	})
}
