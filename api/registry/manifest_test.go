package registry_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/api/registry"
	"airmirror/mirror"
)

func TestManifestIsReturnedUnchanged(t *testing.T) {
	s := start(t, registry.Options{})
	image := s.image("app", "one", "two")
	docker := bytes.ReplaceAll(bytes.ReplaceAll(image, []byte(v1.MediaTypeImageManifest), []byte(mirror.MediaTypeDockerManifest)),
		[]byte(v1.MediaTypeImageConfig), []byte("application/vnd.docker.container.image.v1+json"))
	child := fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, v1.MediaTypeImageManifest, digest.FromBytes(image), len(image))
	absent := fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":1}`, v1.MediaTypeImageManifest, digest.FromString("absent"))
	index := `{"schemaVersion":2,"manifests":[` + child + `]}`
	for name, tt := range map[string]struct{ mediaType, doc string }{
		"OCI image":            {v1.MediaTypeImageManifest, string(image)},
		"Docker image":         {mirror.MediaTypeDockerManifest, string(docker)},
		"OCI index":            {v1.MediaTypeImageIndex, index},
		"Docker list":          {mirror.MediaTypeDockerManifestList, index + "\n"},
		"nested index":         {v1.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[{"mediaType":"` + v1.MediaTypeImageIndex + `","digest":"` + digest.FromString(index).String() + `","size":1}]}`},
		"sparse index":         {v1.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[` + child + `,` + absent + `]}`},
		"image without layers": {v1.MediaTypeImageManifest, string(s.image("app"))},
		"anything":             {"application/vnd.example.future+yaml", "kind: future\n"},
	} {
		t.Run(name, func(t *testing.T) {
			d := digest.FromString(tt.doc).String()
			a := s.put("app", "v1", tt.mediaType, []byte(tt.doc))
			s.header(a, "Docker-Content-Digest", d)
			s.header(a, "Location", "/v2/app/manifests/"+d)
			for _, ref := range []string{"v1", d} {
				a := s.do(200, "GET", "/v2/app/manifests/"+ref, nil)
				if string(a.body) != tt.doc {
					t.Errorf("by %s: got %q", ref, a.body)
				}
				s.header(a, "Content-Type", tt.mediaType)
				s.header(a, "Docker-Content-Digest", d)
				a = s.do(200, "HEAD", "/v2/app/manifests/"+ref, nil)
				s.header(a, "Content-Length", fmt.Sprint(len(tt.doc)))
				s.header(a, "Docker-Content-Digest", d)
				s.do(304, "GET", "/v2/app/manifests/"+ref, nil, "If-None-Match", a.Header.Get("ETag"))
				s.do(200, "GET", "/v2/app/manifests/"+ref, nil, "If-None-Match", `"other"`)
			}
		})
	}
}

func TestManifestWithSHA512AndTags(t *testing.T) {
	s := start(t, registry.Options{})
	image := s.image("app", "one")
	d := digest.SHA512.FromBytes(image).String()
	a := s.put("app", d+"?tag=1.2.3&tag=1.2&tag=latest", v1.MediaTypeImageManifest, image)
	if got := strings.Join(a.Header.Values("OCI-Tag"), " "); got != "1.2.3 1.2 latest" {
		t.Errorf("OCI-Tag: %s", got)
	}
	for _, ref := range []string{d, "1.2.3", "1.2", "latest"} {
		s.header(s.do(200, "GET", "/v2/app/manifests/"+ref, nil), "Docker-Content-Digest", d)
	}
}

