package proxy_test

import (
	"fmt"
	"net"
	"testing"
	"time"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

// TestMissesPerClientAreLimited checks that a client with endless misses reaches its limit, that others are still
// served, and that misses over the limit become wants.
func TestMissesPerClientAreLimited(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{MissesPerSecond: func() float64 { return 2 }})
		d := p.origin.image(app, []string{"one"}, "v1").Digest
		ask := func(last byte, ref mirror.Ref) (mirror.Answer, error) {
			return p.Manifest(mirror.WithClient(t.Context(), &net.TCPAddr{IP: net.IPv4(192, 0, 2, last), Port: 4000}), ref)
		}
		for i := range 100 {
			if _, err := ask(66, byTag(fmt.Sprintf("flood-%d", i))); mirror.CodeOf(err) != mirror.CodeManifestUnknown {
				t.Fatal(err)
			}
		}
		if n := p.origin.count(""); n != 20 {
			t.Errorf("the upstream got %d requests, want 20", n)
		}
		if _, err := ask(66, byTag("v1")); !mirror.TemporaryMiss(err) {
			t.Errorf("the client over its limit: %v", err)
		}
		if man, err := ask(1, byTag("v1")); err != nil || man.Digest != d {
			t.Errorf("another one: %v", err)
		}
		if man, err := ask(66, byTag("v1")); err != nil || man.Digest != d || man.Stale == nil {
			t.Errorf("stored content for the client over its limit: %v, stale %v", err, man.Stale)
		}
		later(time.Second)
		before := p.origin.count("")
		for i := range 10 {
			_, _ = ask(66, byTag(fmt.Sprintf("again-%d", i)))
		}
		if n := p.origin.count("") - before; n != 2 {
			t.Errorf("it got %d more requests in the next second, want 2", n)
		}
	})
}
