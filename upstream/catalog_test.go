package upstream_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"airmirror/mirror"
	"airmirror/upstream"
)

// serveCatalog serves a page of names with a Link to the next page, if there is one.
func serveCatalog(link string, names ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if link != "" {
			w.Header().Set("Link", link)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"repositories": names})
	}
}

func TestCatalog(t *testing.T) {
	for name, test := range map[string]struct {
		url   string
		steps []http.HandlerFunc
		want  []string
		query string // of the second page
	}{
		"one page":     {"http://registry.test", []http.HandlerFunc{serveCatalog("", "team/app", "app")}, []string{"team/app", "app"}, ""},
		"none":         {"http://registry.test", []http.HandlerFunc{serveCatalog("")}, []string{}, ""},
		"two pages":    {"http://registry.test", []http.HandlerFunc{serveCatalog(`</v2/_catalog?last=b&n=2>; rel="next"`, "a", "b"), serveCatalog("", "c")}, []string{"a", "b", "c"}, "last=b&n=2"},
		"as it is":     {"http://registry.test", []http.HandlerFunc{serveCatalog("", "App", "", "a//b")}, []string{"App", "", "a//b"}, ""},
		"below prefix": {"http://registry.test/team", []http.HandlerFunc{serveCatalog("", "app", "team/app", "team/a/b", "teams/app")}, []string{"app", "a/b"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memoryNetwork) {
				s := play(test.steps...)
				n.serve("registry.test", s)
				got, err := n.configured(upstream.Options{}, at(test.url)).Catalog(t.Context(), "registry.test")
				if err != nil || !slices.Equal(got, test.want) {
					t.Errorf("names are %q, %v", got, err)
				}
				if got := s.requests[0].URL; got.Path != "/v2/_catalog" || got.RawQuery != "n=1000" {
					t.Errorf("requested %s", got)
				}
				if got := s.requests[len(s.requests)-1].URL; test.query != "" && (got.Path != "/v2/_catalog" || got.RawQuery != test.query) {
					t.Errorf("the second page is requested as %s", got)
				}
			})
		})
	}
}

func TestCatalogErrors(t *testing.T) {
	many := strings.Repeat(`"v",`, 201_000)
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		code   mirror.Code
		says   string
	}{
		"none":          {status(404, "UNSUPPORTED", "no catalog"), mirror.CodeNameUnknown, "upstream registry.test does not have the catalog of registry.test"},
		"refused":       {status(401, "UNAUTHORIZED", ""), mirror.CodeNameUnknown, "refused the catalog"},
		"405":           {status(405, "UNSUPPORTED", ""), mirror.CodeUnavailable, "405"},
		"a web page":    {page(200), mirror.CodeUnavailable, "web page"},
		"no names":      {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"tags":[]}`) }, mirror.CodeUnavailable, "not a catalog"},
		"not a catalog": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"repositories":{}}`) }, mirror.CodeUnavailable, "not a catalog"},
		"other host":    {serveCatalog(`<http://other.test/v2/_catalog?n=1>; rel="next"`, "a"), mirror.CodeUnavailable, "link to one another"},
		"round":         {serveCatalog(`<?last=a>; rel="next"`, "a"), mirror.CodeUnavailable, "link to one another"},
		"too many":      {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"repositories":[`+many+`"v"]}`) }, mirror.CodeUnavailable, "more than 200000 items"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memoryNetwork) {
				n.serve("registry.test", open(test.answer))
				_, err := n.client(upstream.Options{}).Catalog(t.Context(), "registry.test")
				wantError(t, err, test.code, "registry.test", test.says)
			})
		})
	}
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		_, err := n.client(upstream.Options{}).Catalog(t.Context(), "other.test")
		wantError(t, err, mirror.CodeNameUnknown, "other.test")
	})
}

// TestCatalogSignsIn has a registry that wants one token for the catalog and another for a repository.
func TestCatalogSignsIn(t *testing.T) {
	n := newNetwork(t)
	k := n.serveTokens(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/_catalog") {
			serveCatalog("", "org/app")(w, r)
			return
		}
		serveList("", "a")(w, r)
	})
	config := at("http://registry.test")
	config.Endpoints[0].Credentials = upstream.Credentials{Username: "alice", Password: "secret"}
	client := n.configured(upstream.Options{}, config)
	for range 2 {
		if names, err := client.Catalog(t.Context(), "registry.test"); err != nil || !slices.Equal(names, []string{"org/app"}) {
			t.Errorf("names are %v, %v", names, err)
		}
	}
	if _, err := client.Tags(t.Context(), app); err != nil {
		t.Error(err)
	}
	var scopes []string
	for _, r := range k.asked {
		scopes = append(scopes, r.URL.Query()["scope"]...)
		if user, password, _ := r.BasicAuth(); user != "alice" || password != "secret" {
			t.Errorf("signed in as %q with %q", user, password)
		}
	}
	if len(scopes) == 0 || scopes[0] != "registry:catalog:*" || !slices.Contains(scopes, "repository:org/app:pull") {
		t.Errorf("scopes are %v", scopes)
	}
}
