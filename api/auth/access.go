package auth

import (
	"net/http"

	"airmirror/api/admin"
	"airmirror/api/middleware"
	"airmirror/api/registry"
	"airmirror/mirror"
)

// API returns a handler that passes requests to next with the [admin.Access] of their senders. It is for the admin API and
// the console, and not for the registry: it also identifies a sender by the session of a browser, see [Guard.Login]. It
// answers requests with wrong credentials itself.
//
// As long as there are no users and no rules, requests from this machine may do everything. They count as such by the rules
// of the registry: a loopback address and Host, and no header of a proxy or of a browser.
func (g *Guard) API(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := g.policy.Load()
		access, err := p.access(r)
		access.Request = w.Header().Get("X-Request-Id")
		if err != nil {
			p.setRetryAfter(w.Header(), err)
			admin.Refuse(w, r, err)
			return
		}
		middleware.SetUser(w, access.User)
		next.ServeHTTP(w, r.WithContext(admin.WithAccess(r.Context(), access)))
	})
}

// access identifies the sender of a request. A session counts only for a request without an Authorization header.
func (p *policy) access(r *http.Request) (admin.Access, error) {
	access := admin.Access{Address: mirror.HostOf(r.RemoteAddr)}
	var c client
	known := false
	if len(r.Header["Authorization"]) == 0 {
		c, known = p.identifyBySession(r)
	}
	if !known {
		var err error
		if c, err = p.identify(r); err != nil {
			return access, err
		}
		if c.tokenError != nil {
			return access, mirror.Errorf(mirror.CodeUnauthorized, "the token is invalid: it is not one of this mirror, it was revoked, or it has expired")
		}
		c.local = p.rules.configured == 0 && p.isLoopback(r)
	}
	access.User, access.Rights = c.name, rights{p, c}
	access.CanLogIn = !c.authenticated && p.acceptsBasic()
	if !p.hasUsers() && !c.local {
		access.Hint = "create a user with 'mirror user add NAME' and log in, or open the link that 'mirror console' prints"
	}
	return access, nil
}

// rights implements [admin.Rights] for a client.
type rights struct {
	policy *policy
	client client
}

// Allows implements [admin.Rights].
func (r rights) Allows(action registry.Action, repo mirror.Repo) bool {
	return r.policy.allowed(r.client, registry.Operation{Action: action, Repo: repo})
}

// AllowsAny implements [admin.Rights].
func (r rights) AllowsAny(action registry.Action) bool {
	c, rules := r.client, r.policy.rules
	switch {
	case c.local || rules.allowsAny("", action):
		return true
	case c.grants != nil:
		return c.grants.allowsAny(action)
	case c.token != nil:
		return c.token.allowsAny(c.name, action)
	}
	return rules.allowsAny(c.name, action)
}
