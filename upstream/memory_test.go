package upstream_test

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"airmirror/mirror"
	"airmirror/upstream"
)

// padded returns an index of this size.
func padded(size int) []byte {
	return []byte(strings.TrimSuffix(string(index), "}") + `,"annotations":{"a":"` + strings.Repeat("x", size) + `"}}`)
}

// TestLargeManifestsThatArriveSlowly checks that an upstream gets no more than its share of the memory, and that small
// manifests always fit.
func TestLargeManifestsThatArriveSlowly(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		release := make(chan bool)
		n.serve("registry.test", open(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", indexType)
			body := padded(3 << 20)
			if strings.HasSuffix(r.URL.Path, "small") {
				body = []byte(index)
			}
			send(w, body[:len(body)-1], false)
			if len(body) > len(index) {
				<-release
			}
			send(w, body[len(body)-1:], false)
		}))
		n.serve("other.test", open(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", indexType)
			send(w, padded(3<<20), false)
		}))
		c := n.configured(upstream.Options{}, at("http://registry.test"), upstream.Config{Host: "other.test", Endpoints: []upstream.EndpointConfig{{URL: "http://other.test"}}})
		const all = 40
		var mu sync.Mutex
		var got, refused int
		for i := range all {
			go func() {
				_, err := c.Manifest(t.Context(), mirror.Ref{Repo: app, Tag: strconv.Itoa(i)})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					got++
				case mirror.CodeOf(err) == mirror.CodeUnavailable:
					refused++
				default:
					t.Error(err)
				}
			}()
		}
		synctest.Wait()
		mu.Lock()
		if most := 64 / 3; got != 0 || refused < all-most || refused == all {
			t.Errorf("%d of %d were refused, %d have arrived", refused, all, got)
		}
		mu.Unlock()
		for _, ref := range []mirror.Ref{{Repo: app, Tag: "small"}, {Repo: mirror.Repo{Host: "other.test", Path: "app"}, Tag: "v1"}} {
			if _, err := c.Manifest(t.Context(), ref); err != nil {
				t.Errorf("%s meanwhile: %v", ref, err)
			}
		}
		close(release)
		synctest.Wait()
		if got+refused != all || got == 0 {
			t.Errorf("%d have arrived and %d were refused, of %d", got, refused, all)
		}
		for range 2 { // all memory was released
			if _, err := c.Manifest(t.Context(), mirror.Ref{Repo: app, Tag: "again"}); err != nil {
				t.Error(err)
			}
		}
	})
}
