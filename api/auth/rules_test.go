package auth_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/api/auth"
	"airmirror/api/registry"
	"airmirror/mirror"
)

const (
	pull, push, del = registry.Pull, registry.Push, registry.Delete
)

// company returns options with rules for several users.
func company(t *testing.T) auth.Options {
	return auth.Options{
		Htpasswd: htpasswd(t, "alice", "bob", "carol"),
		Groups:   map[string][]string{"ops": {"alice"}},
		Rules: []auth.Rule{
			{Groups: []string{"ops"}, Repositories: []string{"**"}, Actions: []registry.Action{pull, push, del}},
			{Users: []string{"bob"}, Repositories: []string{"team/**"}, Actions: []registry.Action{pull, push}},
			{Users: []string{"*"}, Repositories: []string{"docker.io/library/*", "QUAY.io/org/**"}, Actions: []registry.Action{pull}},
			{Users: []string{auth.Anonymous}, Repositories: []string{"**/public"}, Actions: []registry.Action{pull}},
		},
	}
}

// TestRules: by repository, action and client.
func TestRules(t *testing.T) {
	s := newSite(t, company(t))
	for repo, may := range map[string]map[string]string{ // user → the first letters of the allowed actions
		"team/app":                       {"alice": "PpD", "bob": "Pp", "carol": "", "": ""},
		"team/deep/app":                  {"alice": "PpD", "bob": "Pp", "carol": "", "": ""},
		"docker.io/team/app":             {"alice": "PpD", "bob": "Pp", "carol": "", "": ""},
		"quay.io/team/app":               {"alice": "PpD", "bob": "", "carol": "", "": ""},
		"quay.io/org/app":                {"alice": "PpD", "bob": "P", "carol": "P", "": ""},
		"library/app":                    {"alice": "PpD", "bob": "P", "carol": "P", "": ""},
		"library/deep/app":               {"alice": "PpD", "bob": "", "carol": "", "": ""},
		"team/public":                    {"alice": "PpD", "bob": "Pp", "carol": "P", "": "P"},
		"ghcr.io/any/public":             {"alice": "PpD", "bob": "P", "carol": "P", "": "P"},
		"team2/app":                      {"alice": "PpD", "bob": "", "carol": "", "": ""},
		"localhost:5000/team/x":          {"alice": "PpD", "bob": "", "carol": "", "": ""},
		"registry.hub.docker.com/team/x": {"alice": "PpD", "bob": "Pp", "carol": "", "": ""},
	} {
		for name, letters := range may {
			who, refused := known(name), 403
			if name == "" {
				who, refused = nobody, 401
			}
			for _, try := range []struct {
				letter, method, path string
				allowed              int
			}{
				{"P", "GET", "/manifests/1", 404}, {"P", "HEAD", "/manifests/1", 404}, {"P", "GET", "/tags/list", 404},
				{"P", "GET", "/blobs/" + someDigest, 404}, {"P", "GET", "/referrers/" + someDigest, 200},
				{"p", "PUT", "/manifests/1", 400}, {"p", "PATCH", "/blobs/uploads/x", 404}, {"p", "GET", "/blobs/uploads/x", 404},
				{"p", "DELETE", "/blobs/uploads/x", 404},
				{"D", "DELETE", "/manifests/1", 404}, {"D", "DELETE", "/blobs/" + someDigest, 404},
			} {
				want := refused
				if strings.Contains(letters, try.letter) {
					want = try.allowed
				}
				s.want(want, who, try.method, "/v2/"+repo+try.path, []byte("{}"))
			}
		}
	}
}

const someDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// TestRulesApplyToAllSpellingsOfAName: rules are matched against the name that is served.
func TestRulesApplyToAllSpellingsOfAName(t *testing.T) {
	s := newSite(t, company(t))
	s.fill("quay.io/secret/app")
	for _, path := range []string{
		"/v2/team/app/manifests/1?ns=quay.io", "/v2/secret/app/manifests/1?ns=quay.io", "/v2/app/manifests/1?ns=team",
		"/v2/team/app/manifests/1?ns=127.0.0.1:80", "/v2/quay.io/secret/app/manifests/1?ns=", "/v2/QUAY.IO/secret/app/manifests/1",
	} {
		s.want(403, known("bob"), "GET", path, nil)
	}
	for _, path := range []string{
		"/v2/team/../quay.io/secret/app/manifests/1", "/v2/team%2fapp/manifests/1", "/v2/team/%2e%2e/x/manifests/1", "/v2//quay.io/secret/app/manifests/1",
		"/v2/team/app/manifests/1?ns=../x", "/v2/Team/app/manifests/1", "/v2/team/app/manifests/1?ns=quay.io%2fsecret", "/v2/team/app?x=/manifests/1",
	} {
		if w := s.do(known("bob"), "GET", path, nil); w.Code != 400 && w.Code != 404 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

// TestMountNeedsPullOnTheSource: a blob can be read neither through another repository nor by mounting it from one that
// the client may not pull from.
func TestMountNeedsPullOnTheSource(t *testing.T) {
	s := newSite(t, company(t))
	secret, _ := s.fill("secret/app")
	public, _ := s.fill("library/base")
	bob := known("bob")
	s.want(404, bob, "GET", "/v2/team/app/blobs/"+secret.String(), nil)
	s.want(403, bob, "GET", "/v2/secret/app/blobs/"+secret.String(), nil)
	mount := func(status int, who as, d digest.Digest, from string) {
		t.Helper()
		s.want(status, who, "POST", "/v2/team/app/blobs/uploads/?mount="+d.String()+from, nil)
	}
	mount(202, bob, secret, "&from=secret/app")
	mount(202, bob, secret, "")
	mount(202, bob, secret, "&from=team/app")
	mount(202, bob, secret, "&from=app&ns=docker.io")
	s.want(404, bob, "GET", "/v2/team/app/blobs/"+secret.String(), nil)
	mount(202, bob, public, "") // it is readable in some repository, but that is not searched
	mount(201, bob, public, "&from=library/base")
	s.want(200, bob, "GET", "/v2/team/app/blobs/"+public.String(), nil)
	mount(201, known("alice"), secret, "")
	mount(403, known("carol"), public, "&from=library/base")

	// A manifest does not give access to blobs that the client cannot read.
	secret2, _ := s.fill("secret/two")
	manifest := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":[],"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":20,"digest":"` + secret2.String() + `"}}`
	s.want(404, bob, "PUT", "/v2/team/app/manifests/2", []byte(manifest), "Content-Type", "application/vnd.oci.image.manifest.v1+json")
	s.want(404, bob, "GET", "/v2/team/app/blobs/"+secret2.String(), nil)
}

// TestShortNamesDoNotBypassRules: docker.io/app is served as docker.io/library/app if it was not pushed.
func TestShortNamesDoNotBypassRules(t *testing.T) {
	s := newSite(t, auth.Options{Htpasswd: htpasswd(t, "bob", "alice"), Rules: []auth.Rule{
		{Users: []string{"bob"}, Repositories: []string{"*", "team/**"}, Actions: []registry.Action{pull, push, del}},
		{Users: []string{"alice"}, Repositories: []string{"**"}, Actions: []registry.Action{pull, push}},
	}})
	blob, _ := s.fill("library/app")
	s.fill("tool")
	s.want(200, known("alice"), "GET", "/v2/app/manifests/1", nil)
	s.want(200, known("bob"), "GET", "/v2/tool/manifests/1", nil)
	for _, path := range []string{"/manifests/1", "/blobs/" + blob.String(), "/tags/list"} {
		for _, method := range []string{"GET", "HEAD"} {
			s.want(404, known("bob"), method, "/v2/app"+path, nil)
			s.want(403, known("bob"), method, "/v2/library/app"+path, nil)
		}
	}
	for _, repo := range []string{"tool", "team/tool"} {
		s.want(202, known("bob"), "POST", "/v2/"+repo+"/blobs/uploads/?mount="+blob.String()+"&from=app", nil)
	}
	s.want(201, known("alice"), "POST", "/v2/tool/blobs/uploads/?mount="+blob.String()+"&from=app", nil)
}

// TestCatalogListsReadableRepositories: in pages.
func TestCatalogListsReadableRepositories(t *testing.T) {
	s := newSite(t, company(t))
	for _, repo := range []string{"a/x", "a/public", "library/app", "quay.io/org/app", "secret/x", "team/a", "team/b", "z/public"} {
		s.fill(repo)
	}
	for name, want := range map[string]string{
		"alice": "a/public a/x library/app quay.io/org/app secret/x team/a team/b z/public",
		"bob":   "a/public library/app quay.io/org/app team/a team/b z/public",
		"carol": "a/public library/app quay.io/org/app z/public",
		"":      "a/public z/public",
	} {
		who := known(name)
		if name == "" {
			who = nobody
		}
		for _, n := range []string{"1", "2", "100"} {
			var all []string
			for next := "/v2/_catalog?n=" + n; next != ""; {
				w := s.want(200, who, "GET", next, nil)
				var page struct{ Repositories []string }
				must(t, json.Unmarshal(w.Body.Bytes(), &page))
				all = append(all, page.Repositories...)
				next, _, _ = strings.Cut(strings.TrimPrefix(w.Header().Get("Link"), "<"), ">")
			}
			if got := strings.Join(all, " "); got != want {
				t.Errorf("%q sees, by %s, %s, want %s", name, n, got, want)
			}
		}
	}
}

func TestInvalidRules(t *testing.T) {
	all := []string{"**"}
	for name, tt := range map[string]struct {
		rule auth.Rule
		want string
	}{
		"nobody":        {auth.Rule{Repositories: all, Actions: []registry.Action{pull}}, "applies to nobody"},
		"no group":      {auth.Rule{Groups: []string{"op"}, Repositories: all, Actions: []registry.Action{pull}}, "group op is not defined"},
		"no repository": {auth.Rule{Users: []string{"a"}, Repositories: []string{}, Actions: []registry.Action{pull}}, "applies to no repository"},
		"no pattern":    {auth.Rule{Users: []string{"a"}, Repositories: []string{"["}, Actions: []registry.Action{pull}}, "not a valid pattern"},
		"no action":     {auth.Rule{Users: []string{"a"}, Repositories: all}, "allows nothing"},
		"another":       {auth.Rule{Users: []string{"a"}, Repositories: all, Actions: []registry.Action{"puhs"}}, "unknown action puhs"},
		"a wild user":   {auth.Rule{Users: []string{"a:b"}, Repositories: all, Actions: []registry.Action{pull}}, "not a valid user name"},
	} {
		_, err := auth.New(auth.Options{Rules: []auth.Rule{{Users: []string{"*"}, Repositories: all, Actions: []registry.Action{pull}}, tt.rule}})
		if err == nil || !strings.Contains(err.Error(), "rule 2: ") || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	if _, err := auth.New(auth.Options{Groups: map[string][]string{"ops": {"*"}}}); err == nil {
		t.Error("everybody is in a group")
	}
}

// TestPatternsUseTheNamesOfTheMirror: its default registry and its aliases.
func TestPatternsUseTheNamesOfTheMirror(t *testing.T) {
	names := mirror.Names{Default: "reg.corp", Aliases: map[string]string{"old.corp": "reg.corp"}}
	for pattern, repos := range map[string][]string{
		"team/**":            {"reg.corp/team/app", "reg.corp/team"},
		"old.corp/team/*":    {"reg.corp/team/app"},
		"*.io/team/app":      {"docker.io/team/app", "quay.io/team/app"},
		"**/app":             {"reg.corp/team/app", "docker.io/team/app", "quay.io/team/app", "team/team/app"},
		"*/app":              {"reg.corp/team/app"},
		"*":                  {"reg.corp/team"},
		"index.docker.io/**": {"docker.io/team/app"},
	} {
		guard, err := auth.New(auth.Options{Names: names, Rules: []auth.Rule{{Users: []string{auth.Anonymous}, Repositories: []string{pattern}, Actions: []registry.Action{pull}}}})
		must(t, err)
		for _, name := range []string{"reg.corp/team/app", "reg.corp/team", "docker.io/team/app", "quay.io/team/app", "team/team/app"} {
			repo, err := mirror.ParseRepo(name)
			must(t, err)
			if got := guard.Allowed(t.Context(), registry.Operation{Action: pull, Repo: repo}); got != slices.Contains(repos, name) {
				t.Errorf("%s covers %s: %v", pattern, name, got)
			}
		}
	}
}
