package auth

import (
	"net/http"

	"airmirror/api/registry"
	"airmirror/mirror"
)

// Admins has next answer those who may look after the mirror ([registry.Admin]). As long as nobody can log in,
// it answers this machine as well, and everybody where everybody may pull everything.
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
	// What asks here, as Prometheus does, knows names and passwords, and fetches no tokens.
	if header.Get("WWW-Authenticate") != "" && p.hasPasswords() {
		header.Set("WWW-Authenticate", basic)
	}
	return err
}

// adminDenial says why a client may not look after this mirror.
func (p *policy) adminDenial(c client) error {
	const how = "a rule has to say so, with the action admin for the repositories **"
	switch {
	case c.name != "":
		return mirror.Errorf(mirror.CodeDenied, "%s may not look after this mirror: %s", c.name, how)
	case c.tokenError != nil || p.hasPasswords():
		return mirror.Errorf(mirror.CodeUnauthorized, "only who may look after this mirror is told: log in by a name and password")
	}
	return mirror.Errorf(mirror.CodeDenied, "only who may look after this mirror is told: %s", how)
}

// passwords reports whether there is somebody to log in as by a password.
func (p *policy) hasPasswords() bool {
	users := p.users.get()
	return len(users.hashes) > 0 || users.locked
}
