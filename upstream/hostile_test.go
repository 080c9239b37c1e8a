package upstream_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"airmirror/mirror"
	"airmirror/upstream"
)

// trickle sends a byte at intervals, without end.
func trickle(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", indexType)
		w.WriteHeader(code)
		for r.Context().Err() == nil {
			send(w, []byte(" "), false)
			pass(r, time.Second)
		}
	}
}

// TestTrickle checks that no body that is read as a whole may arrive byte by byte for ever, including errors and
// tokens.
func TestTrickle(t *testing.T) {
	for name, serve := range map[string]http.Handler{
		"content": open(trickle(http.StatusOK)),
		"error":   open(trickle(http.StatusNotFound)),
		"ping":    trickle(http.StatusOK),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memoryNetwork) {
				n.serve("registry.test", serve)
				c := n.client(upstream.Options{})
				for _, f := range []func() error{
					func() error { return fetch(t, c) },
					func() error { _, err := c.Tags(t.Context(), app); return err },
					func() error { _, err := c.Referrers(t.Context(), app, indexSHA); return err },
				} {
					var err error
					if d := took(func() { err = f() }); d > 10*time.Second {
						t.Errorf("duration is %v", d)
					}
					if err == nil && name != "error" {
						t.Error("no error")
					}
				}
			})
		})
	}
}

// TestWrongContentLength has responses whose Content-Length is wrong.
func TestWrongContentLength(t *testing.T) {
	lie := func(size int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(size))
			conn, buf, err := http.NewResponseController(w).Hijack() // the server would not lie by itself
			if err != nil {
				panic(err)
			}
			fmt.Fprintf(buf, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Type: %s\r\n\r\n%s", size, indexType, index)
			_ = buf.Flush()
			_ = conn.Close()
		}
	}
	for name, size := range map[string]int{"too long": len(index) + 10, "too short": len(index) - 1} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memoryNetwork) {
				n.serve("registry.test", open(lie(size)))
				wantError(t, fetch(t, n.client(upstream.Options{})), mirror.CodeUnavailable)
			})
		})
	}
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		n.serve("registry.test", open(lie(len(index)+10)))
		_, err := readLarge(t, n.client(upstream.Options{}))
		wantError(t, err, mirror.CodeUnavailable, "sent no more of")
	})
}

// TestSignInPageOfANetwork checks that a sign-in page is not taken for content, and that nothing of it remains once it
// is gone.
func TestSignInPageOfANetwork(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		portal := page(http.StatusOK)
		there := true
		n.serve("registry.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case there:
				portal(w, r)
			case r.URL.Path == "/v2/org/app/tags/list":
				serveList("", "v1")(w, r)
			default:
				serveIndex(w, r)
			}
		}))
		c := n.client(upstream.Options{})
		for range 5 {
			wantError(t, fetch(t, c), mirror.CodeUnavailable, "web page")
			_, err := c.Tags(t.Context(), app)
			wantError(t, err, mirror.CodeUnavailable, "web page")
		}
		there = false
		if err := fetch(t, c); err != nil {
			t.Error(err)
		}
		if tags, err := c.Tags(t.Context(), app); err != nil || len(tags) != 1 {
			t.Errorf("tags are %v, %v", tags, err)
		}
	})
}
