package proxy_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

// TestPushHidesTheUpstreamFromItsClientOnly checks that only a client that pushed a blob gets answers about its new
// repository from the store alone, so that nobody can hide an image from others.
func TestPushHidesTheUpstreamFromItsClientOnly(t *testing.T) {
	from := func(last byte) context.Context {
		return mirror.WithClient(t.Context(), &net.TCPAddr{IP: net.IPv4(10, 0, 0, last), Port: 4000})
	}
	begin := func(p *place) mirror.Upload {
		up, err := p.StartUpload(from(1), app, digest.SHA256)
		p.must(err)
		_, err = up.Append(readerOf("blob"))
		p.must(err)
		return up
	}
	other := mirror.Repo{Host: "origin.test", Path: "other"}
	for name, tt := range map[string]struct {
		push   func(p *place)
		client byte
		hidden bool
	}{
		"who began an upload":  {func(p *place) { p.must(begin(p).Close()) }, 1, false},
		"who brought nonsense": {func(p *place) { _ = begin(p).Commit(from(1), digest.FromString("other")) }, 1, false},
		"who brought a blob":   {func(p *place) { p.must(begin(p).Commit(from(1), digest.FromString("blob"))) }, 1, true},
		"who mounted a blob": {func(p *place) {
			p.push(other, "blob")
			p.must(p.Mount(from(1), app, other, digest.FromString("blob")))
		}, 1, true},
		"somebody else": {func(p *place) { p.must(begin(p).Commit(from(1), digest.FromString("blob"))) }, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, proxy.Options{})
			p.origin.image(app, []string{"layer"}, "v1")
			tt.push(p)
			_, err := p.StatManifest(from(tt.client), byTag("v1"))
			if hidden := err != nil; hidden != tt.hidden {
				t.Error(err)
			}
		})
	}
}

// TestStatBlobAsksUpstreamForPulls checks that clients that pull get the answer of the upstream, and that clients that
// push do not wait for it.
func TestStatBlobAsksUpstreamForPulls(t *testing.T) {
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
				p := start(t, proxy.Options{})
				p.origin.put("layer")
				tt.before(p)
				size, err := p.StatBlob(t.Context(), app, d)
				if known := err == nil; known != tt.known || known && size != int64(len("layer")) {
					t.Errorf("%d, %v", size, err)
				}
				if n := p.origin.count("stat"); n != tt.asked {
					t.Errorf("the upstream got %d requests, want %d", n, tt.asked)
				}
			})
		})
	}
}

func TestStatBlobOfAbsentBlobs(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{})
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
			t.Errorf("the upstream got %d requests, want 2", n)
		}
	})
}
