package transfer_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
	"airmirror/sync/bundle"
	"airmirror/sync/progress"
	"airmirror/sync/transfer"
)

func names(doc *bundle.Document) (list []string) {
	for _, image := range doc.Images {
		name := image.Repository + ":" + image.Tag
		if image.Tag == "" {
			name = image.Repository + "@" + image.Digest.Encoded()[:4]
		}
		list = append(list, name+" "+image.Why)
	}
	return list
}

func TestExportNamedImages(t *testing.T) {
	s := newSite(t, transfer.Options{Host: "staging", Tool: "test"})
	shared := content("shared", 5000)
	amd := s.image(base, mirror.Mirrored, "linux/amd64", []string{shared, "a"})
	arm := s.image(base, mirror.Mirrored, "linux/arm64", []string{"b"})
	index := s.index(base, mirror.Mirrored, []v1.Descriptor{amd, arm}, "3")
	one := s.image(app, mirror.Pushed, "linux/amd64", []string{shared}, "v1", "v2")

	for name, tt := range map[string]struct {
		req   transfer.ExportRequest
		names []string
		held  []digest.Digest
		not   []digest.Digest
	}{
		"a name": {transfer.ExportRequest{Images: []string{"alpine:3"}}, []string{"docker.io/library/alpine:3 named"},
			[]digest.Digest{index.Digest, amd.Digest, arm.Digest}, []digest.Digest{one.Digest}},
		"a platform": {transfer.ExportRequest{Images: []string{"alpine:3"}, Platforms: []string{"linux/arm64"}}, []string{"docker.io/library/alpine:3 named"},
			[]digest.Digest{index.Digest, arm.Digest}, []digest.Digest{amd.Digest, digest.FromString(shared)}},
		"all": {transfer.ExportRequest{All: true},
			[]string{"docker.io/library/alpine:3 all", "registry.example/org/app:v1 all", "registry.example/org/app:v2 all"},
			[]digest.Digest{index.Digest, amd.Digest, arm.Digest, one.Digest}, nil},
		"a name and all": {transfer.ExportRequest{All: true, Images: []string{"registry.example/org/app:v2"}},
			[]string{"docker.io/library/alpine:3 all", "registry.example/org/app:v1 all", "registry.example/org/app:v2 named"}, nil, nil},
		"wants": {transfer.ExportRequest{Wants: []mirror.Want{
			{Ref: "docker.io/alpine@" + arm.Digest.String()}, {Ref: "registry.example/org/app@" + digest.FromString(shared).String(), Blob: true},
			{Ref: "registry.example/org/app:nobody-has-it"}, {Ref: "registry.example/org/app@" + digest.FromString("?").String(), Blob: true}}},
			[]string{"docker.io/library/alpine@" + arm.Digest.Encoded()[:4] + " wanted", "registry.example/org/app@" + one.Digest.Encoded()[:4] + " wanted"},
			[]digest.Digest{arm.Digest, one.Digest}, []digest.Digest{index.Digest, amd.Digest}},
	} {
		t.Run(name, func(t *testing.T) {
			data, doc, err := s.tryExport(tt.req)
			s.must(err)
			if got := names(doc); !slices.Equal(got, tt.names) {
				t.Errorf("images %q, want %q", got, tt.names)
			}
			inside := newSite(t, transfer.Options{})
			inside.take(data, transfer.ImportRequest{})
			held := inside.digests()
			for _, d := range tt.held {
				if !slices.Contains(held, d) {
					t.Errorf("%s did not come", d)
				}
			}
			for _, d := range tt.not {
				if slices.Contains(held, d) {
					t.Errorf("%s was exported as well", d)
				}
			}
			for _, image := range doc.Images {
				repo, err := mirror.ParseRepo(image.Repository)
				inside.must(err)
				inside.has(repo, image.Digest)
				if image.Tag != "" && inside.tag(repo, image.Tag) != image.Digest {
					t.Errorf("%s:%s is %s", repo, image.Tag, inside.tag(repo, image.Tag))
				}
			}
		})
	}
}