func TestManifestRefusals(t *testing.T) {
	s := start(t, registry.Options{})
	image := s.image("app", "one")
	put := func(status int, code mirror.Code, ref string, doc []byte) answer {
		t.Helper()
		return s.refused(status, code, "PUT", "/v2/app/manifests/"+ref, bytes.NewReader(doc), "Content-Type", v1.MediaTypeImageManifest)
	}
	put(400, mirror.CodeDigestInvalid, digest.FromString("other").String(), image)
	put(400, mirror.CodeManifestInvalid, "v1", []byte("{"))
	put(400, mirror.CodeManifestInvalid, "-v1", image)
	put(413, mirror.CodeManifestTooLarge, "v1", bytes.Repeat([]byte(" "), mirror.MaxManifestSize+1))

	absent := digest.FromString("absent")
	doc := bytes.ReplaceAll(image, []byte(digest.FromString("one")), []byte(absent))
	if a := put(404, mirror.CodeManifestBlobUnknown, "v1", doc); !bytes.Contains(a.body, []byte(absent)) {
		t.Errorf("the missing blob is not named: %s", a.body)
	}
	// Content of another repository does not count: a manifest that refers to it would give access to it.
	s.refused(404, mirror.CodeManifestBlobUnknown, "PUT", "/v2/other/manifests/v1", bytes.NewReader(image), "Content-Type", v1.MediaTypeImageManifest)

	for _, method := range []string{"GET", "HEAD"} {
		s.refused(404, mirror.CodeManifestUnknown, method, "/v2/app/manifests/v1", nil)
		s.refused(404, mirror.CodeManifestUnknown, method, "/v2/app/manifests/"+absent.String(), nil)
		s.refused(404, mirror.CodeBlobUnknown, method, "/v2/app/blobs/"+absent.String(), nil)
		s.refused(400, mirror.CodeDigestInvalid, method, "/v2/app/blobs/sha256:short", nil)
		s.refused(400, mirror.CodeNameInvalid, method, "/v2/UPPER/manifests/v1", nil)
	}
	s.refused(404, mirror.CodeNameUnknown, "GET", "/v2/nobody/tags/list", nil)
	s.refused(400, mirror.CodeDigestInvalid, "GET", "/v2/app/referrers/latest", nil)
	s.header(s.refused(405, mirror.CodeUnsupported, "PATCH", "/v2/app/manifests/v1", nil), "Allow", "GET, HEAD, PUT, DELETE")
	s.header(s.refused(405, mirror.CodeUnsupported, "POST", "/v2/app/tags/list", nil), "Allow", "GET, HEAD")
}

func TestDelete(t *testing.T) {
	s := start(t, registry.Options{})
	image := s.image("app", "one")
	d := digest.FromBytes(image).String()
	for _, tag := range []string{"a", "b", "c"} {
		s.put("app", tag, v1.MediaTypeImageManifest, image)
	}
	layer := "/v2/app/blobs/" + digest.FromString("one").String()
	a := s.refused(405, mirror.CodeUnsupported, "DELETE", layer, nil)
	s.header(a, "Allow", "GET, HEAD")
	if !bytes.Contains(a.body, []byte(d)) {
		t.Errorf("the manifest that needs the blob is not named: %s", a.body)
	}

	s.do(202, "DELETE", "/v2/app/manifests/a", nil)
	s.refused(404, mirror.CodeManifestUnknown, "GET", "/v2/app/manifests/a", nil)
	s.refused(404, mirror.CodeManifestUnknown, "DELETE", "/v2/app/manifests/a", nil)
	s.do(200, "GET", "/v2/app/manifests/b", nil)

	s.do(202, "DELETE", "/v2/app/manifests/"+d, nil)
	for _, ref := range []string{"b", "c", d} {
		s.refused(404, mirror.CodeManifestUnknown, "GET", "/v2/app/manifests/"+ref, nil)
	}
	if a := s.do(200, "GET", "/v2/app/tags/list", nil); !bytes.Contains(a.body, []byte(`"tags":[]`)) {
		t.Errorf("tags after all is deleted: %s", a.body)
	}
	s.do(202, "DELETE", layer, nil)
	s.refused(404, mirror.CodeBlobUnknown, "GET", layer, nil)
	s.refused(404, mirror.CodeBlobUnknown, "DELETE", layer, nil)
}

