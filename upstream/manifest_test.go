package upstream_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/upstream"
)

func TestManifest(t *testing.T) {
	n, seen := newNetwork(t), &requestLog{}
	n.serve("registry.test", seen.wrap(open(serveIndex)))
	c := n.client(upstream.Options{Version: "1.2"}, "http://registry.test")
	for _, ref := range []mirror.Ref{appTag, appDigest} {
		m, err := c.Manifest(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(m.Bytes, index) || m.Digest != indexSHA || m.MediaType != indexType || m.Origin != mirror.Mirrored {
			t.Errorf("%s is %+v", ref, m)
		}
	}
	want := "GET /v2/org/app/manifests/v1 GET /v2/org/app/manifests/" + indexSHA.String()
	if got := strings.Join(seen.lines(), " "); got != want {
		t.Errorf("requests were %s", got)
	}
	r := seen.requests[0]
	if got := r.Header.Get("User-Agent"); got != "airmirror/1.2" {
		t.Errorf("User-Agent is %q", got)
	}
	if got := r.Header.Get("Accept-Encoding"); got != "identity" {
		t.Errorf("Accept-Encoding is %q", got)
	}
	for _, mediaType := range append(mirror.ManifestMediaTypes(), "*/*") {
		if !strings.Contains(r.Header.Get("Accept"), mediaType) {
			t.Errorf("Accept lacks %s", mediaType)
		}
	}
}

func TestManifestThatIsWrong(t *testing.T) {
	other := digest.FromString("other")
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		ref    mirror.Ref
		code   mirror.Code
		says   string
	}{
		"lies about its digest": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Docker-Content-Digest", other.String())
			w.Header().Set("Content-Type", indexType)
			_, _ = w.Write(index)
		}, appTag, mirror.CodeUnavailable, "its digest is"},
		"is another one": {serveIndex, mirror.Ref{Repo: app, Digest: other}, mirror.CodeUnavailable, "not " + other.String()},
		"is a web page":  {page(http.StatusOK), appTag, mirror.CodeUnavailable, "web page"},
		"is a page that says it is JSON": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, "<html></html>")
		}, appTag, mirror.CodeUnavailable, "not a JSON object"},
		"is a list": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/vnd.unknown")
			fmt.Fprint(w, "[]")
		}, appTag, mirror.CodeUnavailable, "not a JSON object"},
		"is invalid": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", mirror.MediaTypeDockerManifest)
			fmt.Fprint(w, `{"schemaVersion":2}`)
		}, appTag, mirror.CodeUnavailable, "no config"},
		"is truncated": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", indexType)
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write(index)
		}, appTag, mirror.CodeUnavailable, "was interrupted"},
		"is too large": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", indexType)
			_, _ = w.Write(bytes.Repeat([]byte("x"), mirror.MaxManifestSize+1))
		}, appTag, mirror.CodeManifestTooLarge, "larger than"},
		"is no content": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusNoContent)
		}, appTag, mirror.CodeUnavailable, "204"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			n.serve("registry.test", open(test.answer))
			_, err := n.client(upstream.Options{}, "http://registry.test").Manifest(t.Context(), test.ref)
			wantError(t, err, test.code, "registry.test", test.says)
		})
	}
}

// TestManifestThatStalls checks that a manifest which stalls times out.
func TestManifestThatStalls(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		release := make(chan struct{})
		defer close(release)
		n.serve("registry.test", open(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", indexType)
			_, _ = w.Write(index[:10])
			_ = http.NewResponseController(w).Flush()
			<-release
		}))
		c := n.client(upstream.Options{Timeout: 100 * time.Millisecond})
		_, err := c.Manifest(t.Context(), appTag)
		wantError(t, err, mirror.CodeUnavailable, "was interrupted", "stalled: fewer than 1024 bytes within 100ms")
	})
}

