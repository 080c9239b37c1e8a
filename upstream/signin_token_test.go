package upstream_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"airmirror/mirror"
	"airmirror/upstream"
)

// tokenHost is a registry that wants a token for each repository, and its token service, on the same host or another.
type tokenHost struct {
	requestLog
	bad atomic.Pointer[http.HandlerFunc] // what the token service answers for org/app, if not nil
}

func (n *memoryNetwork) serveTokenHost(service string) *tokenHost {
	h := &tokenHost{}
	give := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scope := r.URL.Query().Get("scope")
		if bad := h.bad.Load(); bad != nil && strings.Contains(scope, "org/app") {
			(*bad)(w, r)
			return
		}
		fmt.Fprintf(w, `{"token":%q}`, strings.ReplaceAll(scope, ":", "-"))
	})
	n.serve("registry.test", h.wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		repo, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/manifests")
		repo, _, _ = strings.Cut(repo, "/tags")
		switch {
		case r.URL.Path == "/token":
			give(w, r)
		case r.Header.Get("Authorization") != "Bearer repository-"+repo+"-pull":
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",scope="repository:%s:pull"`, service, repo))
			w.WriteHeader(http.StatusUnauthorized)
		case strings.HasSuffix(r.URL.Path, "/tags/list"):
			serveList("", "v1")(w, r)
		default:
			serveIndex(w, r)
		}
	})))
	if service != "registry.test" {
		n.serve(service, h.wrap(give))
	}
	return h
}

func (h *tokenHost) fail(with http.HandlerFunc) { h.bad.Store(&with) }

// TestTokensFail checks that failures of a token service block token requests for that repository only.
func TestTokensFail(t *testing.T) {
	for name, bad := range map[string]http.HandlerFunc{"500": page(500), "503": status(503, "UNAVAILABLE", ""), "silence": silent} {
		for _, service := range []string{"registry.test", "auth.test"} {
			t.Run(name+" of "+service, func(t *testing.T) {
				inBubble(t, func(t *testing.T, n *memoryNetwork) {
					h := n.serveTokenHost(service)
					c := n.client(upstream.Options{})
					h.fail(bad)
					for range 3 {
						wantError(t, fetch(t, c), mirror.CodeUnavailable)
						wantOtherRepositoryWorks(t, c)
					}
					tokens := h.count("/token")
					wantAtOnce(t, c, "no request was sent to registry.test: token requests to "+service+" failed repeatedly; next attempt at")
					if _, err := c.Tags(t.Context(), app); mirror.CodeOf(err) != mirror.CodeUnavailable {
						t.Errorf("tags: %v", err)
					}
					if got := h.count("/token"); got != tokens {
						t.Errorf("the token service got %d more requests", got-tokens)
					}
					wantOtherRepositoryWorks(t, c)
					if s := c.Status()[0]; s.Down {
						t.Errorf("the upstream is down: %+v", s)
					}
					h.bad.Store(nil)
					<-time.After(10 * time.Second)
					if err := fetch(t, c); err != nil { // the manifest itself never failed
						t.Error(err)
					}
					if _, err := c.Tags(t.Context(), app); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// TestTokensAreLimited checks that the rate limit of a token service is obeyed, and that requests with a token are
// still sent.
func TestTokensAreLimited(t *testing.T) {
	for _, service := range []string{"registry.test", "auth.test"} {
		t.Run(service, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memoryNetwork) {
				h := n.serveTokenHost(service)
				c := n.client(upstream.Options{})
				wantOtherRepositoryWorks(t, c)
				h.fail(limited("60"))
				wantError(t, fetch(t, c), mirror.CodeUnavailable, "slow down")
				tokens := h.count("/token")
				wantAtOnce(t, c, "is reached; next attempt at")
				if got := h.count("/token"); got != tokens {
					t.Error("the token service got a request")
				}
				wantOtherRepositoryWorks(t, c)
				h.bad.Store(nil)
				<-time.After(time.Minute)
				if err := fetch(t, c); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestTokensOfTheBackground checks that a client neither waits for a sign-in of background work nor is affected by its
// failures.
func TestTokensOfTheBackground(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		h := n.serveTokenHost("registry.test")
		c := n.client(upstream.Options{})
		h.fail(page(500))
		background := mirror.Background(t.Context())
		for range 4 {
			_, _ = c.Manifest(background, appTag)
		}
		h.fail(silent)
		var waiting sync.WaitGroup
		<-time.After(10 * time.Second)
		waiting.Go(func() { _, _ = c.Manifest(background, appTag) })
		synctest.Wait()
		h.bad.Store(nil)
		if d := took(func() {
			if err := fetch(t, c); err != nil {
				t.Error(err)
			}
		}); d != 0 {
			t.Errorf("the client waited for %v", d)
		}
		waiting.Wait()
	})
}

// TestCanceledSignIn checks that a canceled sign-in says nothing about the token service.
func TestCanceledSignIn(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		h := n.serveTokenHost("auth.test")
		c := n.client(upstream.Options{})
		h.fail(silent)
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, _ = c.Manifest(ctx, appTag)
			cancel()
		}
		h.bad.Store(nil)
		if err := fetch(t, c); err != nil {
			t.Error(err)
		}
	})
}