func TestDeleteDisabled(t *testing.T) {
	s := start(t, registry.Options{NoDelete: func() bool { return true }})
	image := s.image("app", "one")
	d := digest.FromBytes(image).String()
	s.put("app", "v1", v1.MediaTypeImageManifest, image)
	for _, path := range []string{"manifests/v1", "manifests/" + d} {
		s.header(s.refused(405, mirror.CodeUnsupported, "DELETE", "/v2/app/"+path, nil), "Allow", "GET, HEAD, PUT")
	}
	s.header(s.refused(405, mirror.CodeUnsupported, "DELETE", "/v2/app/blobs/"+d, nil), "Allow", "GET, HEAD")
	s.do(200, "GET", "/v2/app/manifests/v1", nil)
	a := s.do(202, "POST", "/v2/app/blobs/uploads/", nil)
	s.do(204, "DELETE", s.at(a), nil)
}

func TestReferrers(t *testing.T) {
	s := start(t, registry.Options{})
	subject := s.image("app", "one")
	d := digest.FromBytes(subject)
	list := func(query string) (answer, v1.Index) {
		t.Helper()
		a := s.do(200, "GET", "/v2/app/referrers/"+d.String()+query, nil)
		s.header(a, "Content-Type", v1.MediaTypeImageIndex)
		var index v1.Index
		s.must(json.Unmarshal(a.body, &index))
		if index.Manifests == nil || index.SchemaVersion != 2 {
			t.Fatalf("not an index: %s", a.body)
		}
		return a, index
	}
	if _, index := list(""); len(index.Manifests) != 0 {
		t.Fatalf("referrers out of nowhere: %+v", index)
	}
	for i, artifactType := range []string{"application/sbom", "application/sig", ""} {
		m := v1.Manifest{MediaType: v1.MediaTypeImageManifest, ArtifactType: artifactType, Config: v1.DescriptorEmptyJSON,
			Subject: &v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: d, Size: int64(len(subject))}, Annotations: map[string]string{"n": fmt.Sprint(i)}}
		m.SchemaVersion = 2
		a := s.put("app", digest.FromBytes(s.marshal(m)).String(), v1.MediaTypeImageManifest, s.marshal(m))
		s.header(a, "OCI-Subject", d.String())
	}
	_, index := list("")
	types := map[string]bool{}
	for _, desc := range index.Manifests {
		types[desc.ArtifactType] = true
		if desc.Annotations["n"] == "" || desc.Size == 0 || desc.MediaType != v1.MediaTypeImageManifest {
			t.Errorf("descriptor %+v", desc)
		}
	}
	if len(index.Manifests) != 3 || !types["application/sbom"] || !types[v1.MediaTypeEmptyJSON] {
		t.Errorf("referrers: %+v", index.Manifests)
	}
	a, index := list("?artifactType=application/sig")
	s.header(a, "OCI-Filters-Applied", "artifactType")
	if len(index.Manifests) != 1 {
		t.Errorf("filtered: %+v", index.Manifests)
	}
	s.do(202, "DELETE", "/v2/app/manifests/"+index.Manifests[0].Digest.String(), nil)
	if _, index := list("?artifactType=application/sig"); len(index.Manifests) != 0 {
		t.Errorf("after deletion: %+v", index.Manifests)
	}
	a, index = list("?n=1")
	if len(index.Manifests) != 1 || !strings.Contains(a.Header.Get("Link"), "rel=\"next\"") {
		t.Errorf("page: %+v, Link %q", index.Manifests, a.Header.Get("Link"))
	}
}

