package transfer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/cache"
	"airmirror/cache/backend"
	"airmirror/cache/cachetest"
	"airmirror/mirror"
	"airmirror/mirror/proxy"
	"airmirror/sync/bundle"
	"airmirror/sync/progress"
	"airmirror/sync/transfer"
)

// site is a mirror without upstreams over a folder, with a Service.
type site struct {
	*proxy.Proxy
	*transfer.Service
	t      testing.TB
	folder string
	opts   transfer.Options
	clock  backend.Clock
	store  *cache.Store
	stop   func()
	// progress is that of the last import.
	progress *progress.Reporter
}

func newSite(t testing.TB, opts transfer.Options) *site {
	t.Helper()
	s := &site{t: t, folder: t.TempDir(), opts: opts, clock: &cachetest.Bubble{}}
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

func (s *site) start() {
	s.t.Helper()
	var err error
	s.store, err = cache.Open(cache.Config{Folder: s.folder, Options: cache.Options{Clock: s.clock}})
	s.must(err)
	s.Proxy, err = proxy.New(s.store, nil, proxy.Options{Offline: true})
	s.must(err)
	s.Service = transfer.New(s.Proxy, s.store, s.opts)
	s.must(s.Resume(context.Background()))
	s.stop = func() {
		s.must(s.Close(context.Background()))
		s.must(s.store.Close())
	}
}

// restart closes the mirror and opens it again, as a new process does.
func (s *site) restart() {
	s.t.Helper()
	s.stop()
	s.start()
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// content generates n bytes from a seed.
func content(seed string, size int) string {
	var key [32]byte
	copy(key[:], seed)
	data := make([]byte, size)
	_, _ = rand.NewChaCha8(key).Read(data)
	return string(data)
}

var (
	app  = mirror.Repo{Host: "registry.example", Path: "org/app"}
	base = mirror.Repo{Host: mirror.DockerHub, Path: "library/alpine"}
)

// blob stores a blob for repo.
func (s *site) blob(repo mirror.Repo, data string) v1.Descriptor {
	s.t.Helper()
	desc := v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: digest.FromString(data), Size: int64(len(data))}
	in, err := s.store.Receive(context.Background(), desc.Digest)
	s.must(err)
	_, err = io.WriteString(in, data)
	s.must(err)
	s.must(in.Commit(context.Background(), repo))
	return desc
}

func config(platform string) string {
	os, arch, _ := strings.Cut(platform, "/")
	return fmt.Sprintf(`{"os":%q,"architecture":%q,"rootfs":{"type":"layers","diff_ids":[]}}`, os, arch)
}

// image stores an image with these layers.
func (s *site) image(repo mirror.Repo, origin mirror.Origin, platform string, layers []string, tags ...string) v1.Descriptor {
	s.t.Helper()
	man := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, Config: s.blob(repo, config(platform))}
	man.Config.MediaType = v1.MediaTypeImageConfig
	for _, layer := range layers {
		man.Layers = append(man.Layers, s.blob(repo, layer))
	}
	desc := s.put(repo, origin, man.MediaType, man, tags...)
	os, arch, _ := strings.Cut(platform, "/")
	desc.Platform = &v1.Platform{OS: os, Architecture: arch}
	return desc
}

// put stores a manifest.
func (s *site) put(repo mirror.Repo, origin mirror.Origin, mediaType string, doc any, tags ...string) v1.Descriptor {
	s.t.Helper()
	data, err := json.Marshal(doc)
	s.must(err)
	m := mirror.Manifest{MediaType: mediaType, Digest: digest.FromBytes(data), Bytes: data, Origin: origin}
	s.must(s.store.PutManifest(context.Background(), repo, m, tags...))
	return v1.Descriptor{MediaType: mediaType, Digest: m.Digest, Size: int64(len(data))}
}

func (s *site) index(repo mirror.Repo, origin mirror.Origin, children []v1.Descriptor, tags ...string) v1.Descriptor {
	s.t.Helper()
	return s.put(repo, origin, v1.MediaTypeImageIndex, v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: children,
	}, tags...)
}

// refer stores an artifact that refers to subject.
func (s *site) refer(repo mirror.Repo, subject v1.Descriptor, data string, tags ...string) v1.Descriptor {
	s.t.Helper()
	subject.Platform = nil
	man := v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, ArtifactType: "application/example",
		Config: s.blob(repo, "{}"), Layers: []v1.Descriptor{s.blob(repo, data)}, Subject: &subject,
	}
	return s.put(repo, mirror.Pushed, man.MediaType, man, tags...)
}

// export exports a bundle and records the export.
func (s *site) export(req transfer.ExportRequest, receipt ...[]byte) (data []byte, doc *bundle.Document) {
	s.t.Helper()
	data, doc, err := s.tryExport(req, receipt...)
	s.must(err)
	s.must(s.RecordExport(s.t.Context(), doc))
	return data, doc
}

