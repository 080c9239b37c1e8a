package auth_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"airmirror/api/auth"
	"airmirror/mirror"
)

// TestATokenStandsForALogin: it is what dockerd goes by, from GET /v2/ on.
func TestATokenStandsForALogin(t *testing.T) {
	s := newSite(t, auth.Options{Htpasswd: htpasswd(t, "alice")})
	s.fill("team/app")
	s.want(401, nobody, "GET", "/v2/", nil)
	alice, anybody := bearer(s.token(known("alice"), "?service=mirror&scope=repository:team/app:pull,push")), bearer(s.token(nobody, ""))
	for _, who := range []as{alice, anybody} {
		s.want(200, who, "GET", "/v2/", nil)
		s.want(200, who, "GET", "/v2/team/app/manifests/1", nil)
	}
	s.want(202, alice, "POST", "/v2/team/app/blobs/uploads/", nil)
	s.want(401, anybody, "POST", "/v2/team/app/blobs/uploads/", nil)

	for _, scope := range []string{"", "?scope=repository:team/app:pull,push", "?scope=repository:team/app:pull&scope=repository:x/y:push", "?scope=registry:catalog:*", "?scope=repository:team/app", "?scope=repository:TEAM:pull"} {
		w := s.want(401, user("alice", "guess"), "GET", auth.TokenPath+scope, nil)
		if !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Basic ") {
			t.Errorf("%s: challenge %v", scope, w.Header())
		}
	}
	// To pull, no password is needed, so that a wrong one, which is for Docker Hub, does no harm.
	hub := bearer(s.token(user("somebody", "else"), "?scope=repository:library/app:pull"))
	s.want(200, hub, "GET", "/v2/team/app/manifests/1", nil)
	s.want(401, hub, "POST", "/v2/team/app/blobs/uploads/", nil)
	s.want(405, known("alice"), "POST", auth.TokenPath, nil)
}

// TestATokenIsGoodNoLongerThanTheLogin: five minutes, and only until the password changes.
func TestATokenIsGoodNoLongerThanTheLogin(t *testing.T) {
	path := htpasswd(t, "alice", "bob")
	s := newSite(t, auth.Options{Htpasswd: path})
	alice, bob := bearer(s.token(known("alice"), "")), bearer(s.token(known("bob"), ""))
	_, err := auth.SetPassword(path, "alice", "another")
	must(t, err)
	must(t, s.guard.Apply(auth.Options{Htpasswd: path}))
	s.want(401, alice, "GET", "/v2/", nil)
	s.want(200, bob, "GET", "/v2/", nil)
	must(t, auth.RemoveUser(path, "bob"))
	must(t, s.guard.Apply(auth.Options{Htpasswd: path}))
	s.want(401, bob, "GET", "/v2/", nil)

	synctest.Test(t, func(t *testing.T) {
		guard, err := auth.New(auth.Options{Htpasswd: path})
		must(t, err)
		token := (&site{t: t, guard: guard, handler: guard.Handler(nil)}).token(user("alice", "another"), "")
		time.Sleep(4 * time.Minute)
		wantCode(t, guard, bearer(token), "")
		time.Sleep(61 * time.Second)
		wantCode(t, guard, bearer(token), mirror.CodeUnauthorized)
	})
}

func TestTokensOfTheMirrorCannotBeMade(t *testing.T) {
	path := htpasswd(t, "alice")
	s, other := newSite(t, auth.Options{Htpasswd: path}), newSite(t, auth.Options{Htpasswd: path})
	good := s.token(known("alice"), "")
	parts := strings.Split(good, ".")
	s.want(200, bearer(good), "GET", "/v2/", nil)
	for name, token := range map[string]string{
		"another process's": other.token(known("alice"), ""),
		"without signature": parts[0] + "." + parts[1] + ".",
		"cut":               good[:len(good)-2],
		"alg none":          encode(`{"alg":"none","typ":"JWT"}`) + "." + parts[1] + ".",
		"alg None":          encode(`{"alg":"None"}`) + "." + parts[1] + "." + parts[2],
		"another user":      parts[0] + "." + encode(`{"iss":"mirror","aud":"mirror","sub":"root","exp":99999999999}`) + "." + parts[2],
		"empty":             "",
		"no token":          "x",
		"dots":              "..",
	} {
		for _, path := range []string{"/v2/", "/v2/team/app/blobs/uploads/"} {
			method := map[bool]string{true: "GET", false: "POST"}[path == "/v2/"]
			if w := s.want(401, bearer(token), method, path, nil); !strings.Contains(w.Header().Get("WWW-Authenticate"), `error="invalid_token"`) {
				t.Errorf("%s: challenge %v", name, w.Header())
			}
		}
	}
}

