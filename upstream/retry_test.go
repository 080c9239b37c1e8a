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

// TestSecondAttempt: what may be over in a moment is asked once more, and nothing else.
func TestSecondAttempt(t *testing.T) {
	for name, test := range map[string]struct {
		first    http.HandlerFunc
		attempts int
	}{
		"502": {page(502), 2}, "503": {page(503), 2}, "504": {page(504), 2}, "broken": {abort, 2}, "429": {slowDown, 2},
		"500": {page(500), 1}, "404": {status(404, "MANIFEST_UNKNOWN", ""), 1}, "403": {page(403), 1},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *pipes) {
				s := play(test.first, serveIndex)
				n.serve("registry.test", s)
				var err error
				d := took(func() { err = ask(t, n.client(upstream.Options{})) })
				if (err == nil) != (test.attempts == 2) || d > 300*time.Millisecond {
					t.Errorf("after %v: %v", d, err)
				}
				if got := s.count("/v2/org/app/manifests/v1"); name != "403" && got != test.attempts {
					t.Errorf("asked %d times, want %d", got, test.attempts)
				}
			})
		})
	}
}

// TestSecondAttemptIsTheLast: an upstream that stays as it is is not asked over and over.
func TestSecondAttemptIsTheLast(t *testing.T) {
	inBubble(t, func(t *testing.T, n *pipes) {
		s := play(page(503))
		n.serve("registry.test", s)
		wantError(t, ask(t, n.client(upstream.Options{})), mirror.CodeUnavailable, "503")
		if got := len(s.lines()); got != 2 {
			t.Errorf("asked %d times", got)
		}
	})
}

// TestRefusedConnectionIsFinal: nobody there is nobody there.
func TestRefusedConnectionIsFinal(t *testing.T) {
	inBubble(t, func(t *testing.T, n *pipes) {
		n.fail("registry.test", syscall.ECONNREFUSED)
		wantAtOnce(t, n.client(upstream.Options{}), "connection refused")
		if n.dialled() != 1 {
			t.Errorf("dialled %d times", n.dialled())
		}
	})
}
