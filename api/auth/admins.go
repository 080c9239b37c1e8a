package auth

import (
	"net/http"

	"airmirror/api/registry"
	"airmirror/mirror"
)

// Admins lets next serve clients that may administer the mirror ([registry.Admin]). As long as there are no users, it
// also serves requests from this machine, and every client if anonymous clients may pull everything.
func (g *Guard) Admins(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := g.policy.Load().authorizeAdmin(w.Header(), r); err != nil {
			fail(w, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (p *policy) authorizeAdmin(header http.Header, r *http.Request) error {
	if !p.hasUsers() && p.rules.allow("", registry.Operation{Action: registry.Pull}) || p.isLoopback(r) {
		return nil
	}
	op := registry.Operation{Action: registry.Admin}
	c, err := p.identify(r)
	if err == nil {
		if p.allowed(c, op) {
			return nil
		}
		err = p.adminDenial(c)
	}
	p.challenge(header, r, op, c, err)
	// Clients of these pages, such as Prometheus, support names and passwords but do not fetch tokens.
	if header.Get("WWW-Authenticate") != "" && p.acceptsBasic() {
		header.Set("WWW-Authenticate", basic)
	}
	return err
}

// adminDenial returns the error for a client that may not administer the mirror.
func (p *policy) adminDenial(c client) error {
	const how = "a rule has to allow it, with the action admin for the repositories **"
	switch {
	case c.name != "":
		return mirror.Errorf(mirror.CodeDenied, "%s may not administer this mirror: %s", c.name, how)
	case c.tokenError != nil || p.acceptsBasic():
		return mirror.Errorf(mirror.CodeUnauthorized, "only administrators of this mirror may see this: log in with a name and password")
	}
	return mirror.Errorf(mirror.CodeDenied, "only administrators of this mirror may see this: %s", how)
}

// hasPasswords reports whether there are users with passwords.
func (p *policy) hasPasswords() bool {
	users := p.users.Get()
	return len(users.hashes) > 0 || users.locked
}
