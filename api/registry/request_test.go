package registry

import (
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

const hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestParse(t *testing.T) {
	d := digest.Digest("sha256:" + hex)
	for _, tt := range []struct {
		method, url string
		want        Request
	}{
		{"GET", "/v2", Request{N: -1}},
		{"HEAD", "/v2/", Request{N: -1}},
		{"GET", "/v2/_catalog?n=5&last=a/b", Request{Endpoint: Catalog, N: 5, Last: "a/b"}},
		{"GET", "/v2/a/tags/list?n=0", Request{Endpoint: Tags, Name: "a"}},
		{"GET", "/v2/a/tags/list?ns=ghcr.io", Request{Endpoint: Tags, Name: "a", N: -1, Namespace: "ghcr.io"}},
		{"GET", "/v2/tags/list/tags/list", Request{Endpoint: Tags, Name: "tags/list", N: -1}},
		{"GET", "/v2/a/b/manifests/v1", Request{Endpoint: Manifest, Name: "a/b", Tag: "v1", N: -1}},
		{"GET", "/v2/a/manifests/" + d.String(), Request{Endpoint: Manifest, Name: "a", Digest: d, N: -1}},
		{"GET", "/v2/a/manifests/sha256%3A" + hex, Request{Endpoint: Manifest, Name: "a", Digest: d, N: -1}},
		{"PUT", "/v2/a/manifests/" + d.String() + "?tag=x&tag=y", Request{Endpoint: Manifest, Name: "a", Digest: d, Tags: []string{"x", "y"}, N: -1}},
		{"PUT", "/v2/a/manifests/v1?tag=x", Request{Endpoint: Manifest, Name: "a", Tag: "v1", N: -1}},
		{"GET", "/v2/a/blobs/" + d.String(), Request{Endpoint: Blob, Name: "a", Digest: d, N: -1}},
		{"GET", "/v2/blobs/uploads/blobs/" + d.String(), Request{Endpoint: Blob, Name: "blobs/uploads", Digest: d, N: -1}},
		{"POST", "/v2/a/blobs/uploads/", Request{Endpoint: Uploads, Name: "a", N: -1}},
		{"POST", "/v2/a/blobs/uploads?digest-algorithm=sha512", Request{Endpoint: Uploads, Name: "a", Algorithm: digest.SHA512, N: -1}},
		{"POST", "/v2/a/blobs/uploads/?mount=" + d.String() + "&from=b/c", Request{Endpoint: Uploads, Name: "a", Mount: d, From: "b/c", N: -1}},
		{"PATCH", "/v2/a/blobs/uploads/id", Request{Endpoint: Upload, Name: "a", UploadID: "id", N: -1}},
		{"PUT", "/v2/a/blobs/uploads/id?digest=" + d.String(), Request{Endpoint: Upload, Name: "a", UploadID: "id", Digest: d, N: -1}},
		{"GET", "/v2/a/referrers/" + d.String() + "?artifactType=x/y", Request{Endpoint: Referrers, Name: "a", Digest: d, ArtifactType: "x/y", N: -1}},
	} {
		t.Run(tt.method+" "+tt.url, func(t *testing.T) {
			u, err := url.Parse(tt.url)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Parse(tt.method, u)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct {
		method, url string
		code        mirror.Code
	}{
		{"GET", "/", mirror.CodeNameUnknown},
		{"GET", "/v1/", mirror.CodeNameUnknown},
		{"GET", "/v2x", mirror.CodeNameUnknown},
		{"GET", "/v2/a", mirror.CodeNameUnknown},
		{"GET", "/v2/a/manifests/", mirror.CodeNameUnknown},
		{"GET", "/v2/a%2Fb/manifests/v1", mirror.CodeNameInvalid},
		{"GET", "/v2/a/manifests/..%2f..%2fetc", mirror.CodeNameInvalid},
		{"GET", "/v2//manifests/v1", mirror.CodeNameInvalid},
		{"PUT", "/v2//manifests/v1", mirror.CodeNameInvalid},
		{"GET", "/v2//tags/list", mirror.CodeNameInvalid},
		{"GET", "/v2//blobs/sha256:" + hex, mirror.CodeNameInvalid},
		{"GET", "/v2//referrers/sha256:" + hex, mirror.CodeNameInvalid},
		{"POST", "/v2//blobs/uploads/", mirror.CodeNameInvalid},
		{"PATCH", "/v2//blobs/uploads/id", mirror.CodeNameInvalid},
		{"GET", "/v2/a/manifests/sha256:short", mirror.CodeDigestInvalid},
		{"GET", "/v2/a/manifests/-x", mirror.CodeManifestInvalid},
		{"GET", "/v2/a/blobs/latest", mirror.CodeDigestInvalid},
		{"GET", "/v2/a/referrers/latest", mirror.CodeDigestInvalid},
		{"GET", "/v2/a/tags/list?n=x", mirror.CodePaginationInvalid},
		{"GET", "/v2/a/tags/list?n=-1", mirror.CodePaginationInvalid},
		{"PUT", "/v2/a/blobs/uploads/id", mirror.CodeDigestInvalid},
		{"POST", "/v2/a/blobs/uploads/?digest-algorithm=md5", mirror.CodeDigestInvalid},
		{"POST", "/v2/a/blobs/uploads/?mount=x", mirror.CodeDigestInvalid},
		{"PUT", "/v2/a/manifests/sha256:" + hex + "?tag=a/b", mirror.CodeManifestInvalid},
		{"POST", "/v2/", mirror.CodeUnsupported},
		{"DELETE", "/v2/a/tags/list", mirror.CodeUnsupported},
		{"PATCH", "/v2/a/manifests/v1", mirror.CodeUnsupported},
		{"GET", "/v2/a/blobs/uploads/", mirror.CodeUnsupported},
		{"POST", "/v2/a/blobs/uploads/id", mirror.CodeUnsupported},
	} {
		t.Run(tt.method+" "+tt.url, func(t *testing.T) {
			u, err := url.Parse(tt.url)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := Parse(tt.method, u); mirror.CodeOf(err) != tt.code {
				t.Errorf("got %+v, %v, want %s", got, err, tt.code)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete} {
		for _, path := range []string{"/v2/", "/v2/_catalog?n=1&last=x", "/v2/a/tags/list", "/v2/a/b/manifests/v1?ns=ghcr.io&tag=b",
			"/v2/a/blobs/sha256:" + hex, "/v2/a/blobs/uploads/?mount=sha256:" + hex, "/v2/a/blobs/uploads/u?digest=sha256%3A" + hex,
			"/v2/a/referrers/sha256:" + hex + "?artifactType=x", "/v2/%2e%2e/manifests/x", "/v2/a/manifests/%00"} {
			f.Add(method, path)
		}
	}
	f.Fuzz(func(t *testing.T, method, raw string) {
		u, err := url.ParseRequestURI(raw)
		if err != nil {
			return
		}
		req, err := Parse(method, u)
		if err != nil {
			if _, ok := statuses[mirror.CodeOf(err)]; !ok || mirror.CodeOf(err) == mirror.CodeUnknown {
				t.Fatalf("error %v has no status", err)
			}
			return
		}
		if req.Name == "" && req.Endpoint != Base && req.Endpoint != Catalog {
			t.Fatal("a repository without a name was let through")
		}
		for _, tag := range append(req.Tags, req.Tag) {
			if tag != "" && !mirror.ValidTag(tag) {
				t.Fatalf("tag %q was let through", tag)
			}
		}
		for _, d := range []digest.Digest{req.Digest, req.Mount} {
			if d != "" && d.Validate() != nil {
				t.Fatalf("digest %q was let through", d)
			}
		}
		if strings.Contains(req.UploadID, "/") {
			t.Fatalf("upload %q was let through", req.UploadID)
		}
		if repo, err := (mirror.Names{}).Repo(req.Name, req.Namespace); err == nil && repo.Validate() != nil {
			t.Fatalf("repository %v was let through", repo)
		}
	})
}
