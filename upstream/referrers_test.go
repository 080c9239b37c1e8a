package upstream_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
	"airmirror/upstream"
)

// referrer returns the descriptor of a manifest by its content.
func referrer(s string) v1.Descriptor {
	return v1.Descriptor{
		MediaType: v1.MediaTypeImageManifest, Digest: digest.FromString(s), Size: int64(len(s)),
		ArtifactType: "application/" + s, Annotations: map[string]string{"name": s},
	}
}

// serveReferrers serves an index of referrers, with a Link if there is one.
func serveReferrers(link string, names ...string) http.HandlerFunc {
	idx := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{}}
	for _, name := range names {
		idx.Manifests = append(idx.Manifests, referrer(name))
	}
	body, _ := json.Marshal(idx)
	return func(w http.ResponseWriter, _ *http.Request) {
		if link != "" {
			w.Header().Set("Link", link)
		}
		w.Header().Set("Content-Type", v1.MediaTypeImageIndex)
		_, _ = w.Write(body)
	}
}

func TestReferrers(t *testing.T) {
	api := "GET /v2/org/app/referrers/" + indexSHA.String()
	tag := "GET /v2/org/app/manifests/" + strings.Replace(indexSHA.String(), ":", "-", 1)
	unknown := status(404, "MANIFEST_UNKNOWN", "")
	image := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", v1.MediaTypeImageManifest)
		_, _ = w.Write([]byte(`{"schemaVersion":2,"config":{"mediaType":"x","digest":"` + blobSHA.String() + `","size":1},"layers":[]}`))
	}
	for name, test := range map[string]struct {
		steps    []http.HandlerFunc
		want     string
		requests []string
	}{
		"by the API":       {[]http.HandlerFunc{serveReferrers("", "a", "b", "a")}, "a b", []string{api}},
		"none":             {[]http.HandlerFunc{serveReferrers("")}, "", []string{api}},
		"two pages":        {[]http.HandlerFunc{serveReferrers(`<?page=2>; rel="next"`, "a"), serveReferrers("", "b")}, "a b", []string{api, api}},
		"by the tag":       {[]http.HandlerFunc{page(404), serveReferrers("", "a")}, "a", []string{api, tag}},
		"neither":          {[]http.HandlerFunc{page(404), unknown}, "", []string{api, tag}},
		"405":              {[]http.HandlerFunc{status(405, "UNSUPPORTED", ""), serveReferrers("", "a")}, "a", []string{api, tag}},
		"401, as for many": {[]http.HandlerFunc{status(401, "UNAUTHORIZED", ""), serveReferrers("", "a")}, "a", []string{api, tag}},
		"an image's tag":   {[]http.HandlerFunc{page(404), image}, "", []string{api, tag}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memoryNetwork) {
				s := play(test.steps...)
				n.serve("registry.test", s)
				list, err := n.client(upstream.Options{}).Referrers(t.Context(), app, indexSHA)
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, desc := range list {
					got = append(got, desc.Annotations["name"])
					if want := referrer(desc.Annotations["name"]); desc.Digest != want.Digest || desc.ArtifactType != want.ArtifactType || desc.Size != want.Size {
						t.Errorf("got %+v", desc)
					}
				}
				if strings.Join(got, " ") != test.want {
					t.Errorf("referrers are %v", got)
				}
				if got, want := strings.Join(s.lines(), ", "), strings.Join(test.requests, ", "); got != want {
					t.Errorf("requests were %s, want %s", got, want)
				}
			})
		})
	}
}

func TestReferrersErrors(t *testing.T) {
	for name, test := range map[string]struct {
		steps []http.HandlerFunc
		says  string
	}{
		"500":           {[]http.HandlerFunc{page(500)}, "500"},
		"429":           {[]http.HandlerFunc{slowDown}, "slow down"},
		"a web page":    {[]http.HandlerFunc{page(200)}, "web page"},
		"no index":      {[]http.HandlerFunc{serveList("", "a")}, "not valid"},
		"another host":  {[]http.HandlerFunc{serveReferrers(`<http://other.test/?page=2>; rel="next"`)}, "link to one another"},
		"404, then 500": {[]http.HandlerFunc{page(404), page(500)}, "500"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memoryNetwork) {
				n.serve("registry.test", play(test.steps...))
				_, err := n.client(upstream.Options{}).Referrers(t.Context(), app, indexSHA)
				wantError(t, err, mirror.CodeUnavailable, "registry.test", test.says)
			})
		})
	}
}

// TestReferrersTag checks that the tag is cut to the maximal length of a tag.
func TestReferrersTag(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		s := play(page(404))
		n.serve("registry.test", s)
		subject := digest.SHA512.FromString("x")
		if _, err := n.client(upstream.Options{}).Referrers(t.Context(), app, subject); err != nil {
			t.Error(err)
		}
		if got := s.lines()[1]; got != "GET /v2/org/app/manifests/sha512-"+subject.Encoded()[:64] {
			t.Errorf("requested %s", got)
		}
	})
}
