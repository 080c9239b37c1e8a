package proxy_test

import (
	"context"
	"strings"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

// TestMovedTagThatIsServedByTagOnly checks that a manifest which the upstream serves by tag but not by digest is
// fetched by tag.
func TestMovedTagThatIsServedByTagOnly(t *testing.T) {
	p := start(t, proxy.Options{})
	p.origin.set(func(_ context.Context, call string) error {
		if strings.HasPrefix(call, "manifest ") && strings.Contains(call, "@sha256:") {
			return mirror.Errorf(mirror.CodeManifestUnknown, "not by digest")
		}
		return nil
	})
	p.get(byTag("v1"), p.origin.image(app, []string{"old"}, "v1").Digest)
	moved := p.origin.image(app, []string{"new"}, "v1").Digest
	p.get(byTag("v1"), moved)
	if _, err := p.Fetch(t.Context(), byTag("v1"), mirror.FetchOptions{}); err != nil {
		t.Error(err)
	}
	again := p.origin.image(app, []string{"newer"}, "v1").Digest
	if got, err := p.Fetch(t.Context(), byTag("v1"), mirror.FetchOptions{}); err != nil || got.Digest != again {
		t.Errorf("fetched %s, %v", got.Digest, err)
	}
}

// TestAbsentChildRevalidatesTheTag checks that a tag is revalidated once, before its TTL has passed, if the upstream
// does not have a child of its index any more.
func TestAbsentChildRevalidatesTheTag(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{TagTTL: func(mirror.Ref) time.Duration { return time.Hour }})
		child := p.origin.image(app, []string{"monday"})
		p.get(byTag("nightly"), p.origin.index(app, []v1.Descriptor{on("linux", "amd64", child)}, "nightly").Digest)
		p.get(byTag("other"), p.origin.image(app, []string{"other"}, "other").Digest)
		p.origin.mu.Lock()
		delete(p.origin.manifests, child.Digest)
		p.origin.mu.Unlock()
		p.missing(byDigest(child.Digest))

		next := p.origin.image(app, []string{"tuesday"})
		moved := p.origin.index(app, []v1.Descriptor{on("linux", "amd64", next)}, "nightly").Digest
		p.get(byTag("nightly"), moved)
		p.get(byTag("nightly"), moved)
		p.get(byDigest(next.Digest), next.Digest)
		if n := p.origin.count("resolve"); n != 1 {
			t.Errorf("the upstream got %d requests", n)
		}
	})
}
