package upstream_test

import (
	"net/http"
	"strings"
	"testing"

	"airmirror/mirror"
	"airmirror/upstream"
)

// TestLinks checks that the query of a Link is used at the endpoint of the first page.
func TestLinks(t *testing.T) {
	for link, want := range map[string]string{
		`<https://registry.test/v2/org/app/tags/list?x=1>; rel="next"`:          "x=1",
		`<http://registry.internal:5000/v2/org/app/tags/list?x=1>; rel="next"`:  "x=1",
		`<//other.test/?x=1>; rel="next"`:                                       "x=1",
		`</v2/org/app/tags/list?last=a,b&n=2>; rel="next"`:                      "last=a,b&n=2",
		`<?a=1,2>; rel="prev", <?b=2,3>; title="x"; rel=next, <?c=1>; rel=last`: "b=2,3",
	} {
		inBubble(t, func(t *testing.T, n *memoryNetwork) {
			s := play(serveList(link, "a"), serveList("", "b"))
			n.serve("registry.test", s)
			tags, err := n.client(upstream.Options{}).Tags(t.Context(), app)
			if err != nil || strings.Join(tags, " ") != "a b" {
				t.Errorf("%s: tags are %v, %v", link, tags, err)
				return
			}
			if got := s.requests[1].URL; got.Path != "/v2/org/app/tags/list" || got.RawQuery != want {
				t.Errorf("%s: requested %s", link, got)
			}
		})
	}
}

// TestPageSizeIsRefused checks that a smaller page is requested next, and then one without a size.
func TestPageSizeIsRefused(t *testing.T) {
	for code, id := range map[int]string{400: "PAGINATION_NUMBER_INVALID", 422: "UNPROCESSABLE"} {
		inBubble(t, func(t *testing.T, n *memoryNetwork) {
			refuse := status(code, id, "")
			s := play(refuse, refuse, serveList("", "a"))
			n.serve("registry.test", s)
			tags, err := n.client(upstream.Options{}).Tags(t.Context(), app)
			if err != nil || len(tags) != 1 {
				t.Fatalf("tags are %v, %v", tags, err)
			}
			var queries []string
			for _, r := range s.requests {
				queries = append(queries, r.URL.RawQuery)
			}
			if got := strings.Join(queries, " "); got != "n=1000 n=100 " {
				t.Errorf("queries were %q", got)
			}
		})
	}
}

// TestNoReferrersAPI checks that the referrers tag is used, which must not be the subject itself.
func TestNoReferrersAPI(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"a page": page(200), "nothing": func(http.ResponseWriter, *http.Request) {}, "something else": serveList("", "a"),
		"another host's 404": redirectTo("http://web.test/404"), "another host's 500": redirectTo("http://web.test/500"),
		"another host's 429": redirectTo("http://web.test/429"), "another host's page": redirectTo("http://web.test/200"),
	} {
		for tag, want := range map[string]int{"signatures": 1, "the subject": 0} {
			t.Run(name+", "+tag, func(t *testing.T) {
				inBubble(t, func(t *testing.T, n *memoryNetwork) {
					tagged := serveReferrers("", "a")
					if tag == "the subject" {
						tagged = serveIndex
					}
					n.serve("registry.test", route(&requestLog{}, map[string]http.HandlerFunc{
						"GET /v2/org/app/referrers/":        answer,
						"GET /v2/org/app/manifests/sha256-": tagged,
					}))
					n.serve("web.test", route(&requestLog{}, map[string]http.HandlerFunc{
						"GET /404": page(404), "GET /500": page(500), "GET /429": limited("60"), "GET /200": page(200),
					}))
					list, err := n.client(upstream.Options{}).Referrers(t.Context(), app, indexSHA)
					if err != nil || len(list) != want {
						t.Errorf("referrers are %v, %v", list, err)
					}
				})
			})
		}
	}
}

// TestListsOfAMirror checks that an incomplete list of another mirror is returned with an error, also if only the first
// page says so.
func TestListsOfAMirror(t *testing.T) {
	lacks := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(mirror.MissHeader, mirror.MissUnavailable)
			h(w, r)
		}
	}
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		n.serve("registry.test", play(lacks(serveList(`<?last=a>; rel="next"`, "a")), serveList("", "b")))
		tags, err := n.client(upstream.Options{}).Tags(t.Context(), app)
		wantError(t, err, mirror.CodeUnavailable, "registry.test is fetched from a mirror, which does not have all of the tags of registry.test/org/app at present")
		if strings.Join(tags, " ") != "a b" {
			t.Errorf("tags are %v", tags)
		}
	})
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		n.serve("registry.test", play(lacks(serveReferrers("", "one"))))
		list, err := n.client(upstream.Options{}).Referrers(t.Context(), app, indexSHA)
		wantError(t, err, mirror.CodeUnavailable, "does not have all of the referrers of")
		if len(list) != 1 {
			t.Errorf("referrers are %v", list)
		}
	})
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		n.serve("registry.test", play(lacks(status(404, "NAME_UNKNOWN", "the mirror is offline"))))
		tags, err := n.client(upstream.Options{}).Tags(t.Context(), app)
		wantError(t, err, mirror.CodeUnavailable, "is fetched from a mirror, which does not have the tags of", "the mirror is offline")
		if len(tags) != 0 {
			t.Errorf("tags are %v", tags)
		}
	})
}

// TestInterruptedList checks that a list whose second page fails is an error, and is neither shortened nor missing.
func TestInterruptedList(t *testing.T) {
	for name, second := range map[string]http.HandlerFunc{
		"500": page(500), "400": status(400, "PAGINATION_NUMBER_INVALID", ""), "404": status(404, "NAME_UNKNOWN", ""), "403": status(403, "DENIED", ""), "a web page": page(200),
	} {
		inBubble(t, func(t *testing.T, n *memoryNetwork) {
			n.serve("registry.test", play(serveList(`<?last=a>; rel="next"`, "a"), second))
			tags, err := n.client(upstream.Options{}).Tags(t.Context(), app)
			if mirror.CodeOf(err) != mirror.CodeUnavailable || len(tags) > 0 {
				t.Errorf("%s: %v, %v", name, tags, err)
			}
		})
	}
}