// TestTheRealmIsWhereTheClientIs: as it says itself, or the proxy before the mirror, or the configuration.
func TestTheRealmIsWhereTheClientIs(t *testing.T) {
	path := htpasswd(t, "alice")
	s := newSite(t, auth.Options{Htpasswd: path})
	for _, tt := range []struct {
		want    string
		headers []string
	}{
		{"http://example.com/auth/token", nil},
		{"https://example.com/auth/token", []string{"X-Forwarded-Proto", "https"}},
		{"https://reg.example/auth/token", []string{"X-Forwarded-Proto", "https, http", "X-Forwarded-Host", "reg.example, inner"}},
		{"http://example.com/auth/token", []string{"X-Forwarded-Proto", "javascript"}},
		{"http://example.com/auth/token", []string{"X-Forwarded-Host", `x",realm="y`}},
	} {
		w := s.want(401, nobody, "GET", "/v2/", nil, tt.headers...)
		if got := w.Header().Get("WWW-Authenticate"); got != `Bearer realm="`+tt.want+`",service="mirror"` {
			t.Errorf("%q: %s, want %s", tt.headers, got, tt.want)
		}
	}
	told := newSite(t, auth.Options{Htpasswd: path, URL: "https://reg.example/"})
	if got := told.do(nobody, "GET", "/v2/", nil).Header().Get("WWW-Authenticate"); !strings.HasPrefix(got, `Bearer realm="https://reg.example/auth/token"`) {
		t.Errorf("challenge %s", got)
	}
}

// TestThereAreNoTokensWhereNobodyLogsIn: and what is asked for beside is left to the registry.
func TestThereAreNoTokensWhereNobodyLogsIn(t *testing.T) {
	s := newSite(t, auth.Options{Htpasswd: filepath.Join(t.TempDir(), "none")})
	s.want(405, nobody, "GET", auth.TokenPath, nil)
	var answer struct{ Errors []struct{ Code string } }
	w := s.want(404, nobody, "GET", auth.TokenPath+"/", nil)
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Errors[0].Code != "NAME_UNKNOWN" {
		t.Errorf("%s", w.Body)
	}
	if _, err := os.Stat("none"); err == nil {
		t.Error("a file of users was made")
	}
}

// TestOtherOptionsCountFromNowOn: and whoever is logged in goes on, as long as there is such a user.
func TestOtherOptionsCountFromNowOn(t *testing.T) {
	opts := auth.Options{Htpasswd: htpasswd(t, "alice")}
	s := newSite(t, opts)
	s.fill("team/app")
	alice := bearer(s.token(known("alice"), ""))
	opts.NoAnonymousPull = true
	must(t, s.guard.Apply(opts))
	s.want(401, nobody, "GET", "/v2/team/app/manifests/1", nil)
	s.want(200, alice, "GET", "/v2/team/app/manifests/1", nil)
	opts.Rules = []auth.Rule{{}}
	if err := s.guard.Apply(opts); err == nil {
		t.Error("an empty rule is taken")
	}
	s.want(200, alice, "GET", "/v2/team/app/manifests/1", nil)
	opts.Rules, opts.Htpasswd = nil, htpasswd(t, "bob")
	must(t, s.guard.Apply(opts))
	s.want(401, alice, "GET", "/v2/team/app/manifests/1", nil)
	s.want(200, known("bob"), "GET", "/v2/team/app/manifests/1", nil)
}

// TestATokenOfTheFutureIsGoodNoLonger: the clock was set back after it was issued, and it would be good for decades.
func TestATokenOfTheFutureIsGoodNoLonger(t *testing.T) {
	s := newSite(t, auth.Options{Htpasswd: htpasswd(t, "alice")})
	s.fill("team/app")
	alice := bearer(s.token(known("alice"), ""))
	s.want(202, alice, "POST", "/v2/team/app/blobs/uploads/", nil)
	synctest.Test(t, func(*testing.T) { // whose clock begins in the year 2000
		s.want(401, alice, "POST", "/v2/team/app/blobs/uploads/", nil)
	})
}
