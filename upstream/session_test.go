package upstream_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"airmirror/mirror"
	"airmirror/upstream"
)

// gate is a registry that holds each ping until it is let through.
type gate struct {
	arrived chan struct{} // gets a value for each ping
	through chan struct{} // takes one for each
}

func (n *network) serveGate(seen *log) *gate {
	g := &gate{arrived: make(chan struct{}, 100), through: make(chan struct{})}
	n.serve("registry.test", seen.wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" {
			serveIndex(w, r)
			return
		}
		g.arrived <- struct{}{}
		select {
		case <-g.through:
		case <-r.Context().Done():
		}
	})))
	return g
}

func TestOnePing(t *testing.T) {
	n, seen := newNetwork(t), &log{}
	g := n.serveGate(seen)
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
	if got := seen.count("/v2/"); got != 1 {
		t.Errorf("pinged %d times", got)
	}
}

// TestHangingPing: who waits for a ping that hangs keeps nobody else waiting, and leaves when it wants to. The ping goes
// on for those who stay.
func TestHangingPing(t *testing.T) {
	n, seen := newNetwork(t), &log{}
	g := n.serveGate(seen)
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
	<-g.arrived // another repository has a ping of its own
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
	if got := seen.count("/v2/"); got != 2 {
		t.Errorf("pinged %d times, want once for each repository", got)
	}
}

// TestPingTimeout: a ping that hangs ends, and the next request pings again.
func TestPingTimeout(t *testing.T) {
	n, seen := newNetwork(t), &log{}
	g := n.serveGate(seen)
	c := n.client(upstream.Options{Timeout: 100 * time.Millisecond}, "http://registry.test")
	within(t, func() {
		_, err := c.Manifest(t.Context(), appTag)
		wantError(t, err, mirror.CodeUnavailable, "registry.test does not answer: no answer within 100ms")
	})
	close(g.through)
	within(t, func() {
		for err := errors.New("not asked"); err != nil; { // the ping that hung may take a moment more to end
			_, err = c.Manifest(t.Context(), appTag)
		}
	})
}