func TestExportCompleteImagesOnly(t *testing.T) {
	s := newSite(t, transfer.Options{})
	whole := s.image(app, mirror.Mirrored, "linux/amd64", []string{"whole"}, "whole")
	broken := v1.Manifest{MediaType: v1.MediaTypeImageManifest, Config: s.blob(app, "{}"), Layers: []v1.Descriptor{
		{MediaType: v1.MediaTypeImageLayer, Digest: digest.FromString("nowhere"), Size: 7}}}
	broken.SchemaVersion = 2
	half := s.put(app, mirror.Mirrored, broken.MediaType, broken, "half")
	half.Platform = &v1.Platform{OS: "linux", Architecture: "arm64"}
	gone := v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromString("gone"), Size: 9, Platform: &v1.Platform{OS: "linux", Architecture: "s390x"}}
	s.index(app, mirror.Mirrored, []v1.Descriptor{whole, half}, "index")
	s.index(app, mirror.Mirrored, []v1.Descriptor{whole, gone}, "sparse")

	for name, parts := range map[string][]string{
		"half":    {"registry.example/org/app:half: 7 B of blobs are missing", digest.FromString("nowhere").String()},
		"index":   {"linux/arm64: 7 B of blobs are missing"},
		"nothing": {"registry.example/org/app:nothing is not stored"},
	} {
		_, _, err := s.tryExport(transfer.ExportRequest{Images: []string{"registry.example/org/app:whole", "registry.example/org/app:" + name}})
		wantCode(t, err, mirror.CodeManifestUnknown, parts...)
	}
	_, _, err := s.tryExport(transfer.ExportRequest{Images: []string{"registry.example/org/app:sparse"}, Platforms: []string{"linux/s390x"}})
	wantCode(t, err, mirror.CodeManifestUnknown, "linux/s390x: is not stored")
	_, doc := s.export(transfer.ExportRequest{Images: []string{"registry.example/org/app:sparse"}})
	if p := doc.Images[0].Platforms; !slices.Equal(p, []string{"linux/amd64"}) {
		t.Errorf("platforms %q", p)
	}
	var left []string
	summary, err := s.Plan(t.Context(), transfer.ExportRequest{All: true}, nil, new(progress.Reporter), func(e transfer.Event) {
		if e.Kind == transfer.KindSkipped {
			left = append(left, e.Name+" "+e.Reason)
		}
	})
	s.must(err)
	if summary.Images != 3 || summary.Skipped != 1 || len(left) != 1 || !strings.HasPrefix(left[0], "registry.example/org/app:half 7 B of blobs are missing") {
		t.Errorf("%+v, left %q", summary, left)
	}
}

// TestUnlinkedBlobIsNotExported exports a mirrored manifest that names a blob which is stored for another repository
// only.
func TestUnlinkedBlobIsNotExported(t *testing.T) {
	s := newSite(t, transfer.Options{})
	doc := v1.Manifest{MediaType: v1.MediaTypeImageManifest, Config: s.blob(app, "{}"), Layers: []v1.Descriptor{s.blob(base, "private")}}
	doc.SchemaVersion = 2
	s.put(app, mirror.Mirrored, doc.MediaType, doc, "v1")
	_, _, err := s.tryExport(transfer.ExportRequest{Images: []string{"registry.example/org/app:v1"}})
	wantCode(t, err, mirror.CodeManifestUnknown, "7 B of blobs are missing", digest.FromString("private").String(), "mirror sync")
	s.blob(app, "private")
	s.export(transfer.ExportRequest{Images: []string{"registry.example/org/app:v1"}})
}

func TestExportReferrers(t *testing.T) {
	s := newSite(t, transfer.Options{})
	amd := s.image(app, mirror.Pushed, "linux/amd64", []string{"a"})
	index := s.index(app, mirror.Pushed, []v1.Descriptor{amd}, "v1")
	sbom := s.refer(app, amd, "sbom of amd64")
	signature := s.refer(app, sbom, "signature of the sbom")
	cosign := s.image(app, mirror.Pushed, "linux/amd64", []string{"cosign"}, strings.Replace(index.Digest.String(), ":", "-", 1)+".sig")
	about := s.image(app, mirror.Pushed, "linux/amd64", []string{"att"}, strings.Replace(signature.Digest.String(), ":", "-", 1)+".att")
	other := s.refer(app, s.image(app, mirror.Pushed, "linux/amd64", []string{"other"}), "about another one")

	data, doc := s.export(transfer.ExportRequest{Images: []string{"registry.example/org/app:v1"}, Referrers: true})
	subjects := map[digest.Digest]digest.Digest{}
	for _, image := range doc.Images {
		subjects[image.Digest] = image.Subject
	}
	want := map[digest.Digest]digest.Digest{index.Digest: "", sbom.Digest: amd.Digest, signature.Digest: sbom.Digest, cosign.Digest: index.Digest, about.Digest: signature.Digest}
	for d, subject := range want {
		if subjects[d] != subject {
			t.Errorf("%s has subject %q, want %q", d, subjects[d], subject)
		}
	}
	inside := newSite(t, transfer.Options{})
	inside.take(data, transfer.ImportRequest{})
	for d := range want {
		inside.has(app, d)
	}
	list, _, err := inside.store.Referrers(t.Context(), app, amd.Digest, "", 10, 1<<20)
	if err != nil || len(list) != 1 || list[0].Digest != sbom.Digest {
		t.Errorf("referrers %v: %v", list, err)
	}
	if len(subjects) != len(want) || subjects[other.Digest] != "" {
		t.Errorf("%d images, want %d", len(subjects), len(want))
	}
	if _, doc := s.export(transfer.ExportRequest{Images: []string{"registry.example/org/app:v1"}}); len(doc.Images) != 1 {
		t.Errorf("without being asked, %d images go", len(doc.Images))
	}
}

