package proxy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// origin is a [mirror.Upstream] in memory that counts its calls, and whose answers the test can replace.
type origin struct {
	t *testing.T

	mu        sync.Mutex
	manifests map[digest.Digest]mirror.Manifest
	tags      map[string]digest.Digest // by repository:tag
	blobs     map[digest.Digest]string
	referrers map[digest.Digest][]v1.Descriptor
	calls     map[string]int
	// before is asked before every answer; its error is the answer.
	before func(ctx context.Context, call string) error
	// body replaces the body and the size of a blob.
	body func(ctx context.Context, content string) (io.ReadCloser, int64)
	// part replaces the body of a part of a blob, and the size of the complete blob.
	part func(ctx context.Context, part string) (io.ReadCloser, int64)
}

func newOrigin(t *testing.T) *origin {
	return &origin{
		t: t, manifests: make(map[digest.Digest]mirror.Manifest), tags: make(map[string]digest.Digest),
		blobs: make(map[digest.Digest]string), referrers: make(map[digest.Digest][]v1.Descriptor), calls: make(map[string]int),
	}
}

var errDown = mirror.Errorf(mirror.CodeUnavailable, "the registry is down")

func down(context.Context, string) error { return errDown }

// set replaces the answers.
func (o *origin) set(before func(context.Context, string) error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.before = before
}

// sends replaces the bodies of blobs.
func (o *origin) sends(body func(ctx context.Context, content string) (io.ReadCloser, int64)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.body = body
}

// hangs has a call wait until its context ends.
func hangs(call string) func(context.Context, string) error {
	return func(ctx context.Context, asked string) error {
		if !strings.HasPrefix(asked, call) {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}
}

func (o *origin) call(ctx context.Context, what ...string) error {
	call := strings.Join(what, " ")
	o.mu.Lock()
	o.calls[call]++
	before := o.before
	o.mu.Unlock()
	if before != nil {
		return before(ctx, call)
	}
	return nil
}

// count is how many calls there were that begin like this.
func (o *origin) count(call string) (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for asked, times := range o.calls {
		if strings.HasPrefix(asked, call) {
			n += times
		}
	}
	return n
}

// once fails the test if any call was made more than once.
func (o *origin) once() {
	o.t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for call, times := range o.calls {
		if times > 1 {
			o.t.Errorf("%d times: %s", times, call)
		}
	}
}

func (o *origin) manifest(ref mirror.Ref) (mirror.Manifest, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if ref.Digest == "" {
		ref.Digest = o.tags[ref.String()]
	}
	man, ok := o.manifests[ref.Digest]
	if !ok {
		return man, mirror.Errorf(mirror.CodeManifestUnknown, "the registry does not have %s", ref)
	}
	return man, nil
}

func (o *origin) Resolve(ctx context.Context, ref mirror.Ref) (v1.Descriptor, error) {
	if err := o.call(ctx, "resolve", ref.String()); err != nil {
		return v1.Descriptor{}, err
	}
	man, err := o.manifest(ref)
	return v1.Descriptor{MediaType: man.MediaType, Digest: man.Digest, Size: int64(len(man.Bytes))}, err
}

func (o *origin) Manifest(ctx context.Context, ref mirror.Ref) (mirror.Manifest, error) {
	if err := o.call(ctx, "manifest", ref.String()); err != nil {
		return mirror.Manifest{}, err
	}
	return o.manifest(ref)
}

func (o *origin) StatBlob(ctx context.Context, repo mirror.Repo, d digest.Digest) (int64, error) {
	if err := o.call(ctx, "stat", repo.String(), d.String()); err != nil {
		return 0, err
	}
	content, err := o.blob(d)
	return int64(len(content)), err
}

func (o *origin) blob(d digest.Digest) (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	content, ok := o.blobs[d]
	if !ok {
		return "", mirror.Errorf(mirror.CodeBlobUnknown, "the registry does not have %s", d)
	}
	return content, nil
}

func (o *origin) Tags(ctx context.Context, repo mirror.Repo) (tags []string, err error) {
	if err := o.call(ctx, "tags", repo.String()); err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for ref := range maps.Keys(o.tags) {
		if tag, ok := strings.CutPrefix(ref, repo.String()+":"); ok {
			tags = append(tags, tag)
		}
	}
	slices.Sort(tags)
	if tags == nil {
		return nil, mirror.Errorf(mirror.CodeNameUnknown, "the registry does not have %s", repo)
	}
	return tags, nil
}

func (o *origin) Referrers(ctx context.Context, repo mirror.Repo, subject digest.Digest) ([]v1.Descriptor, error) {
	if err := o.call(ctx, "referrers", repo.String(), subject.String()); err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.referrers[subject], nil
}

func (o *origin) Blob(ctx context.Context, repo mirror.Repo, d digest.Digest) (io.ReadCloser, int64, error) {
	if err := o.call(ctx, "blob", repo.String(), d.String()); err != nil {
		return nil, 0, err
	}
	content, err := o.blob(d)
	if err != nil {
		return nil, 0, err
	}
	o.mu.Lock()
	send := o.body
	o.mu.Unlock()
	if send != nil {
		body, size := send(ctx, content)
		return body, size, nil
	}
	return io.NopCloser(strings.NewReader(content)), int64(len(content)), nil
}

func (o *origin) BlobPart(ctx context.Context, repo mirror.Repo, d digest.Digest, off, n int64) (io.ReadCloser, int64, error) {
	if err := o.call(ctx, "part", repo.String(), d.String()); err != nil {
		return nil, 0, err
	}
	content, err := o.blob(d)
	if err != nil {
		return nil, 0, err
	}
	part := content[off : off+n]
	o.mu.Lock()
	send := o.part
	o.mu.Unlock()
	if send != nil {
		body, size := send(ctx, part)
		return body, size, nil
	}
	return io.NopCloser(strings.NewReader(part)), int64(len(content)), nil
}

func (o *origin) Status() []mirror.UpstreamStatus {
	return []mirror.UpstreamStatus{{Host: "origin.test"}}
}

// put makes content a blob of the registry.
func (o *origin) put(content string) v1.Descriptor {
	o.mu.Lock()
	defer o.mu.Unlock()
	d := digest.FromString(content)
	o.blobs[d] = content
	return v1.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: int64(len(content))}
}

