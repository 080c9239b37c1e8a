package upstream_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"airmirror/mirror"
	"airmirror/upstream"
)

// secret stands for the signature in a link to storage, or for a key in the URL of a token service.
const secret = "s3cr3t"

func location(url string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", url)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
}

func realm(url string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf("Bearer realm=%q", url))
		w.WriteHeader(http.StatusUnauthorized)
	}
}

// raw sends a response that net/http would not send.
func raw(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, text)
		conn.Close()
	}
}

// hang does not answer.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// interruptedBlob serves the beginning of a blob, and h in place of the rest.
func interruptedBlob(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") != "" || r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
			h(w, r)
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(blob)))
		_, _ = w.Write(blob[:5])
		panic(http.ErrAbortHandler)
	}
}

// TestSecretsInURLsAreNotShown checks errors, the status, the observer and the log after upstreams that put a secret into
// a URL which cannot be parsed, leads nowhere, or does not answer.
func TestSecretsInURLsAreNotShown(t *testing.T) {
	const invalid = "http://cdn.test/%zz?signature=" + secret
	for name, registry := range map[string]http.HandlerFunc{
		"an invalid Location":                   location(invalid),
		"a Location with an invalid port":       location("http://cdn.test:" + secret + "/blob"),
		"a Location with an invalid host":       location("http://cdn test " + secret + "/blob"),
		"a Location with another scheme":        location("ftp://cdn.test/blob?signature=" + secret),
		"a Location with a password":            location("http://me:" + secret + "@cdn.test/500?signature=" + secret),
		"a Location header without a colon":     raw("HTTP/1.1 307 Temporary Redirect\r\nLocation //cdn.test/blob?signature=" + secret + "\r\n\r\n"),
		"redirects in a circle":                 location("/v2/org/app/manifests/v1?signature=" + secret),
		"a link that does not answer":           location("http://cdn.test/hang?signature=" + secret),
		"a link to an error":                    location("http://cdn.test/500?signature=" + secret),
		"a link to an invalid Location":         location("http://cdn.test/redirect?signature=" + secret),
		"an invalid Location for the rest":      interruptedBlob(location(invalid)),
		"a link that does not give the rest":    interruptedBlob(location("http://cdn.test/hang?signature=" + secret)),
		"an invalid realm":                      realm(invalid),
		"a realm with an invalid port":          realm("http://cdn.test:" + secret + "/token"),
		"a realm with a password":               realm("http://me:" + secret + "@cdn.test/token"),
		"a realm that does not answer":          realm("http://cdn.test/hang?key=" + secret),
		"a realm that fails":                    realm("http://cdn.test/500?key=" + secret),
		"a realm that leads to an invalid one":  realm("http://cdn.test/redirect?key=" + secret),
		"a realm without a token":               realm("http://cdn.test/blob?key=" + secret),
		"an invalid link to the next page":      serveList("<"+invalid+`>; rel="next"`, "v1"),
		"a next page that cannot be fetched":    nextPageFails,
		"a referrers API that leads to nothing": location("http://cdn.test/404?signature=" + secret),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t)
			n.serve("registry.test", open(registry))
			n.serve("cdn.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/hang":
					hang(w, r)
				case "/redirect":
					location(invalid)(w, r)
				case "/blob":
					serveBlob(w, r)
				default:
					page(http.StatusInternalServerError)(w, r)
				}
			}))
			shown := &output{}
			c := n.client(upstream.Options{
				Timeout: 100 * time.Millisecond, BlobTimeout: 100 * time.Millisecond, StallTimeout: 50 * time.Millisecond, RetryFor: 200 * time.Millisecond,
				Logger:  zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{MessageKey: "message"}), shown, zap.DebugLevel)),
				Observe: func(info upstream.RequestInfo) { shown.error(info.Err) },
			}, "http://registry.test")
			failed := 0
			for range 4 { // the circuit breakers open after three
				for _, err := range requestAll(t, c) {
					if err != nil {
						failed++
					}
					shown.error(err)
				}
				status, err := json.Marshal(c.Status())
				if err != nil {
					t.Fatal(err)
				}
				_, _ = shown.Write(status)
			}
			if failed == 0 {
				t.Error("no request failed")
			}
			if text := shown.String(); strings.Contains(text, secret) {
				i := strings.Index(text, secret)
				t.Errorf("the secret is shown: …%s…", text[max(0, i-200):min(len(text), i+50)])
			}
		})
	}
}

func nextPageFails(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("key") {
		status(http.StatusInternalServerError, "UNKNOWN", "broken")(w, r)
		return
	}
	serveList(`</v2/org/app/tags/list?key=`+secret+`>; rel="next"`, "v1")(w, r)
}

// requestAll sends every kind of request and returns the errors.
func requestAll(t *testing.T, c *upstream.Client) []error {
	t.Helper()
	_, resolveErr := c.Resolve(t.Context(), appTag)
	_, manifestErr := c.Manifest(t.Context(), appDigest)
	_, tagsErr := c.Tags(t.Context(), app)
	_, referrersErr := c.Referrers(t.Context(), app, indexSHA)
	_, catalogErr := c.Catalog(t.Context(), app.Host)
	_, statErr := c.StatBlob(t.Context(), app, blobSHA)
	read := func(body io.ReadCloser, _ int64, err error) error {
		if err == nil {
			_, err = io.ReadAll(body)
			body.Close()
		}
		return err
	}
	blobErr := read(c.Blob(t.Context(), app, blobSHA))
	partErr := read(c.BlobPart(t.Context(), app, blobSHA, 2, 3))
	_, bypassErr := c.Manifest(mirror.BypassBreaker(t.Context()), appTag)
	return []error{resolveErr, manifestErr, tagsErr, referrersErr, catalogErr, statErr, blobErr, partErr, bypassErr}
}

// output collects all text that a client shows. It is safe for concurrent use.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) Sync() error { return nil }

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// error writes the texts of err and of all errors that it wraps: a caller may show any of them.
func (o *output) error(err error) {
	if err == nil {
		return
	}
	fmt.Fprintf(o, "%v\n%+v\n", err, err)
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			o.error(err)
		}
	}
	o.error(errors.Unwrap(err))
}
