package proxy_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

// changes tries everything that changes the store, and returns the errors.
func changes(p *place, held mirror.Ref) map[string]error {
	ctx := p.t.Context()
	did := map[string]error{}
	_, did["start an upload"] = p.StartUpload(ctx, app, digest.SHA256)
	_, _, did["push a manifest"] = p.PutManifest(ctx, mirror.Put{Repo: app, Bytes: []byte(`{}`)})
	did["mount"] = p.Mount(ctx, mirror.Repo{Host: "origin.test", Path: "other"}, app, digest.FromString("layer"))
	did["delete"] = p.Delete(ctx, held)
	did["delete a blob"] = p.DeleteBlob(ctx, app, digest.FromString("layer"))
	return did
}

func TestReadOnlyStoresNothing(t *testing.T) {
	p := start(t, proxy.Options{})
	held := p.origin.image(app, []string{"layer"}, "held").Digest
	_, err := p.Fetch(t.Context(), byTag("held"), mirror.FetchOptions{})
	p.must(err)
	up, err := p.StartUpload(t.Context(), app, digest.SHA256)
	p.must(err)
	p.must(up.Close())

	p.must(p.SetReadOnly(t.Context(), true))
	for what, err := range changes(p, byTag("held")) {
		if mirror.CodeOf(err) != mirror.CodeUnavailable {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := p.Upload(t.Context(), app, up.ID()); mirror.CodeOf(err) != mirror.CodeUnavailable {
		t.Errorf("go on with an upload: %v", err)
	}
	if _, err := p.Fetch(t.Context(), byTag("held"), mirror.FetchOptions{}); err != nil {
		t.Errorf("fetch of stored content: %v", err)
	}
	p.origin.image(app, []string{"new"}, "new")
	if _, err := p.Fetch(t.Context(), byTag("new"), mirror.FetchOptions{}); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("fetch of missing content: %v", err)
	}
	p.get(byTag("held"), held)
	p.pull("layer")
	other := p.origin.image(app, []string{"passes through"}, "other").Digest
	p.get(byTag("other"), other)
	p.pull("passes through")

	p.restart()
	if !p.ReadOnly() || !p.Status().ReadOnly {
		t.Error("it is forgotten by a restart")
	}
	p.must(p.SetReadOnly(t.Context(), false))
	p.must(p.SetMode(t.Context(), mirror.Offline))
	p.get(byTag("held"), held)
	p.missing(byTag("other"))
	if _, err := p.read(app, digest.FromString("passes through")); mirror.CodeOf(err) != mirror.CodeBlobUnknown {
		t.Errorf("a blob was kept: %v", err)
	}
	p.restart()
	if p.ReadOnly() {
		t.Error("it is read-only again after a restart")
	}
}

func TestWithoutRoomNothingIsStored(t *testing.T) {
	var full atomic.Bool
	p := start(t, proxy.Options{CheckCapacity: func(int64) error {
		if full.Load() {
			return mirror.Errorf(mirror.CodeStorageFull, "no room")
		}
		return nil
	}})
	held := p.origin.image(app, []string{"layer"}, "held").Digest
	_, err := p.Fetch(t.Context(), byTag("held"), mirror.FetchOptions{})
	p.must(err)
	p.push(app, "pushed")
	up, err := p.StartUpload(t.Context(), app, digest.SHA256)
	p.must(err)

	full.Store(true)
	did := changes(p, byTag("held"))
	_, did["append to an upload"] = up.Append(readerOf("more"))
	for what, err := range did {
		deletes := what == "delete" || what == "delete a blob"
		if mirror.CodeOf(err) != mirror.CodeStorageFull && !deletes || mirror.CodeOf(err) == mirror.CodeStorageFull && deletes {
			t.Errorf("%s: %v", what, err)
		}
	}
	p.must(up.Cancel())
	p.get(byDigest(held), held)
	other := p.origin.image(app, []string{"passes through"}, "other").Digest
	p.get(byTag("other"), other)
	p.pull("passes through")
	if _, err := p.Fetch(t.Context(), byTag("other"), mirror.FetchOptions{}); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("a fetch does not say that there is no room: %v", err)
	}

	full.Store(false)
	p.must(p.SetMode(t.Context(), mirror.Offline))
	p.missing(byTag("other"))
}