func TestListsInPages(t *testing.T) {
	s := start(t, registry.Options{})
	for _, repo := range []string{"b/app", "a", "ghcr.io/org/app", "zoo", "c"} {
		image := s.image(repo, "one")
		for _, tag := range []string{"v10", "v1", "latest", "V2"} {
			s.put(repo, tag, v1.MediaTypeImageManifest, image)
		}
	}
	all := func(path, field string) (items []string) {
		t.Helper()
		for path != "" {
			a := s.do(200, "GET", path, nil)
			var doc map[string]any
			s.must(json.Unmarshal(a.body, &doc))
			page := doc[field].([]any)
			if len(page) > 2 {
				t.Fatalf("page of %d", len(page))
			}
			for _, item := range page {
				items = append(items, item.(string))
			}
			path = ""
			if link := a.Header.Get("Link"); link != "" {
				path = strings.TrimPrefix(strings.TrimSuffix(link, `>; rel="next"`), "<")
			}
		}
		return items
	}
	for _, tt := range []struct{ path, field, want string }{
		{"/v2/_catalog?n=2", "repositories", "a b/app c ghcr.io/org/app zoo"},
		{"/v2/_catalog?n=2&last=b", "repositories", "b/app c ghcr.io/org/app zoo"},
		{"/v2/_catalog?n=2&last=ghcr.io/org/app", "repositories", "zoo"},
		{"/v2/_catalog?n=0", "repositories", ""},
		{"/v2/a/tags/list?n=1", "tags", "V2 latest v1 v10"},
		{"/v2/a/tags/list?n=2&last=latest", "tags", "v1 v10"},
		{"/v2/a/tags/list?last=v1", "tags", "v10"},
		{"/v2/org/app/tags/list?n=2&ns=ghcr.io", "tags", "V2 latest v1 v10"},
	} {
		if got := strings.Join(all(tt.path, tt.field), " "); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.path, got, tt.want)
		}
	}
}

func TestRanges(t *testing.T) {
	s := start(t, registry.Options{})
	content := []byte("0123456789")
	d := s.pushBlob("app", content).Digest
	path := "/v2/app/blobs/" + d.String()
	etag := s.do(200, "HEAD", path, nil).Header.Get("ETag")
	for _, tt := range []struct{ header, want, contentRange string }{
		{"bytes=0-3", "0123", "bytes 0-3/10"},
		{"bytes=4-", "456789", "bytes 4-9/10"},
		{"bytes=-2", "89", "bytes 8-9/10"},
		{"bytes=8-99", "89", "bytes 8-9/10"},
	} {
		a := s.do(206, "GET", path, nil, "Range", tt.header)
		if string(a.body) != tt.want {
			t.Errorf("%s: %q", tt.header, a.body)
		}
		s.header(a, "Content-Range", tt.contentRange)
		s.header(a, "Docker-Content-Digest", d.String())
	}
	s.do(206, "GET", path, nil, "Range", "bytes=0-3", "If-Range", etag)
	s.do(200, "GET", path, nil, "Range", "bytes=0-3", "If-Range", `"other"`)
	s.do(304, "GET", path, nil, "If-None-Match", etag)
	s.header(s.refused(416, mirror.CodeRangeInvalid, "GET", path, nil, "Range", "bytes=10-"), "Content-Range", "bytes */10")
}

func TestBase(t *testing.T) {
	s := start(t, registry.Options{})
	for _, path := range []string{"/v2/", "/v2"} {
		s.header(s.do(200, "GET", path, nil), "Docker-Distribution-Api-Version", "registry/2.0")
	}
	s.refused(404, mirror.CodeNameUnknown, "GET", "/", nil)
	s.refused(404, mirror.CodeNameUnknown, "GET", "/v2/app", nil)
	s.header(s.refused(405, mirror.CodeUnsupported, "DELETE", "/v2/", nil), "Allow", "GET, HEAD")
}

// TestManifestsHaveALength checks that net/http adds the length of a body that the handler leaves to it.
func TestManifestsHaveALength(t *testing.T) {
	s := start(t, registry.Options{})
	for _, size := range []int{200, 2047, 2048, 2049, 5000} {
		body := `{"schemaVersion":2,"mediaType":"` + v1.MediaTypeImageIndex + `","manifests":[],"annotations":{"a":"`
		body += strings.Repeat("x", size-len(body)-len(`"}}`)) + `"}}`
		s.do(http.StatusCreated, http.MethodPut, "/v2/app/manifests/v1", strings.NewReader(body), "Content-Type", v1.MediaTypeImageIndex)
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			got := s.do(http.StatusOK, method, "/v2/app/manifests/v1", nil)
			if got.ContentLength != int64(size) || len(got.TransferEncoding) > 0 {
				t.Errorf("%s of %d bytes: length %d, transfer encoding %q", method, size, got.ContentLength, got.TransferEncoding)
			}
			if method == http.MethodGet && string(got.body) != body {
				t.Errorf("GET of %d bytes: %d bytes", size, len(got.body))
			}
		}
	}
}
