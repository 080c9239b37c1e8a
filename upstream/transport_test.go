package upstream_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"airmirror/mirror"
	"airmirror/upstream"
)

func TestUnknownHost(t *testing.T) {
	n := newNetwork(t) // where any dial fails the test
	c := n.client(upstream.Options{}, "http://registry.test")
	other := mirror.Repo{Host: "other.test", Path: "app"}
	_, err := c.Manifest(t.Context(), mirror.Ref{Repo: other, Tag: "v1"})
	wantError(t, err, mirror.CodeNameUnknown, "no upstream is configured for other.test", "--upstream other.test")
	_, err = c.Resolve(t.Context(), mirror.Ref{Repo: other, Tag: "v1"})
	wantError(t, err, mirror.CodeNameUnknown)
	_, err = c.StatBlob(t.Context(), other, blobSHA)
	wantError(t, err, mirror.CodeNameUnknown)
	_, _, err = c.Blob(t.Context(), other, blobSHA)
	wantError(t, err, mirror.CodeNameUnknown)
}

// TestPrefix fetches the content of one host from another one, below a prefix.
func TestPrefix(t *testing.T) {
	n, seen := newNetwork(t), &requestLog{}
	n.serve("harbor.test:8080", seen.wrap(open(serveIndex)))
	c := n.client(upstream.Options{}, "registry.test=http://harbor.test:8080/proxy")
	if _, err := c.Manifest(t.Context(), appTag); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(seen.lines(), " "); got != "GET /v2/proxy/org/app/manifests/v1" {
		t.Errorf("requests were %s", got)
	}
}

func TestRefusedConnection(t *testing.T) {
	n := newNetwork(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.add("registry.test", "80", l.Addr())
	l.Close()
	_, err = n.client(upstream.Options{}, "http://registry.test").Manifest(t.Context(), appTag)
	wantError(t, err, mirror.CodeUnavailable, "registry.test does not answer: dial tcp", "connection refused")
}

// TestTimeout has a host that accepts connections and does not answer.
func TestTimeout(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, scheme := range []string{"http", "https"} {
		n := newNetwork(t)
		n.add("registry.test:5000", "", l.Addr())
		c := n.client(upstream.Options{Timeout: 100 * time.Millisecond}, "registry.test="+scheme+"://registry.test:5000")
		within(t, func() {
			_, err := c.Manifest(t.Context(), appTag)
			wantError(t, err, mirror.CodeUnavailable, "registry.test does not answer")
		})
	}
}

// TestTimeoutAfterSignIn checks that the timeout covers the request after a sign-in, and that a shorter deadline
// applies.
func TestTimeoutAfterSignIn(t *testing.T) {
	n := newNetwork(t)
	n.serve("registry.test", open(func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	within(t, func() {
		c := n.client(upstream.Options{Timeout: 100 * time.Millisecond, BlobTimeout: 300 * time.Millisecond}, "http://registry.test")
		_, _, err := c.Blob(t.Context(), app, blobSHA)
		wantError(t, err, mirror.CodeUnavailable, "registry.test does not answer")
	})
	within(t, func() {
		c := n.client(upstream.Options{Timeout: time.Hour}, "http://registry.test")
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := c.Resolve(ctx, appTag)
		wantError(t, err, mirror.CodeUnavailable, "registry.test does not answer")
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v", err)
		}
	})
}

// TestNotHTTP has a server of another protocol.
func TestNotHTTP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("SSH-2.0-OpenSSH_9.7\r\n"))
			conn.Close()
		}
	}()
	n := newNetwork(t)
	n.add("registry.test", "80", l.Addr())
	_, err = n.client(upstream.Options{}, "http://registry.test").Manifest(t.Context(), appTag)
	wantError(t, err, mirror.CodeUnavailable, "registry.test does not answer")
}

// TestSchemes checks that only the configured scheme is used, whatever go-containerregistry derives from a host. A dial
// to the other port fails the test.
func TestSchemes(t *testing.T) {
	t.Run("http", func(t *testing.T) {
		n := newNetwork(t)
		n.serve("registry.test", open(serveIndex))
		if _, err := n.client(upstream.Options{}, "http://registry.test").Manifest(t.Context(), appTag); err != nil {
			t.Error(err)
		}
	})
	t.Run("https", func(t *testing.T) {
		n, seen := newNetwork(t), &requestLog{}
		n.serveTLS("registry.example.com", seen.wrap(open(serveIndex)))
		c := n.client(upstream.Options{}, "registry.test=https://registry.example.com")
		if _, err := c.Manifest(t.Context(), appTag); err != nil {
			t.Fatal(err)
		}
		if proto := seen.requests[0].ProtoMajor; proto != 2 {
			t.Errorf("requested over HTTP/%d, want 2", proto)
		}
	})
	t.Run("https on this machine, where http answers", func(t *testing.T) {
		n, seen := newNetwork(t), &requestLog{}
		n.serve("localhost:5000", seen.wrap(open(serveIndex)))
		c := n.client(upstream.Options{}, "registry.test=https://localhost:5000")
		_, err := c.Manifest(t.Context(), appTag)
		wantError(t, err, mirror.CodeUnavailable, "registry.test does not answer", "tls")
		if len(seen.lines()) > 0 {
			t.Errorf("requests were %v", seen.lines())
		}
	})
	t.Run("https with a wrong certificate", func(t *testing.T) {
		n := newNetwork(t)
		n.serveTLS("10.0.0.1", open(serveIndex))
		c := n.client(upstream.Options{}, "registry.test=https://10.0.0.1")
		_, err := c.Manifest(t.Context(), appTag)
		wantError(t, err, mirror.CodeUnavailable, "registry.test does not answer", "certificate")
	})
}

