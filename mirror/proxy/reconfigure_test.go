package proxy_test

import (
	"context"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

func TestReconfigureKeepsTransfers(t *testing.T) {
	p := start(t, proxy.Options{})
	d := p.origin.image(app, []string{"layer"}, "v1").Digest
	p.get(byTag("v1"), d)
	release := make(chan bool)
	p.origin.body = func(_ context.Context, content string) (io.ReadCloser, int64) {
		return io.NopCloser(io.MultiReader(readerOf(content[:1]), waiting{release}, readerOf(content[1:]))), int64(len(content))
	}
	blob, err := p.Blob(t.Context(), app, digest.FromString("layer"))
	p.must(err)
	defer blob.Close()

	other := newOrigin(t)
	after := other.image(app, []string{"other"}, "v1").Digest
	p.Reconfigure(mirror.Names{Default: "other.test"}, other)
	p.get(byTag("v1"), after)
	if n := p.origin.count("resolve"); n != 0 {
		t.Errorf("the previous upstream got %d requests", n)
	}
	if repo, err := p.Names().Repo("app", ""); err != nil || repo.Host != "other.test" {
		t.Errorf("a bare name is %v, %v", repo, err)
	}
	close(release)
	content, err := io.ReadAll(blob)
	if err != nil || string(content) != "layer" {
		t.Errorf("the running transfer: %q, %v", content, err)
	}
}

// TestReconfigureForgetsAbsentContent checks that negative answers of the old upstream are forgotten.
func TestReconfigureForgetsAbsentContent(t *testing.T) {
	p := start(t, proxy.Options{})
	p.missing(byTag("v1"))
	other := newOrigin(t)
	d := other.image(app, nil, "v1").Digest
	p.Reconfigure(mirror.Names{}, other)
	p.get(byTag("v1"), d)
}

// waiting reads nothing until it is released.
type waiting struct{ release chan bool }

func (w waiting) Read([]byte) (int, error) { <-w.release; return 0, io.EOF }
