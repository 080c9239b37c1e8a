package proxy_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/cache"
	"airmirror/cache/backend"
	"airmirror/cache/cachetest"
	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

var app = mirror.Repo{Host: "origin.test", Path: "org/app"}

// place is a mirror of a registry, over a folder.
type place struct {
	*proxy.Proxy
	t      *testing.T
	folder string
	origin *origin
	opts   proxy.Options
	wrap   func(mirror.Store) mirror.Store
	store  mirror.Store
	clock  backend.Clock
	stop   func()
}

// inTime runs a test with a clock of its own, which stands still while anything happens.
func inTime(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

func start(t *testing.T, opts proxy.Options) *place {
	t.Helper()
	return startOver(t, opts, nil)
}

// startOver starts a mirror over the store that wrap makes of the real one.
func startOver(t *testing.T, opts proxy.Options, wrap func(mirror.Store) mirror.Store) *place {
	t.Helper()
	p := &place{t: t, folder: t.TempDir(), origin: newOrigin(t), opts: opts, wrap: wrap, clock: &cachetest.Bubble{}}
	p.start()
	t.Cleanup(func() { p.stop() })
	return p
}

func (p *place) start() {
	p.t.Helper()
	held, err := cache.Open(cache.Config{Folder: p.folder, Options: cache.Options{Clock: p.clock}})
	p.must(err)
	store := mirror.Store(held)
	if p.wrap != nil {
		store = p.wrap(store)
	}
	p.store = store
	p.Proxy, err = proxy.New(store, p.origin, p.opts)
	p.must(err)
	p.stop = func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel() // ends what still waits
		_ = p.Close(ended)
		p.must(held.Close())
	}
}

// restart closes the proxy and opens another one, as a new process does.
func (p *place) restart() {
	p.t.Helper()
	p.stop()
	p.start()
}

func (p *place) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func byTag(tag string) mirror.Ref                   { return mirror.Ref{Repo: app, Tag: tag} }
func byDigest(d digest.Digest) mirror.Ref           { return mirror.Ref{Repo: app, Digest: d} }
func ofTag(repo mirror.Repo, tag string) mirror.Ref { return mirror.Ref{Repo: repo, Tag: tag} }

// get pulls a manifest and fails the test unless it is the one with digest d.
func (p *place) get(ref mirror.Ref, d digest.Digest) mirror.Answer {
	p.t.Helper()
	answer, err := p.Manifest(p.t.Context(), ref)
	p.must(err)
	if answer.Digest != d {
		p.t.Fatalf("%s is %s, want %s", ref, answer.Digest, d)
	}
	return answer
}

// missing fails the test unless ref is missed, and returns why.
func (p *place) missing(ref mirror.Ref) error {
	p.t.Helper()
	_, err := p.Manifest(p.t.Context(), ref)
	if mirror.CodeOf(err) != mirror.CodeManifestUnknown {
		p.t.Fatalf("%s: %v, want it to be missed", ref, err)
	}
	return err
}

// read pulls a blob.
func (p *place) read(repo mirror.Repo, d digest.Digest) (string, error) {
	blob, err := p.Blob(p.t.Context(), repo, d)
	if err != nil {
		return "", err
	}
	defer blob.Close()
	content, err := io.ReadAll(blob)
	return string(content), err
}

// pull reads a blob and fails the test unless it is that content.
func (p *place) pull(content string) {
	p.t.Helper()
	got, err := p.read(app, digest.FromString(content))
	p.must(err)
	if got != content {
		p.t.Fatalf("got %q, want %q", got, content)
	}
}

// images returns the stored images by tag and platform.
func (p *place) images() map[string]mirror.Image {
	p.t.Helper()
	list := make(map[string]mirror.Image)
	for image, err := range p.Images(p.t.Context(), mirror.ImageMatch{}) {
		p.must(err)
		list[image.Tag+" "+image.Platform] = image
	}
	return list
}

// complete fails the test unless all images of a tag, or none, are complete.
func (p *place) complete(tag string, want bool) {
	p.t.Helper()
	found := false
	for _, image := range p.images() {
		if image.Tag == tag {
			found = true
			if image.Complete != want {
				p.t.Errorf("%s %s: complete is %t, want %t", tag, image.Platform, image.Complete, want)
			}
		}
	}
	if !found {
		p.t.Errorf("%s is not listed", tag)
	}
}

// wants are the references that are wanted, the most wanted first.
func (p *place) wants() (refs []string) {
	for _, want := range p.Wants() {
		refs = append(refs, want.Ref)
	}
	return refs
}

// push pushes a blob.
func (p *place) push(repo mirror.Repo, content string) {
	p.t.Helper()
	up, err := p.StartUpload(p.t.Context(), repo, digest.SHA256)
	p.must(err)
	_, err = up.Append(readerOf(content))
	p.must(err)
	p.must(up.Commit(p.t.Context(), digest.FromString(content)))
}

// tag pushes an image with a tag. It has the config {}, which must be stored, and no layers.
func (p *place) tag(tag string) digest.Digest {
	p.t.Helper()
	config := digest.FromString("{}")
	man, _, err := p.PutManifest(p.t.Context(), mirror.Put{Repo: app, MediaType: v1.MediaTypeImageManifest, Tags: []string{tag}, Bytes: []byte(
		`{"schemaVersion":2,"config":{"mediaType":"application/octet-stream","digest":"` + config.String() + `","size":2},"layers":[],"annotations":{"tag":"` + tag + `"}}`)})
	p.must(err)
	return man.Digest
}

// later lets a bubble's clock run.
func later(d time.Duration) { <-time.After(d) }