func TestRedirects(t *testing.T) {
	to := func(url string) http.Handler {
		return open(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, url, http.StatusFound) })
	}
	for name, test := range map[string]struct {
		endpoint, target, says string
	}{
		"to http":            {"https://registry.example.com", "http://cdn.test/blob", "https to http"},
		"to http there":      {"https://registry.example.com", "http://registry.example.com/blob", "https to http"},
		"to https and back":  {"http://registry.example.com", "https://cdn.example.com/blob", "https to http"},
		"round and round":    {"https://registry.example.com", "/v2/round", "redirects more than 10 times"},
		"to another service": {"https://registry.example.com", "ftp://cdn.test/blob", "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			n.serve("registry.example.com", to(test.target))
			n.serveTLS("registry.example.com", to(test.target))
			n.serveTLS("cdn.example.com", to("http://cdn.test/blob"))
			c := n.client(upstream.Options{}, "registry.test="+test.endpoint)
			_, _, err := c.Blob(t.Context(), app, blobSHA)
			wantError(t, err, mirror.CodeUnavailable, "the request to registry.test failed", test.says)
		})
	}
}

// TestRedirectToHTTPS has an endpoint that is configured with http and redirects to https.
func TestRedirectToHTTPS(t *testing.T) {
	n := newNetwork(t)
	n.serve("registry.example.com", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://registry.example.com"+r.URL.Path, http.StatusMovedPermanently)
	}))
	n.serveTLS("registry.example.com", basic(func() string { return "secret" }, serveIndex))
	c := n.client(upstream.Options{Keychain: keychain{"registry.example.com": "me:secret"}}, "registry.test=http://registry.example.com")
	if _, err := c.Manifest(t.Context(), appTag); err != nil {
		t.Error(err)
	}
}

func TestLog(t *testing.T) {
	n := newNetwork(t)
	n.serve("registry.test", open(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://cdn.test/blob?signature=secret", http.StatusFound)
	}))
	n.serve("cdn.test", http.HandlerFunc(serveBlob))
	core, logs := observer.New(zap.DebugLevel)
	c := n.client(upstream.Options{Logger: zap.New(core)}, "http://registry.test")
	wantBlob(t, c, int64(len(blob)))
	var got []string
	for _, entry := range logs.All() {
		fields := entry.ContextMap()
		got = append(got, fields["host"].(string)+fields["path"].(string))
	}
	want := "registry.test/v2/org/app/blobs/" + blobSHA.String() + " cdn.test/blob"
	if strings.Join(got, " ") != want {
		t.Errorf("logged %v", got)
	}
}

// TestObserve checks that requests are reported with the host of the upstream, whatever host they were sent to.
func TestObserve(t *testing.T) {
	n := newNetwork(t)
	n.serve("harbor.test:8080", open(serveIndex))
	var reported []upstream.RequestInfo
	c := n.client(upstream.Options{Observe: func(o upstream.RequestInfo) { reported = append(reported, o) }}, "registry.test=http://harbor.test:8080/proxy")
	if _, err := c.Manifest(t.Context(), appTag); err != nil {
		t.Fatal(err)
	}
	if len(reported) != 1 {
		t.Fatalf("reported %v", reported)
	}
	for _, o := range reported {
		if o.Host != "registry.test" || o.Status == 0 || o.Err != nil || o.Took <= 0 {
			t.Errorf("reported %+v", o)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.add("gone.test", "80", l.Addr())
	l.Close()
	reported = nil
	_, err = n.client(upstream.Options{Observe: func(o upstream.RequestInfo) { reported = append(reported, o) }}, "registry.test=http://gone.test").Manifest(t.Context(), appTag)
	if err == nil || len(reported) == 0 || reported[0].Status != 0 || reported[0].Err == nil {
		t.Errorf("%v, reported %v", err, reported)
	}
}
