package auth_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"airmirror/api/auth"
	"airmirror/api/registry"
)

// adminsSee requests a page for administrators.
func adminsSee(t *testing.T, opts auth.Options, who as) *httptest.ResponseRecorder {
	t.Helper()
	guard, err := auth.New(opts)
	must(t, err)
	r, w := httptest.NewRequest("GET", "/metrics", nil), httptest.NewRecorder()
	who(r)
	guard.Admins(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "seen") })).ServeHTTP(w, r)
	if (w.Code == http.StatusOK) != (w.Body.String() == "seen") {
		t.Errorf("status %d, and %q", w.Code, w.Body)
	}
	return w
}

func TestWithoutUsersEverybodyMayAdminister(t *testing.T) {
	all := []string{"**"}
	for name, tt := range map[string]struct {
		opts auth.Options
		want int
	}{
		"nothing is said":       {auth.Options{}, 200},
		"everybody pushes":      {auth.Options{AnonymousPush: true}, 200},
		"everybody pulls":       {auth.Options{Rules: []auth.Rule{{Users: []string{auth.Anonymous}, Repositories: all, Actions: []registry.Action{pull}}}}, 200},
		"some may be pulled":    {auth.Options{Rules: []auth.Rule{{Users: []string{auth.Anonymous}, Repositories: []string{"a/**"}, Actions: []registry.Action{pull}}}}, 403},
		"nobody pulls":          {auth.Options{NoAnonymousPull: true}, 403},
		"there are users":       {auth.Options{Htpasswd: htpasswd(t, "alice")}, 401},
		"there are certs":       {auth.Options{Certificates: true}, 403},
		"everybody is an admin": {auth.Options{Htpasswd: htpasswd(t, "alice"), Rules: []auth.Rule{{Users: []string{auth.Anonymous}, Repositories: all, Actions: []registry.Action{registry.Admin}}}}, 200},
	} {
		if w := adminsSee(t, tt.opts, nobody); w.Code != tt.want {
			t.Errorf("%s: %d, want %d: %s", name, w.Code, tt.want, w.Body)
		}
		wantHome := 200
		if tt.opts.Htpasswd != "" || tt.opts.Certificates { // no additional rights with users
			wantHome = tt.want
		}
		if w := adminsSee(t, tt.opts, fromLoopback); w.Code != wantHome {
			t.Errorf("%s: this machine: %d, want %d: %s", name, w.Code, wantHome, w.Body)
		}
		behind := func(r *http.Request) { fromLoopback(r); r.Header.Set("X-Forwarded-For", "127.0.0.1") }
		if w := adminsSee(t, tt.opts, behind); w.Code != tt.want {
			t.Errorf("%s: who is behind a proxy on this machine: %d, want %d", name, w.Code, tt.want)
		}
	}
}

func TestWithUsersOnlyAdminsMayAdminister(t *testing.T) {
	opts := company(t)
	opts.Rules = append(opts.Rules,
		auth.Rule{Users: []string{"bob"}, Repositories: []string{"team/**", "**/public"}, Actions: []registry.Action{registry.Admin}},
		auth.Rule{Users: []string{"carol"}, Repositories: []string{"**"}, Actions: []registry.Action{registry.Admin}})
	for name, tt := range map[string]struct {
		who  as
		want int
	}{
		"admin of everything":    {known("carol"), 200},
		"admin of some":          {known("bob"), 403},
		"who may do all but it":  {known("alice"), 403},
		"nobody":                 {nobody, 401},
		"a wrong password":       {user("carol", "guess"), 401},
		"a token that is none":   {bearer("x"), 401},
		"a header that is none":  {func(r *http.Request) { r.Header.Set("Authorization", "Basic !") }, 401},
		"somebody who is no one": {user("mallory", "x"), 401},
	} {
		w := adminsSee(t, opts, tt.who)
		if w.Code != tt.want {
			t.Errorf("%s: %d, want %d: %s", name, w.Code, tt.want, w.Body)
		}
		if basic := strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Basic "); basic != (tt.want == 401) {
			t.Errorf("%s: challenge %q", name, w.Header())
		}
		if tt.want == 403 && !strings.Contains(w.Body.String(), "the action admin") {
			t.Errorf("%s: refused without a next step: %s", name, w.Body)
		}
	}
	if w := adminsSee(t, auth.Options{Htpasswd: htpasswd(t, "alice")}, known("alice")); w.Code != 200 {
		t.Errorf("without rules users may do everything: %d", w.Code)
	}
	cert := func(r *http.Request) {
		chain := []*x509.Certificate{{Subject: pkix.Name{CommonName: "prometheus"}}}
		r.TLS = &tls.ConnectionState{PeerCertificates: chain, VerifiedChains: [][]*x509.Certificate{chain}}
	}
	if w := adminsSee(t, auth.Options{Certificates: true}, cert); w.Code != 200 {
		t.Errorf("by a certificate: %d", w.Code)
	}
}

// TestIssuerTokensDoNotAllowAdministering: they are about repositories.
func TestIssuerTokensDoNotAllowAdministering(t *testing.T) {
	key := newIssuer(t, time.Hour)
	s := trusting(t, key.jwks("k"))
	r, w := httptest.NewRequest("GET", "/metrics", nil), httptest.NewRecorder()
	bearer(key.sign(access("**", []string{"admin", "*"}, nil)))(r)
	s.guard.Admins(http.NotFoundHandler()).ServeHTTP(w, r)
	if w.Code != 403 {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
}

// TestAdminIncludesOtherActions: for the repositories of the rule only.
func TestAdminIncludesOtherActions(t *testing.T) {
	s := newSite(t, auth.Options{Htpasswd: htpasswd(t, "bob", "carol"), Rules: []auth.Rule{
		{Users: []string{"bob"}, Repositories: []string{"team/**"}, Actions: []registry.Action{registry.Admin}},
		{Users: []string{"carol"}, Repositories: []string{"**"}, Actions: []registry.Action{registry.Admin}},
	}})
	s.fill("team/app")
	s.fill("other/app")
	for name, repos := range map[string][]string{"bob": {"team/app"}, "carol": {"team/app", "other/app"}} {
		for _, repo := range repos {
			s.want(200, known(name), "GET", "/v2/"+repo+"/manifests/1", nil)
			s.want(202, known(name), "POST", "/v2/"+repo+"/blobs/uploads/", nil)
			s.want(404, known(name), "DELETE", "/v2/"+repo+"/manifests/2", nil)
		}
	}
	for _, try := range []struct{ method, path string }{
		{"GET", "/manifests/1"}, {"POST", "/blobs/uploads/"}, {"DELETE", "/manifests/1"},
	} {
		s.want(403, known("bob"), try.method, "/v2/other/app"+try.path, nil)
	}
	for name, want := range map[string]string{"bob": `["team/app"]`, "carol": `["other/app","team/app"]`} {
		if w := s.want(200, known(name), "GET", "/v2/_catalog", nil); !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s sees %s, want %s", name, w.Body, want)
		}
	}
}
