package auth_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"airmirror/api/admin"
	"airmirror/api/auth"
	"airmirror/api/registry"
	"airmirror/mirror"
)

// browser keeps the cookies of a guard, as a browser does.
type browser struct {
	t       *testing.T
	guard   *auth.Guard
	tls     bool
	cookies []*http.Cookie
}

func (b *browser) request() *http.Request {
	target := "http://reg.example/"
	if b.tls {
		target = "https://reg.example/"
	}
	r := httptest.NewRequestWithContext(b.t.Context(), http.MethodPost, target, nil)
	for _, cookie := range b.cookies {
		r.AddCookie(cookie)
	}
	return r
}

// keep takes over the cookies of an answer.
func (b *browser) keep(w *httptest.ResponseRecorder) {
	b.cookies = nil
	for _, cookie := range w.Result().Cookies() {
		if cookie.MaxAge > 0 {
			b.cookies = append(b.cookies, cookie)
		}
	}
}

func (b *browser) login(name, password string) error {
	w := httptest.NewRecorder()
	err := b.guard.Login(w, b.request(), name, password)
	b.keep(w)
	return err
}

// access returns what the API sees of the browser.
func (b *browser) access() (access admin.Access) {
	next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { access = admin.AccessOf(r.Context()) })
	b.guard.API(next).ServeHTTP(httptest.NewRecorder(), b.request())
	return access
}

func newBrowser(t *testing.T, opts auth.Options) *browser {
	t.Helper()
	guard, err := auth.New(opts)
	must(t, err)
	return &browser{t: t, guard: guard}
}

func TestASessionHasTheRightsOfItsUser(t *testing.T) {
	b := newBrowser(t, auth.Options{Htpasswd: htpasswd(t, "alice", "root"), Rules: []auth.Rule{
		{Users: []string{"alice"}, Repositories: []string{"team/**"}, Actions: []registry.Action{registry.Pull}},
		{Users: []string{"root"}, Repositories: []string{"**"}, Actions: []registry.Action{registry.Admin}},
	}})
	team, other := mirror.Repo{Host: mirror.DockerHub, Path: "team/app"}, mirror.Repo{Host: mirror.DockerHub, Path: "other"}
	if a := b.access(); a.User != "" || !a.CanLogIn || a.MayPull(team) {
		t.Errorf("without a session: %+v", a)
	}
	must(t, b.login("alice", password("alice")))
	if a := b.access(); a.User != "alice" || a.CanLogIn || !a.MayPull(team) || a.MayPull(other) || a.Allows(registry.Delete, team) || a.IsAdmin() {
		t.Errorf("with the session of alice: %+v", a)
	}
	must(t, b.login("root", password("root")))
	if a := b.access(); a.User != "root" || !a.MayPull(other) || !a.IsAdmin() || a.Local {
		t.Errorf("with the session of root: %+v", a)
	}
}

func TestTheCookieOfASession(t *testing.T) {
	for _, tls := range []bool{false, true} {
		b := newBrowser(t, auth.Options{Htpasswd: htpasswd(t, "alice")})
		b.tls = tls
		must(t, b.login("alice", password("alice")))
		c := b.cookies[0]
		want := "mirror_session"
		if tls {
			want = "__Host-mirror_session"
		}
		if c.Name != want || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Secure != tls || c.Path != "/" || c.Domain != "" || c.MaxAge != 12*60*60 {
			t.Errorf("TLS %v: %v", tls, c)
		}
	}
}

func TestACookieOfPlainHTTPIsNoSessionUnderTLS(t *testing.T) {
	b := newBrowser(t, auth.Options{Htpasswd: htpasswd(t, "alice")})
	must(t, b.login("alice", password("alice")))
	b.tls = true
	if a := b.access(); a.User != "" {
		t.Errorf("the session is valid for %s", a.User)
	}
}

