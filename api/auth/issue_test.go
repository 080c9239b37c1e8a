package auth_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"airmirror/api/auth"
	"airmirror/mirror"
)

// TestTokenStandsForALogin: in the way that dockerd uses it, from GET /v2/ on.
func TestTokenStandsForALogin(t *testing.T) {
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
	// A pull needs no password, so a wrong one, meant for Docker Hub, is ignored.
	hub := bearer(s.token(user("somebody", "else"), "?scope=repository:library/app:pull"))
	s.want(200, hub, "GET", "/v2/team/app/manifests/1", nil)
	s.want(401, hub, "POST", "/v2/team/app/blobs/uploads/", nil)
	s.want(405, known("alice"), "POST", auth.TokenPath, nil)
	s.want(405, known("alice"), "PUT", auth.TokenPath, nil)
}

// grant requests a token with a form.
func (s *site) grant(status int, form ...string) (token, refresh string) {
	s.t.Helper()
	values := url.Values{}
	for i := 0; i < len(form); i += 2 {
		values.Add(form[i], form[i+1])
	}
	w := s.want(status, nobody, "POST", auth.TokenPath, []byte(values.Encode()), "Content-Type", "application/x-www-form-urlencoded")
	var answer struct {
		Token   string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		Scope   string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || (answer.Token != "") != (status == 200) || status == 200 && answer.Scope != values.Get("scope") {
		s.t.Errorf("%v: %v in %s", form, err, w.Body)
	}
	return answer.Token, answer.Refresh
}

// TestOAuthTokens: as containerd requests them, and docker with an identity token.
func TestOAuthTokens(t *testing.T) {
	path := htpasswd(t, "alice")
	s := newSite(t, auth.Options{Htpasswd: path})
	const scope = "repository:team/app:pull,push"
	password := []string{"grant_type", "password", "service", "mirror", "client_id", "containerd-client", "scope", scope, "username", "alice", "password", "ecila"}
	token, refresh := s.grant(200, password...)
	s.want(202, bearer(token), "POST", "/v2/team/app/blobs/uploads/", nil)
	if refresh != "" {
		t.Error("a refresh token is given to who did not ask for one")
	}
	_, refresh = s.grant(200, append(password, "access_type", "offline")...)
	again := []string{"grant_type", "refresh_token", "service", "mirror", "scope", scope, "refresh_token"}
	token, _ = s.grant(200, append(again, refresh)...)
	s.want(202, bearer(token), "POST", "/v2/team/app/blobs/uploads/", nil)
	s.want(401, bearer(refresh), "POST", "/v2/team/app/blobs/uploads/", nil)
	for _, wrong := range []string{"", "x", token} { // token has another purpose
		s.grant(401, append(again, wrong)...)
	}
	s.grant(401, "grant_type", "password", "scope", scope, "username", "alice", "password", "guess")
	s.grant(405, "grant_type", "authorization_code", "scope", scope, "code", "x")
	s.grant(405, "grant_type", "password", "scope", scope, "username", strings.Repeat("a", 1<<20))
	w := s.want(405, nobody, "POST", auth.TokenPath+"?grant_type=password&username=alice&password=ecila", nil)
	if strings.Contains(w.Body.String(), "access_token") {
		t.Error("a password is taken from a URL, which is logged")
	}
	// A password for Docker Hub does not prevent a pull.
	token, refresh = s.grant(200, "grant_type", "password", "scope", "repository:library/app:pull", "username", "somebody", "password", "else", "access_type", "offline")
	if s.want(401, bearer(token), "POST", "/v2/team/app/blobs/uploads/", nil); refresh != "" {
		t.Error("nobody is given a refresh token")
	}
	_, refresh = s.grant(200, append(password, "access_type", "offline")...)
	_, err := auth.SetPassword(path, "alice", "another")
	must(t, err)
	must(t, s.guard.Apply(auth.Options{Htpasswd: path}))
	s.grant(401, append(again, refresh)...)
}

// TestTokenEndsWithTheLogin: after five minutes, or when the password changes.
func TestTokenEndsWithTheLogin(t *testing.T) {
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

func TestForgedTokensAreRefused(t *testing.T) {
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

// TestRealmIsTheAddressOfTheRequest: from its Host header, from the headers of a proxy, or from the configuration.
func TestRealmIsTheAddressOfTheRequest(t *testing.T) {
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

// TestNoTokensWithoutLogins: other requests go to the registry.
func TestNoTokensWithoutLogins(t *testing.T) {
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

// TestApplyReplacesOptions: and logins stay valid as long as the user exists.
func TestApplyReplacesOptions(t *testing.T) {
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

// TestTokenLifetimeIgnoresTheClock: the clock may jump by decades; a token is valid for five minutes.
func TestTokenLifetimeIgnoresTheClock(t *testing.T) {
	s := newSite(t, auth.Options{Htpasswd: htpasswd(t, "alice")})
	s.fill("team/app")
	push := func(want int, token func(*http.Request)) {
		t.Helper()
		s.want(want, token, "POST", "/v2/team/app/blobs/uploads/", nil)
	}
	s.guard.SetElapsed(time.Hour)
	alice := bearer(s.token(known("alice"), ""))
	push(202, alice)
	synctest.Test(t, func(*testing.T) { // the clock starts in the year 2000
		s.guard.SetElapsed(time.Hour + 4*time.Minute)
		push(202, alice)
		s.guard.SetElapsed(time.Hour + 6*time.Minute)
		push(401, alice)
		alice = bearer(s.token(known("alice"), ""))
	})
	push(202, alice)
	s.guard.SetElapsed(time.Hour + 12*time.Minute)
	push(401, alice)
}