func (s *site) tryExport(req transfer.ExportRequest, receipt ...[]byte) (data []byte, doc *bundle.Document, err error) {
	s.t.Helper()
	var out bytes.Buffer
	var have io.Reader
	if len(receipt) > 0 {
		req.Have, have = true, bytes.NewReader(receipt[0])
	}
	doc, err = s.Export(s.t.Context(), req, have, &out)
	return out.Bytes(), doc, err
}

// take imports an archive.
func (s *site) take(data []byte, req transfer.ImportRequest) (transfer.Summary, []transfer.Event) {
	s.t.Helper()
	summary, events, err := s.tryTake(bytes.NewReader(data), req)
	s.must(err)
	return summary, events
}

func (s *site) tryTake(r io.Reader, req transfer.ImportRequest) (summary transfer.Summary, events []transfer.Event, err error) {
	s.t.Helper()
	s.progress = new(progress.Reporter)
	summary, err = s.Import(s.t.Context(), req, struct{ io.Reader }{r}, s.progress, func(e transfer.Event) { events = append(events, e) })
	return summary, events, err
}

// tag returns the digest of a tag, or "" if there is none.
func (s *site) tag(repo mirror.Repo, tag string) digest.Digest {
	s.t.Helper()
	t, err := s.store.Tag(s.t.Context(), repo, tag)
	if err != nil && mirror.CodeOf(err) != mirror.CodeManifestUnknown {
		s.t.Fatal(err)
	}
	return t.Digest
}

// has fails the test unless repo has the manifest d and everything that it needs. Indexes may be sparse.
func (s *site) has(repo mirror.Repo, d digest.Digest) {
	s.t.Helper()
	man, err := s.store.Manifest(s.t.Context(), repo, d)
	s.must(err)
	_, refs, err := mirror.ParseManifest(man.MediaType, man.Bytes)
	s.must(err)
	for _, desc := range refs.Blobs {
		blob, err := s.store.Blob(s.t.Context(), repo, desc.Digest)
		s.must(err)
		got, err := digest.FromReader(blob)
		blob.Close()
		if err != nil || got != desc.Digest {
			s.t.Fatalf("blob %s reads as %s: %v", desc.Digest, got, err)
		}
	}
	children := 0
	for _, desc := range refs.Manifests {
		if _, err := s.store.Manifest(s.t.Context(), repo, desc.Digest); err == nil {
			s.has(repo, desc.Digest)
			children++
		}
	}
	if children == 0 && len(refs.Manifests) > 0 {
		s.t.Fatalf("index %s has none of its manifests", d)
	}
}

// digests returns the digests of all stored files.
func (s *site) digests() (list []digest.Digest) {
	s.t.Helper()
	s.must(s.store.Survey(s.t.Context(), func(v mirror.Survey) error {
		for blob, err := range v.Blobs() {
			if err != nil {
				return err
			}
			list = append(list, blob.Digest)
		}
		return nil
	}))
	return list
}

// tags returns all tags with their digests.
func (s *site) tags() (list []string) {
	s.t.Helper()
	s.must(s.store.Survey(s.t.Context(), func(v mirror.Survey) error {
		for tag, err := range v.Tags() {
			if err != nil {
				return err
			}
			list = append(list, fmt.Sprintf("%s:%s %s %s", v.Repos()[tag.Repo].Repo, tag.Name, tag.Digest, tag.Origin))
		}
		return nil
	}))
	return list
}

func (s *site) receipt() []byte {
	s.t.Helper()
	var out bytes.Buffer
	s.must(s.WriteReceipt(s.t.Context(), &out))
	return out.Bytes()
}

// collect deletes everything that is not needed and not protected, however recent it is.
func (s *site) collect() {
	s.t.Helper()
	var loose []digest.Digest
	s.must(s.store.Survey(s.t.Context(), func(v mirror.Survey) error {
		for blob, err := range v.Blobs() {
			if err == nil && blob.Users == 0 {
				loose = append(loose, blob.Digest)
			}
		}
		return nil
	}))
	s.must(s.store.Sweep(s.t.Context(), slices.Values([]mirror.DeleteRequest{{Blobs: loose, Before: time.Now().Add(time.Hour)}}), nil))
	for orphan, err := range s.store.Orphans(s.t.Context()) {
		s.must(err)
		_, err := s.store.DeleteOrphan(s.t.Context(), orphan.Digest, time.Now().Add(time.Hour))
		s.must(err)
	}
}

// ignore ignores the events of an export or import.
func ignore(transfer.Event) {}

func of(events []transfer.Event, kind string) (list []transfer.Event) {
	for _, e := range events {
		if e.Kind == kind {
			list = append(list, e)
		}
	}
	return list
}

func wantCode(t *testing.T, err error, code mirror.Code, parts ...string) {
	t.Helper()
	if mirror.CodeOf(err) != code {
		t.Fatalf("error %v has code %s, want %s", err, mirror.CodeOf(err), code)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not contain %q", err, part)
		}
	}
}