// image makes an image with these layers, under tags of repo if there are any.
func (o *origin) image(repo mirror.Repo, layers []string, tags ...string) v1.Descriptor {
	doc := v1.Manifest{MediaType: v1.MediaTypeImageManifest, Config: o.put("{}")}
	for _, layer := range layers {
		doc.Layers = append(doc.Layers, o.put(layer))
	}
	doc.SchemaVersion = 2
	return o.add(repo, v1.MediaTypeImageManifest, doc, tags...)
}

// index makes an index of these manifests.
func (o *origin) index(repo mirror.Repo, manifests []v1.Descriptor, tags ...string) v1.Descriptor {
	doc := v1.Index{MediaType: v1.MediaTypeImageIndex, Manifests: manifests}
	doc.SchemaVersion = 2
	return o.add(repo, v1.MediaTypeImageIndex, doc, tags...)
}

// about makes an artifact that refers to subject; listed says whether the referrers API knows.
func (o *origin) about(repo mirror.Repo, subject v1.Descriptor, content string, listed bool, tags ...string) v1.Descriptor {
	doc := v1.Manifest{MediaType: v1.MediaTypeImageManifest, ArtifactType: "test/about", Config: o.put("{}")}
	doc.SchemaVersion, doc.Layers = 2, []v1.Descriptor{o.put(content)}
	if listed {
		doc.Subject = &subject
	}
	desc := o.add(repo, v1.MediaTypeImageManifest, doc, tags...)
	if listed {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.referrers[subject.Digest] = append(o.referrers[subject.Digest], desc)
	}
	return desc
}

func (o *origin) add(repo mirror.Repo, mediaType string, doc any, tags ...string) v1.Descriptor {
	data, err := json.Marshal(doc)
	if err != nil {
		o.t.Fatal(err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	man := mirror.Manifest{MediaType: mediaType, Digest: digest.FromBytes(data), Bytes: bytes.Clone(data), Origin: mirror.Mirrored}
	o.manifests[man.Digest] = man
	for _, tag := range tags {
		o.tags[mirror.Ref{Repo: repo, Tag: tag}.String()] = man.Digest
	}
	return v1.Descriptor{MediaType: mediaType, Digest: man.Digest, Size: int64(len(data))}
}

// on says which platform a manifest is for.
func on(os, arch string, desc v1.Descriptor) v1.Descriptor {
	desc.Platform = &v1.Platform{OS: os, Architecture: arch}
	return desc
}