func TestResolve(t *testing.T) {
	for name, test := range map[string]struct {
		head http.HandlerFunc
		want string // the methods after the ping
	}{
		"in full": {serveIndex, "HEAD"},
		"without a digest": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", indexType)
			w.Header().Set("Content-Length", "7")
		}, "HEAD GET"},
		"without a size": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", indexType)
			w.Header().Set("Docker-Content-Digest", indexSHA.String())
			_ = http.NewResponseController(w).Flush()
		}, "HEAD GET"},
		"with a vague type": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			w.Header().Set("Docker-Content-Digest", indexSHA.String())
			w.Header().Set("Content-Length", "7")
		}, "HEAD GET"},
		"not allowed": {status(http.StatusMethodNotAllowed, "UNSUPPORTED", ""), "HEAD GET"},
		"400":         {status(400, "UNSUPPORTED", ""), "HEAD GET"},
		"401":         {status(401, "UNAUTHORIZED", ""), "HEAD GET"},
		"403":         {status(403, "DENIED", ""), "HEAD GET"},
		"403 of storage": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(403)
		}, "HEAD GET"},
		"404 without words": {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(404) }, "HEAD GET"},
		"500":               {status(500, "UNKNOWN", ""), "HEAD GET"},
		"a page":            {page(200), "HEAD GET"},
		"broken":            {abort, "HEAD HEAD GET"},
		"in circles": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) },
			strings.Repeat("HEAD ", 11) + "GET"},
	} {
		t.Run(name, func(t *testing.T) {
			n, seen := newNetwork(t), &requestLog{}
			n.serve("registry.test", open(seen.wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodHead {
					test.head(w, r)
					return
				}
				serveIndex(w, r)
			})).ServeHTTP))
			got, err := n.client(upstream.Options{}, "http://registry.test").Resolve(t.Context(), appTag)
			if err != nil {
				t.Fatal(err)
			}
			if got.Digest != indexSHA || got.Size != int64(len(index)) || got.MediaType != indexType {
				t.Errorf("resolved %+v", got)
			}
			methods := strings.ReplaceAll(strings.Join(seen.lines(), " "), " /v2/org/app/manifests/v1", "")
			if methods != test.want {
				t.Errorf("requests were %s, want %s", methods, test.want)
			}
		})
	}
}

// TestResolveAfterATimeout has an upstream that does not answer HEAD, which is asked with GET, and one that does not
// answer at all, which is not.
func TestResolveAfterATimeout(t *testing.T) {
	for name, gone := range map[string]bool{"HEAD": false, "everything": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memoryNetwork) {
				seen := &requestLog{}
				n.serve("registry.test", seen.wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					switch {
					case gone || r.Method == http.MethodHead:
						silent(w, r)
					case r.URL.Path != "/v2/":
						serveIndex(w, r)
					}
				})))
				got, err := n.client(upstream.Options{}).Resolve(t.Context(), appTag)
				if gone == (err == nil) || !gone && got.Digest != indexSHA {
					t.Errorf("resolved %+v, %v", got, err)
				}
				asked := strings.Join(seen.lines(), " ")
				if gone == strings.Contains(asked, "GET /v2/org/app/manifests/v1") {
					t.Errorf("requests were %s", asked)
				}
			})
		})
	}
}

// TestResolveWhereHEADIsRedirectedToADeadHost checks that GET is tried.
func TestResolveWhereHEADIsRedirectedToADeadHost(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		n.serve("storage.test", http.NotFoundHandler())
		n.fail("storage.test", syscall.ECONNREFUSED)
		n.serve("registry.test", open(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				http.Redirect(w, r, "http://storage.test/manifest", http.StatusTemporaryRedirect)
				return
			}
			serveIndex(w, r)
		}))
		c := n.client(upstream.Options{})
		for range 5 { // however often the storage has failed
			if got, err := c.Resolve(t.Context(), appTag); err != nil || got.Digest != indexSHA {
				t.Fatalf("resolved %+v, %v", got, err)
			}
		}
	})
}

