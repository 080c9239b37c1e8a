package proxy_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

const (
	typeForeign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	typeFuture  = "application/vnd.tomorrow.v9+json"
	typeLayer   = v1.MediaTypeImageLayerGzip
)

// typed is a descriptor of another media type.
func typed(mediaType string, desc v1.Descriptor) v1.Descriptor {
	desc.MediaType = mediaType
	return desc
}

// nowhere is a descriptor of content that the upstream does not have.
func nowhere(mediaType, content string) v1.Descriptor {
	return v1.Descriptor{MediaType: mediaType, Digest: digest.FromString(content), Size: int64(len(content))}
}

// ownedCase is a manifest that names content it does not need.
type ownedCase struct {
	name     string
	put      func(o *origin) v1.Descriptor // under tag v1
	blobs    []string                      // that are fetched
	complete bool
	failure  string // part of the error of a fetch; "" for success
	ignore   bool   // nondistributable layers do not count
}

func imageWith(o *origin, layers ...v1.Descriptor) v1.Descriptor {
	return o.add(app, v1.MediaTypeImageManifest, map[string]any{"schemaVersion": 2, "config": typed(v1.MediaTypeImageConfig, o.put("{}")), "layers": layers}, "v1")
}

func indexWith(o *origin, entries ...v1.Descriptor) v1.Descriptor {
	return o.add(app, v1.MediaTypeImageIndex, map[string]any{"schemaVersion": 2, "manifests": entries}, "v1")
}

func futureWith(o *origin, parts ...any) v1.Descriptor {
	return o.add(app, typeFuture, map[string]any{"parts": parts}, "v1")
}

var ownedCases = []ownedCase{
	{"index of blobs", func(o *origin) v1.Descriptor {
		return indexWith(o, typed(typeLayer, o.put("one")), typed("application/vnd.buildkit.cacheconfig.v0", o.put("two")))
	}, []string{"one", "two"}, true, "", false},
	{"index of blobs, one of them lost upstream", func(o *origin) v1.Descriptor {
		return indexWith(o, typed(typeLayer, o.put("one")), nowhere(typeLayer, "lost"))
	}, []string{"one"}, false, digest.FromString("lost").String(), false},
	{"index of a blob that is called a manifest", func(o *origin) v1.Descriptor {
		return indexWith(o, typed(v1.MediaTypeImageManifest, o.put("one")))
	}, []string{"one"}, true, "", false},
	{"index of a manifest that is called a layer", func(o *origin) v1.Descriptor {
		return indexWith(o, typed(typeLayer, o.image(app, []string{"one"})))
	}, []string{"one", "{}"}, true, "", false},
	{"foreign layer", func(o *origin) v1.Descriptor {
		return imageWith(o, typed(typeForeign, o.put("one")), typed(typeLayer, o.put("two")))
	}, []string{"one", "two", "{}"}, true, "", false},
	{"foreign layer that the upstream has not", func(o *origin) v1.Descriptor {
		return imageWith(o, nowhere(typeForeign, "lost"), typed(typeLayer, o.put("two")))
	}, []string{"two", "{}"}, false, digest.FromString("lost").String(), false},
	{"the same, and it does not count", func(o *origin) v1.Descriptor {
		return imageWith(o, nowhere(typeForeign, "lost"), typed(typeLayer, o.put("two")))
	}, []string{"two", "{}"}, true, "", true},
	{"foreign layer that does not count", func(o *origin) v1.Descriptor {
		return imageWith(o, typed(typeForeign, o.put("one")))
	}, []string{"one", "{}"}, true, "", true},
	{"unknown type", func(o *origin) v1.Descriptor {
		return futureWith(o, typed(typeLayer, o.put("one")), map[string]any{"blobSum": o.put("two").Digest}, o.image(app, []string{"three"}))
	}, []string{"one", "two", "three", "{}"}, true, "", false},
	{"unknown type that names what is nowhere", func(o *origin) v1.Descriptor {
		return futureWith(o, typed(typeLayer, o.put("one")), nowhere(typeLayer, "a blob"), nowhere(v1.MediaTypeImageManifest, "a manifest"))
	}, []string{"one"}, false, "", false},
	{"unknown type that is wrong about sizes", func(o *origin) v1.Descriptor {
		wrong := o.put("one")
		wrong.Size = 7000
		return futureWith(o, typed(typeLayer, wrong))
	}, []string{"one"}, true, "", false},
}

// TestFetchIncludesOwnedContent checks that a fetch includes everything that the manifests name, in any role.
func TestFetchIncludesOwnedContent(t *testing.T) {
	for _, tt := range ownedCases {
		t.Run(tt.name, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				p := start(t, proxy.Options{IgnoreNondistributable: tt.ignore, TagTTL: func(mirror.Ref) time.Duration { return mirror.Forever }})
				root := tt.put(p.origin)
				_, err := p.Fetch(t.Context(), byTag("v1"), mirror.FetchOptions{})
				if (err != nil) != (tt.failure != "") || err != nil && !strings.Contains(err.Error(), tt.failure) {
					t.Errorf("fetch: %v, want %q", err, tt.failure)
				}
				p.complete("v1", tt.complete)
				p.must(p.SetMode(t.Context(), mirror.Offline))
				p.get(byDigest(root.Digest), root.Digest)
				for _, content := range tt.blobs {
					p.pull(content)
				}
			})
		})
	}
}

// TestFetchFailsForRefusedOwnedContent checks that content which an upstream refuses is a failure, even if a manifest
// of an unknown type names it.
func TestFetchFailsForRefusedOwnedContent(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{})
		futureWith(p.origin, typed(typeLayer, p.origin.put("one")))
		p.origin.set(func(_ context.Context, call string) error {
			if strings.HasPrefix(call, "blob") {
				return errDown
			}
			return nil
		})
		_, err := p.Fetch(t.Context(), byTag("v1"), mirror.FetchOptions{})
		if err == nil || !strings.Contains(err.Error(), digest.FromString("one").String()) {
			t.Errorf("fetch: %v", err)
		}
	})
}

// TestPulledBlobOfAnIndexStartsBackfill checks that pulling a blob that an index names completes the index.
func TestPulledBlobOfAnIndexStartsBackfill(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, completing(true, false))
		index := indexWith(p.origin, typed(typeLayer, p.origin.put("one")), typed(typeLayer, p.origin.put("two")))
		p.get(byTag("v1"), index.Digest)
		p.complete("v1", false)
		p.pull("one")
		later(time.Second)
		synctest.Wait()
		p.complete("v1", true)
	})
}
