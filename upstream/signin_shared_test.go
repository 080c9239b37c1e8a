package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"airmirror/mirror"
	"airmirror/upstream"
)

// heldTokenService is a token service that holds each request until the test releases it.
type heldTokenService struct {
	arrived chan struct{} // gets a value for each request
	through chan struct{} // takes one for each
}

// serveHeldTokenService serves a registry with such a token service.
func (n *network) serveHeldTokenService(seen *requestLog) *heldTokenService {
	g := &heldTokenService{arrived: make(chan struct{}, 100), through: make(chan struct{})}
	n.serve("registry.test", seen.wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token":
			g.arrived <- struct{}{}
			select {
			case <-g.through:
				fmt.Fprint(w, `{"token":"let-in"}`)
			case <-r.Context().Done():
			}
		case r.Header.Get("Authorization") == "Bearer let-in":
			serveIndex(w, r)
		default:
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://registry.test/token"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	})))
	return g
}

func TestOneToken(t *testing.T) {
	n, seen := newNetwork(t), &requestLog{}
	g := n.serveHeldTokenService(seen)
	c := n.client(upstream.Options{}, "http://registry.test")
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := c.Manifest(t.Context(), appTag); err != nil {
				t.Error(err)
			}
		})
	}
	<-g.arrived
	close(g.through)
	within(t, all.Wait)
	if got := seen.count("/token"); got != 1 {
		t.Errorf("requested %d tokens", got)
	}
}

// TestHangingTokenService checks that a caller which waits for a token delays no other request and can leave, and that
// the token request continues for the remaining callers.
func TestHangingTokenService(t *testing.T) {
	n, seen := newNetwork(t), &requestLog{}
	g := n.serveHeldTokenService(seen)
	c := n.client(upstream.Options{Timeout: time.Hour}, "http://registry.test")

	impatient, leave := context.WithCancel(t.Context())
	var left, stayed error
	var all, first sync.WaitGroup
	first.Go(func() { _, left = c.Manifest(impatient, appTag) })
	<-g.arrived
	all.Go(func() { _, stayed = c.Manifest(t.Context(), appTag) })

	var other error
	var second sync.WaitGroup
	second.Go(func() {
		_, other = c.Manifest(t.Context(), mirror.Ref{Repo: mirror.Repo{Host: "registry.test", Path: "other"}, Tag: "v1"})
	})
	<-g.arrived // another repository needs another token
	leave()
	within(t, first.Wait)
	if !errors.Is(left, context.Canceled) {
		t.Errorf("who left got %v", left)
	}
	close(g.through)
	within(t, second.Wait)
	within(t, all.Wait)
	if other != nil || stayed != nil {
		t.Errorf("other repository: %v; who stayed: %v", other, stayed)
	}
}

// TestTokenTimeout checks that a token request times out and that the next request sends another one.
func TestTokenTimeout(t *testing.T) {
	n, seen := newNetwork(t), &requestLog{}
	g := n.serveHeldTokenService(seen)
	c := n.client(upstream.Options{Timeout: 100 * time.Millisecond}, "http://registry.test")
	within(t, func() {
		_, err := c.Manifest(t.Context(), appTag)
		wantError(t, err, mirror.CodeUnavailable, "registry.test does not answer: no answer within 100ms")
	})
	close(g.through)
	within(t, func() {
		for err := errors.New("no request yet"); err != nil; { // the canceled request may still be running
			_, err = c.Manifest(t.Context(), appTag)
		}
	})
}
