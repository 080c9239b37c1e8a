package proxy_test

import (
	"net"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

// TestOnWantIsCalledOnce checks that OnWant is called once for each new want, and again only after the want was
// removed.
func TestOnWantIsCalledOnce(t *testing.T) {
	var told []string
	p := start(t, proxy.Options{Mode: mirror.Offline, OnWant: func(w mirror.Want) {
		told = append(told, w.Ref)
		if w.Count != 1 || w.First.IsZero() || w.Reason == "" || !slices.Equal(w.Clients, []string{"10.0.0.1"}) || w.Blob != (w.Ref != byTag("v1").String()) {
			t.Errorf("called with %+v", w)
		}
		w.Clients[0] = "other" // the receiver may change its copy
	}})
	ctx := mirror.WithClient(t.Context(), &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 4000})
	blob := digest.FromString("blob")
	for range 3 {
		_, _ = p.Manifest(ctx, byTag("v1"))
		_, _ = p.Blob(ctx, app, blob)
	}
	want := []string{byTag("v1").String(), byDigest(blob).String()}
	if !slices.Equal(told, want) {
		t.Errorf("called with %s, want %s", told, want)
	}
	if clients := p.Wants()[0].Clients; !slices.Equal(clients, []string{"10.0.0.1"}) {
		t.Errorf("a want is of %s", clients)
	}
	p.restart()
	_, _ = p.Manifest(ctx, byTag("v1"))
	p.ForgetWants(byTag("v1").String())
	_, _ = p.Manifest(ctx, byTag("v1"))
	if want = append(want, byTag("v1").String()); !slices.Equal(told, want) {
		t.Errorf("called with %s, want %s", told, want)
	}
}

// TestNetworkContextEndsOffline checks that the context of other dials ends when the mirror goes offline, and that a
// new one is valid afterwards.
func TestNetworkContextEndsOffline(t *testing.T) {
	p := start(t, proxy.Options{})
	up, changed := p.NetworkContext()
	if up.Err() != nil || isClosed(changed) {
		t.Fatal("there is no link while the mirror is online")
	}
	p.must(p.SetMode(t.Context(), mirror.Offline))
	if up.Err() == nil || !isClosed(changed) {
		t.Error("the context is valid while the mirror is offline")
	}
	down, changed := p.NetworkContext()
	if down.Err() == nil || isClosed(changed) {
		t.Error("there is a link while the mirror is offline")
	}
	p.must(p.SetMode(t.Context(), mirror.Auto))
	if up, _ := p.NetworkContext(); up.Err() != nil || !isClosed(changed) {
		t.Error("there is no link when the mirror is online again")
	}
	p.stop()
	if up, _ := p.NetworkContext(); up.Err() == nil {
		t.Error("the context is valid after Close")
	}
	p.start()
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