// TestBundleNumbersOfTwoNodes exports to one destination by two services at the same time, as two nodes do.
func TestBundleNumbersOfTwoNodes(t *testing.T) {
	s := newSite(t, transfer.Options{})
	const bundles = 6
	for i := range bundles {
		s.image(app, mirror.Pushed, "linux/amd64", []string{fmt.Sprint(i)}, fmt.Sprint("v", i))
	}
	nodes := []*transfer.Service{s.Service, transfer.New(s.Proxy, s.store, s.opts)}
	numbers := make([]int64, bundles)
	var all sync.WaitGroup
	for i := range bundles {
		all.Go(func() {
			node := *s
			node.Service = nodes[i%len(nodes)]
			_, doc, err := node.tryExport(transfer.ExportRequest{Images: []string{fmt.Sprint("registry.example/org/app:v", i)}, To: "plant-7"})
			if err != nil {
				t.Errorf("export: %v", err)
				return
			}
			numbers[i] = doc.Sequence
		})
	}
	all.Wait()
	if slices.Sort(numbers); !slices.Equal(numbers, []int64{1, 2, 3, 4, 5, 6}) {
		t.Errorf("the bundles have the numbers %d", numbers)
	}
}

func TestBundleNumbers(t *testing.T) {
	s := newSite(t, transfer.Options{})
	s.image(app, mirror.Pushed, "linux/amd64", []string{"a"}, "v1")
	one := transfer.ExportRequest{Images: []string{"registry.example/org/app:v1"}, To: "plant-7", Created: time.Unix(1700000000, 0)}
	data, doc := s.export(one)
	again, same := s.export(one)
	if !bytes.Equal(data, again) || doc.Sequence != 1 || same.Sequence != 1 || doc.ID != same.ID {
		t.Errorf("the same content is %d %s and %d %s; the same bytes: %t", doc.Sequence, doc.ID, same.Sequence, same.ID, bytes.Equal(data, again))
	}
	s.restart()
	if _, err := s.Plan(t.Context(), transfer.ExportRequest{All: true, To: "plant-7"}, nil, new(progress.Reporter), ignore); err != nil {
		t.Fatal(err)
	}
	s.image(app, mirror.Pushed, "linux/amd64", []string{"b"}, "v2")
	if _, doc, err := s.tryExport(transfer.ExportRequest{All: true, To: "plant-7"}); err != nil || doc.Sequence != 2 {
		t.Errorf("number %d of another one: %v", doc.Sequence, err)
	}
	if _, doc := s.export(one); doc.Sequence != 3 { // the second bundle may be in use, although its export was not recorded
		t.Errorf("number %d of the first one after another", doc.Sequence)
	}
	if _, doc := s.export(transfer.ExportRequest{All: true}); doc.Sequence != 1 || doc.Destination != "" {
		t.Errorf("number %d for %q", doc.Sequence, doc.Destination)
	}
	history, err := s.History(t.Context())
	s.must(err)
	var list []int64
	for _, sent := range history {
		list = append(list, sent.Sequence)
	}
	if !slices.Equal(list, []int64{1, 1, 3}) || history[1].ID != doc.ID || history[1].Bytes == 0 {
		t.Errorf("%+v", history)
	}
	_, _, err = s.tryExport(transfer.ExportRequest{All: true, To: "../plant"})
	wantCode(t, err, mirror.CodeNameInvalid, "not a valid destination name")
	_, _, err = s.tryExport(transfer.ExportRequest{To: "plant-7"})
	wantCode(t, err, mirror.CodeNameInvalid, "no images are named")
}
