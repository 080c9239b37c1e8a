package upstream_test

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"airmirror/mirror"
	"airmirror/upstream"
)

func abort(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// TestRetry checks that transient failures are retried once, and no others.
func TestRetry(t *testing.T) {
	for name, test := range map[string]struct {
		first    http.HandlerFunc
		attempts int
	}{
		"502": {page(502), 2}, "503": {page(503), 2}, "504": {page(504), 2}, "broken": {abort, 2}, "429": {slowDown, 2},
		"500": {page(500), 1}, "404": {status(404, "MANIFEST_UNKNOWN", ""), 1}, "403": {page(403), 1},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memoryNetwork) {
				s := play(test.first, serveIndex)
				n.serve("registry.test", s)
				var err error
				d := took(func() { err = fetch(t, n.client(upstream.Options{})) })
				if (err == nil) != (test.attempts == 2) || d > 300*time.Millisecond {
					t.Errorf("after %v: %v", d, err)
				}
				if got := s.count("/v2/org/app/manifests/v1"); name != "403" && got != test.attempts {
					t.Errorf("%d requests, want %d", got, test.attempts)
				}
			})
		})
	}
}

// TestRetryOnlyOnce has an upstream that keeps failing.
func TestRetryOnlyOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		s := play(page(503))
		n.serve("registry.test", s)
		wantError(t, fetch(t, n.client(upstream.Options{})), mirror.CodeUnavailable, "503")
		if got := len(s.lines()); got != 2 {
			t.Errorf("%d requests", got)
		}
	})
}

// TestRefusedConnectionIsNotRetried has an upstream that refuses connections.
func TestRefusedConnectionIsNotRetried(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		n.fail("registry.test", syscall.ECONNREFUSED)
		wantAtOnce(t, n.client(upstream.Options{}), "connection refused")
		if n.dialled() != 1 {
			t.Errorf("dialled %d times", n.dialled())
		}
	})
}