// TestResolveIsConclusive checks that GET is not tried after an error of the registry itself.
func TestResolveIsConclusive(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{"404": status(404, "MANIFEST_UNKNOWN", ""), "429": limited("60")} {
		t.Run(name, func(t *testing.T) {
			n, seen := newNetwork(t), &requestLog{}
			n.serve("registry.test", seen.wrap(answer))
			if _, err := n.client(upstream.Options{}, "http://registry.test").Resolve(t.Context(), appTag); err == nil {
				t.Error("no error")
			}
			if got := strings.Join(seen.lines(), " "); got != "HEAD /v2/org/app/manifests/v1" {
				t.Errorf("requests were %s", got)
			}
		})
	}
}

// TestUpstreamIsAMirror checks that "not at present" from another mirror is not taken for "not found".
func TestUpstreamIsAMirror(t *testing.T) {
	n := newNetwork(t)
	n.serve("registry.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(mirror.MissHeader, mirror.MissUnavailable)
		status(404, "MANIFEST_UNKNOWN", "the mirror is offline")(w, r)
	}))
	c := n.client(upstream.Options{}, "http://registry.test")
	_, err := c.Manifest(t.Context(), appTag)
	wantError(t, err, mirror.CodeUnavailable, "is fetched from a mirror, which does not have manifest v1 of registry.test/org/app at present", "the mirror is offline")
	_, err = c.Resolve(t.Context(), appTag)
	wantError(t, err, mirror.CodeUnavailable)
	_, _, err = c.Blob(t.Context(), app, blobSHA)
	wantError(t, err, mirror.CodeUnavailable)
}

func TestResolveWebPage(t *testing.T) {
	n := newNetwork(t)
	n.serve("registry.test", page(http.StatusOK))
	_, err := n.client(upstream.Options{}, "http://registry.test").Resolve(t.Context(), appTag)
	wantError(t, err, mirror.CodeUnavailable, "web page")
}

func TestStatus(t *testing.T) {
	for name, test := range map[string]struct {
		answer         http.HandlerFunc
		manifest, blob mirror.Code
		says           string
	}{
		"404":         {status(404, "MANIFEST_UNKNOWN", "no such tag"), mirror.CodeManifestUnknown, mirror.CodeBlobUnknown, "no such tag"},
		"404 name":    {status(404, "NAME_UNKNOWN", ""), mirror.CodeManifestUnknown, mirror.CodeBlobUnknown, "NAME_UNKNOWN"},
		"404 page":    {page(404), mirror.CodeManifestUnknown, mirror.CodeBlobUnknown, "404 Not Found"},
		"401":         {status(401, "UNAUTHORIZED", "who are you"), mirror.CodeManifestUnknown, mirror.CodeBlobUnknown, "refused"},
		"403":         {status(403, "DENIED", "not\nfor you"), mirror.CodeManifestUnknown, mirror.CodeBlobUnknown, "not for you"},
		"403 page":    {page(403), mirror.CodeUnavailable, mirror.CodeUnavailable, "403 Forbidden"},
		"429":         {slowDown, mirror.CodeUnavailable, mirror.CodeUnavailable, "slow down"},
		"500":         {status(500, "UNKNOWN", "ouch"), mirror.CodeUnavailable, mirror.CodeUnavailable, "500 Internal Server Error: ouch"},
		"502":         {page(502), mirror.CodeUnavailable, mirror.CodeUnavailable, "502 Bad Gateway"},
		"no redirect": {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(304) }, mirror.CodeUnavailable, mirror.CodeUnavailable, "304"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			n.serve("registry.test", open(test.answer))
			c := n.client(upstream.Options{}, "http://registry.test")
			_, err := c.Manifest(t.Context(), appTag)
			wantError(t, err, test.manifest, "registry.test", test.says)
			_, err = c.Resolve(t.Context(), appTag)
			wantError(t, err, test.manifest, "registry.test")
			_, _, err = c.Blob(t.Context(), app, blobSHA)
			wantError(t, err, test.blob, "registry.test", test.says)
			_, err = c.StatBlob(t.Context(), app, blobSHA)
			wantError(t, err, test.blob, "registry.test")
		})
	}
}
