package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"airmirror/mirror"
)

const (
	// sessionLifetime is how long a login in a browser lasts, used or not.
	sessionLifetime = 12 * time.Hour
	// maxSessions limits how many logins of browsers are remembered. The least recently used one ends first.
	maxSessions = 4096
	// LinkLifetime is how long a one-time link is valid.
	LinkLifetime = time.Minute

	plainCookie = "mirror_session"
	// secureCookie is the name under HTTPS. Browsers accept a cookie with this prefix from the host itself only, over HTTPS:
	// https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Set-Cookie#cookie_prefixes
	secureCookie = "__Host-mirror_session"
)

// LinkUser is the name of a session that began with a one-time link. No user can have it.
const LinkUser = "(one-time link)"

// session is a login in a browser.
type session struct {
	name  string // the user; "" for a session that began with a one-time link
	stamp string // see [policy.passwordStamp]
	ends  time.Duration
}

// sessions are the logins in browsers of one process. They end with it. It is safe for concurrent use.
type sessions struct {
	all *lru.Cache[[sha256.Size]byte, session] // by the hash of the value of the cookie

	mu       sync.Mutex
	link     [sha256.Size]byte // the hash of the one-time link
	linkEnds time.Duration     // zero if there is no link
}

func newSessions() *sessions {
	all, err := lru.New[[sha256.Size]byte, session](maxSessions)
	if err != nil { // the size is positive
		panic(err)
	}
	return &sessions{all: all}
}

// Login begins a session of a browser for a user with a password, and sets its cookie. The session ends after 12 hours, by
// [Guard.Logout], with the password or the user, and with the process. The error is [mirror.CodeUnauthorized] for a wrong
// name or password and [mirror.CodeTooManyRequests] after too many failures; the header Retry-After is then set. Failures
// count together with those of clients of the registry.
func (g *Guard) Login(w http.ResponseWriter, r *http.Request, name, password string) error {
	p := g.policy.Load()
	if err := p.login(r, name, password); err != nil {
		p.setRetryAfter(w.Header(), err)
		return err
	}
	p.begin(w, r, session{name: name, stamp: p.passwordStamp(name)})
	return nil
}

// Logout ends the session of a browser.
func (g *Guard) Logout(w http.ResponseWriter, r *http.Request) {
	p := g.policy.Load()
	for _, cookie := range r.Cookies() {
		if cookie.Name == plainCookie || cookie.Name == secureCookie {
			p.sessions.all.Remove(sha256.Sum256([]byte(cookie.Value)))
			setCookie(w, cookie.Name, "", -1)
		}
	}
}

// HasPasswords reports whether there are users with passwords, who can log in to the console.
func (g *Guard) HasPasswords() bool { return g.policy.Load().hasPasswords() }

// NewLink returns the secret of a one-time link. It is valid for one use within 60 seconds, as long as no user has a
// password, and replaces the link before it. With users, the error is [mirror.CodeDenied].
func (g *Guard) NewLink() (string, error) {
	p := g.policy.Load()
	if p.hasPasswords() {
		return "", mirror.Errorf(mirror.CodeDenied, "the mirror has users: log in with a name and password")
	}
	secret := rand.Text()
	p.sessions.mu.Lock()
	defer p.sessions.mu.Unlock()
	p.sessions.link, p.sessions.linkEnds = sha256.Sum256([]byte(secret)), p.elapsed()+LinkLifetime
	return secret, nil
}

// LoginByLink begins a session of a browser that may administer the mirror, for the secret that [Guard.NewLink] returned.
// The session ends as soon as a user has a password, and as any other one. A secret that is wrong, old or used is
// [mirror.CodeUnauthorized].
func (g *Guard) LoginByLink(w http.ResponseWriter, r *http.Request, secret string) error {
	p := g.policy.Load()
	if p.hasPasswords() || !p.sessions.useLink(secret, p.elapsed()) {
		return mirror.Errorf(mirror.CodeUnauthorized, "the link is not valid any more: run 'mirror console' again")
	}
	p.begin(w, r, session{})
	return nil
}

// useLink reports whether a secret is that of the link, which it ends.
func (s *sessions) useLink(secret string, now time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now >= s.linkEnds || sha256.Sum256([]byte(secret)) != s.link {
		return false
	}
	s.linkEnds = 0
	return true
}

// begin begins a session under a new name and sets its cookie.
func (p *policy) begin(w http.ResponseWriter, r *http.Request, s session) {
	value := rand.Text()
	s.ends = p.elapsed() + sessionLifetime
	p.sessions.all.Add(sha256.Sum256([]byte(value)), s)
	setCookie(w, cookieName(r), value, int(sessionLifetime.Seconds()))
}

func setCookie(w http.ResponseWriter, name, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: name == secureCookie,
	})
	w.Header().Set("Cache-Control", "no-store")
}

// cookieName returns the name of the cookie for the scheme that the browser uses. The header of a proxy is trusted for
// that: who forges it gets a cookie that its browser does not send.
func cookieName(r *http.Request) string {
	if r.TLS != nil || first(r.Header.Get("X-Forwarded-Proto")) == "https" {
		return secureCookie
	}
	return plainCookie
}

// identifyBySession returns the client of a session that the cookie of a request names.
func (p *policy) identifyBySession(r *http.Request) (c client, ok bool) {
	cookie, err := r.Cookie(cookieName(r))
	if err != nil {
		return c, false
	}
	key := sha256.Sum256([]byte(cookie.Value))
	s, ok := p.sessions.all.Get(key)
	switch {
	case !ok:
		return c, false
	case p.elapsed() >= s.ends, s.name == "" && p.hasPasswords(), s.name != "" && s.stamp != p.passwordStamp(s.name):
		p.sessions.all.Remove(key)
		return c, false
	case s.name == "":
		return client{name: LinkUser, authenticated: true, local: true}, true
	}
	return client{name: s.name, authenticated: true}, true
}
