package proxy_test

import (
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

func TestCounters(t *testing.T) {
	p := start(t, proxy.Options{TagTTL: func(ref mirror.Ref) time.Duration {
		if ref.Tag == "fresh" {
			return mirror.Forever
		}
		return 0
	}})
	var before mirror.Counters
	became := func(what string, want mirror.Counters) {
		t.Helper()
		now := p.Counters()
		got := mirror.Counters{Manifests: less(now.Manifests, before.Manifests), Blobs: less(now.Blobs, before.Blobs), Wants: now.Wants - before.Wants}
		if got != want {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
		before = now
	}
	d := p.origin.image(app, []string{"layer"}, "fresh", "due").Digest
	p.get(byTag("fresh"), d)
	became("a miss", mirror.Counters{Manifests: mirror.Outcomes{Misses: 1}})
	p.get(byTag("fresh"), d)
	p.get(byDigest(d), d)
	became("two hits", mirror.Counters{Manifests: mirror.Outcomes{Hits: 2}})
	p.get(byTag("due"), d)
	p.get(byTag("due"), d)
	became("a tag that is confirmed", mirror.Counters{Manifests: mirror.Outcomes{Misses: 1, Hits: 1}})
	moved := p.origin.image(app, []string{"layer", "more"}, "due").Digest
	p.get(byTag("due"), moved)
	became("a tag that moved", mirror.Counters{Manifests: mirror.Outcomes{Misses: 1}})
	p.pull("layer")
	_, err := p.Fetch(t.Context(), byTag("due"), mirror.FetchOptions{}) // stored from now on
	p.must(err)
	p.pull("layer")
	became("a blob", mirror.Counters{Blobs: mirror.Outcomes{Misses: 1, Hits: 1}})
	p.origin.set(down)
	p.get(byTag("due"), moved)
	became("a tag that cannot be confirmed", mirror.Counters{Manifests: mirror.Outcomes{Stale: 1}})
	p.missing(byTag("other"))
	_, _ = p.read(app, digest.FromString("other"))
	became("content that cannot be fetched", mirror.Counters{Manifests: mirror.Outcomes{Misses: 1}, Blobs: mirror.Outcomes{Misses: 1}, Wants: 2})
	_, _ = p.Fetch(t.Context(), byTag("due"), mirror.FetchOptions{})
	_, _ = p.StatBlob(t.Context(), app, digest.FromString("layer"))
	became("what nobody pulls", mirror.Counters{})
}

func less(a, b mirror.Outcomes) mirror.Outcomes {
	return mirror.Outcomes{Hits: a.Hits - b.Hits, Stale: a.Stale - b.Stale, Misses: a.Misses - b.Misses}
}
