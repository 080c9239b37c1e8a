package proxy_test

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

// saved is longer than wants take until all nodes have them.
const saved = 21 * time.Second

// TestNodesAddUpTheirWants misses the same images and others on two nodes at the same time. No request may be lost.
func TestNodesAddUpTheirWants(t *testing.T) {
	inTime(t, func(t *testing.T) {
		a, b := startNodes(t, proxy.Options{Mode: mirror.Offline}, nil)
		const rounds, each = 3, 5
		for range rounds {
			var all sync.WaitGroup
			for i, node := range []*place{a, b} {
				ctx := mirror.WithClient(t.Context(), &net.TCPAddr{IP: net.IPv4(10, 0, 0, byte(i+1)), Port: 4000})
				all.Go(func() {
					for n := range each {
						_, _ = node.Manifest(ctx, byTag("both"))
						_, _ = node.Manifest(ctx, byTag(fmt.Sprintf("only-%d-%d", i, n)))
						later(time.Second)
					}
				})
			}
			all.Wait()
		}
		later(saved)
		for _, node := range []*place{a, b} {
			wants := node.Wants()
			if len(wants) != 1+2*each {
				t.Fatalf("a node has %d wants, want %d: %+v", len(wants), 1+2*each, wants)
			}
			slices.Sort(wants[0].Clients)
			if most := wants[0]; most.Ref != byTag("both").String() || most.Count != 2*rounds*each ||
				!slices.Equal(most.Clients, []string{"10.0.0.1", "10.0.0.2"}) || most.Last.Sub(most.First) < 10*time.Second {
				t.Errorf("the want of both nodes is %+v", most)
			}
			for _, want := range wants[1:] {
				if want.Count != rounds {
					t.Errorf("the want of one node is %+v", want)
				}
			}
		}
		if n := a.ForgetWants(byTag("only-1-0").String()); n != 1 {
			t.Errorf("%d wants were forgotten", n)
		}
		later(saved)
		a.missing(byTag("only-0-0"))
		b.missing(byTag("only-1-1"))
		later(saved)
		for _, node := range []*place{a, b} {
			refs := node.wants()
			if len(refs) != 2*each || slices.Contains(refs, byTag("only-1-0").String()) {
				t.Errorf("a node has the wants %s after one was forgotten", refs)
			}
		}
	})
}

// TestWantsOfContentThatAnotherNodeStored misses a blob on one node while another one gets it.
func TestWantsOfContentThatAnotherNodeStored(t *testing.T) {
	inTime(t, func(t *testing.T) {
		a, b := startNodes(t, proxy.Options{Mode: mirror.Offline}, nil)
		layer := digest.FromString("layer")
		miss := func() {
			t.Helper()
			if _, err := a.read(app, layer); mirror.CodeOf(err) != mirror.CodeBlobUnknown {
				t.Errorf("a blob that is not stored: %v", err)
			}
		}
		miss()
		later(saved)
		miss() // it is not saved yet when the other node removes the want
		b.push(app, "layer")
		later(saved)
		for _, node := range []*place{a, b} {
			if refs := node.wants(); len(refs) != 0 {
				t.Errorf("a node wants %s, which is stored", refs)
			}
		}
	})
}

// TestWantsSurviveAServerThatIsAway misses images while wants cannot be saved.
func TestWantsSurviveAServerThatIsAway(t *testing.T) {
	inTime(t, func(t *testing.T) {
		away := new(awayStore)
		a, b := startNodes(t, proxy.Options{Mode: mirror.Offline}, func(s mirror.Store) mirror.Store { away.Store = s; return away })
		a.missing(byTag("v1"))
		later(saved)
		away.away.Store(true)
		a.missing(byTag("v1"))
		b.missing(byTag("v1"))
		b.missing(byTag("v2"))
		later(time.Minute)
		away.away.Store(false)
		later(saved)
		for _, node := range []*place{a, b} {
			if wants := node.Wants(); len(wants) != 2 || wants[0].Count != 3 || wants[1].Count != 1 {
				t.Errorf("a node has the wants %+v, want one of 3 requests and one of 1", wants)
			}
		}
	})
}
