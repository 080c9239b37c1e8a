package upstream_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	stdlog "log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"airmirror/mirror"
	"airmirror/upstream"
)

// TestPlainRegistry pulls from a registry of another project.
func TestPlainRegistry(t *testing.T) {
	n := newNetwork(t)
	srv := n.serve("registry.test", registry.New(registry.Logger(stdlog.New(io.Discard, "", 0))))
	send := func(method, path, contentType string, body []byte) {
		r := httptest.NewRequest(method, path, bytes.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		srv.Config.Handler.ServeHTTP(w, r)
		if w.Code != http.StatusCreated {
			t.Fatalf("%s %s: %s", method, path, w.Body)
		}
	}
	send("PUT", "/v2/org/app/manifests/v1", indexType, index)
	send("POST", "/v2/org/app/blobs/uploads/?digest="+blobSHA.String(), "", blob)
	c := n.client(upstream.Options{}, "http://registry.test")
	if desc, err := c.Resolve(t.Context(), appTag); err != nil || desc.Digest != indexSHA {
		t.Errorf("resolved %+v, %v", desc, err)
	}
	if m, err := c.Manifest(t.Context(), appDigest); err != nil || !bytes.Equal(m.Bytes, index) {
		t.Errorf("manifest is %+v, %v", m, err)
	}
	if size, err := c.StatBlob(t.Context(), app, blobSHA); err != nil || size != int64(len(blob)) {
		t.Errorf("size is %d, %v", size, err)
	}
	wantBlob(t, c, int64(len(blob)))
	_, err := c.Manifest(t.Context(), mirror.Ref{Repo: app, Tag: "v2"})
	wantError(t, err, mirror.CodeManifestUnknown, "registry.test")
	_, err = c.StatBlob(t.Context(), app, indexSHA)
	wantError(t, err, mirror.CodeBlobUnknown, "registry.test")
}

// wantBlob reads the blob of org/app.
func wantBlob(t *testing.T, c *upstream.Client, wantSize int64) {
	t.Helper()
	body, size, err := c.Blob(t.Context(), app, blobSHA)
	if err != nil {
		t.Error(err)
		return
	}
	defer body.Close()
	if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, blob) || size != wantSize {
		t.Errorf("blob is %q of %d bytes, %v", got, size, err)
	}
}

func serveBlob(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", strconv.Itoa(len(blob)))
	_, _ = w.Write(blob)
}

func TestBlobWithoutSize(t *testing.T) {
	n := newNetwork(t)
	n.serve("registry.test", open(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		_, _ = w.Write(blob)
	}))
	c := n.client(upstream.Options{}, "http://registry.test")
	wantBlob(t, c, -1)
	_, err := c.StatBlob(t.Context(), app, blobSHA)
	wantError(t, err, mirror.CodeUnavailable, "no size")
}

func TestBlobTruncated(t *testing.T) {
	n := newNetwork(t)
	n.serve("registry.test", open(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write(blob)
	}))
	body, size, err := n.client(upstream.Options{RetryFor: -1}, "http://registry.test").Blob(t.Context(), app, blobSHA)
	if err != nil || size != 1000 {
		t.Fatal(size, err)
	}
	defer body.Close()
	got, err := io.ReadAll(body)
	wantError(t, err, mirror.CodeUnavailable, "the response of registry.test for blob")
	if !bytes.Equal(got, blob) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read %q, %v", got, err)
	}
}

// TestTimeoutDoesNotLimitBlobs reads a blob for longer than the timeout, during which another request times out.
func TestTimeoutDoesNotLimitBlobs(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		release := make(chan struct{})
		n.serve("registry.test", open(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/manifests/") {
				<-r.Context().Done()
				return
			}
			_ = http.NewResponseController(w).Flush()
			<-release
			_, _ = w.Write(blob)
		}))
		c := n.client(upstream.Options{Timeout: 200 * time.Millisecond})
		body, _, err := c.Blob(t.Context(), app, blobSHA)
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		_, err = c.Manifest(t.Context(), appTag)
		wantError(t, err, mirror.CodeUnavailable, "does not answer")
		close(release)
		if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, blob) {
			t.Errorf("read %q, %v", got, err)
		}
	})
}

func TestBlobCancelled(t *testing.T) {
	n, gone := newNetwork(t), make(chan struct{})
	n.serve("registry.test", open(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(gone)
	}))
	ctx, cancel := context.WithCancel(t.Context())
	body, _, err := n.client(upstream.Options{}, "http://registry.test").Blob(ctx, app, blobSHA)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	cancel()
	within(t, func() {
		if _, err := body.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
			t.Errorf("read: %v", err)
		}
		<-gone
	})
}

// TestHeadOfSignedLink has storage whose signed links allow GET only.
func TestHeadOfSignedLink(t *testing.T) {
	n := newNetwork(t)
	n.serve("registry.test", open(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://cdn.test/some/where?signature=secret", http.StatusTemporaryRedirect)
	}))
	n.serve("cdn.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusForbidden)
			return
		}
		serveBlob(w, r)
	}))
	c := n.client(upstream.Options{}, "http://registry.test")
	if size, err := c.StatBlob(t.Context(), app, blobSHA); err != nil || size != int64(len(blob)) {
		t.Errorf("size is %d, %v", size, err)
	}
	wantBlob(t, c, int64(len(blob)))
}