func TestWhatEndsASession(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *browser, string){
		"logout": func(_ *testing.T, b *browser, _ string) { b.guard.Logout(httptest.NewRecorder(), b.request()) },
		"a changed password": func(t *testing.T, _ *browser, path string) {
			_, err := auth.SetPassword(path, "alice", "another one")
			must(t, err)
		},
		"a removed user": func(t *testing.T, _ *browser, path string) { must(t, auth.RemoveUser(path, "alice")) },
		"twelve hours":   func(*testing.T, *browser, string) { time.Sleep(12 * time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := htpasswd(t, "alice", "bob")
				b := newBrowser(t, auth.Options{Htpasswd: path})
				must(t, b.login("alice", password("alice")))
				time.Sleep(11 * time.Hour)
				if a := b.access(); a.User != "alice" {
					t.Fatalf("before: %+v", a)
				}
				end(t, b, path)
				time.Sleep(time.Second) // until the file is read again
				if a := b.access(); a.User != "" {
					t.Errorf("after %s: %s", name, a.User)
				}
			})
		})
	}
}

func TestASessionIsNoLoginForTheRegistry(t *testing.T) {
	s := newSite(t, auth.Options{Htpasswd: htpasswd(t, "alice"), NoAnonymousPull: true})
	b := &browser{t: t, guard: s.guard}
	must(t, b.login("alice", password("alice")))
	s.want(http.StatusUnauthorized, func(r *http.Request) { r.AddCookie(b.cookies[0]) }, "GET", "/v2/", nil)
}

func TestFailedLoginsOfBrowsersAndClientsCountTogether(t *testing.T) {
	s := newSite(t, auth.Options{Htpasswd: htpasswd(t, "alice"), NoAnonymousPull: true})
	b := &browser{t: t, guard: s.guard}
	for range 5 {
		s.want(http.StatusUnauthorized, user("alice", "wrong"), "GET", "/v2/", nil)
		if err := b.login("alice", "wrong"); mirror.CodeOf(err) != mirror.CodeUnauthorized || len(b.cookies) > 0 {
			t.Fatalf("%v, %v", err, b.cookies)
		}
	}
	w := httptest.NewRecorder()
	err := s.guard.Login(w, b.request(), "alice", password("alice"))
	if mirror.CodeOf(err) != mirror.CodeTooManyRequests || w.Header().Get("Retry-After") == "" {
		t.Errorf("%v, %v", err, w.Header())
	}
}

func TestAOneTimeLinkAdministersAMirrorWithoutUsers(t *testing.T) {
	path := htpasswd(t)
	b := newBrowser(t, auth.Options{Htpasswd: path})
	follow := func(secret string) error {
		w := httptest.NewRecorder()
		err := b.guard.LoginByLink(w, b.request(), secret)
		b.keep(w)
		return err
	}
	old, err := b.guard.NewLink()
	must(t, err)
	secret, err := b.guard.NewLink()
	must(t, err)
	for _, wrong := range []string{"", "guess", old} {
		if err := follow(wrong); mirror.CodeOf(err) != mirror.CodeUnauthorized {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	must(t, follow(secret))
	if a := b.access(); !a.IsAdmin() || a.Local || a.User != auth.LinkUser {
		t.Errorf("%+v", a)
	}
	if err := (&browser{t: t, guard: b.guard}).guard.LoginByLink(httptest.NewRecorder(), b.request(), secret); mirror.CodeOf(err) != mirror.CodeUnauthorized {
		t.Errorf("the link is valid again: %v", err)
	}
	writeUsers(t, path, "alice")
	must(t, b.guard.Apply(auth.Options{Htpasswd: path}))
	if a := b.access(); a.IsAdmin() || a.User != "" {
		t.Errorf("with users: %+v", a)
	}
	if _, err := b.guard.NewLink(); mirror.CodeOf(err) != mirror.CodeDenied {
		t.Errorf("a link with users: %v", err)
	}
}

func TestAOneTimeLinkIsValidForAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBrowser(t, auth.Options{Htpasswd: htpasswd(t)})
		secret, err := b.guard.NewLink()
		must(t, err)
		time.Sleep(time.Minute)
		if err := b.guard.LoginByLink(httptest.NewRecorder(), b.request(), secret); mirror.CodeOf(err) != mirror.CodeUnauthorized {
			t.Errorf("after a minute: %v", err)
		}
	})
}
