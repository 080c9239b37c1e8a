package auth

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"go.uber.org/zap"

	"airmirror/api/middleware"
	"airmirror/api/registry"
	"airmirror/mirror"
)

// client is who a request comes from. The zero value is anonymous.
type client struct {
	name   string
	grants *grants // what a token of an issuer allows; rules about users are not for who has one
	proved bool    // it showed something that is good, be it a token that makes nobody of it
	broken error   // why a token that it showed is not
	home   bool    // it sits at this machine, which may do everything
}

var errLogin = mirror.Errorf(mirror.CodeUnauthorized, "the name or the password is wrong")

// identify finds out who a request is from. A token that is no good makes a client nobody, who may still do what anybody
// may: it takes nothing away. A wrong password is an error, since somebody is waiting to hear of it.
func (p *policy) identify(r *http.Request) (client, error) {
	given := r.Header["Authorization"]
	if len(given) == 0 || !p.logins() {
		return p.certified(r), nil
	}
	if len(given) > 1 { // a proxy in between may have looked at another one
		return client{}, mirror.Errorf(mirror.CodeUnauthorized, "the request has %d headers of authorization: send one", len(given))
	}
	authorization := given[0]
	if authorization == "" {
		return p.certified(r), nil
	}
	scheme, token, _ := strings.Cut(authorization, " ")
	switch {
	case strings.EqualFold(scheme, "Bearer") && p.external != nil:
		grants, err := p.external.verify(strings.TrimSpace(token))
		if err != nil {
			p.log.Info("a token is no good", zap.String("address", host(r)), zap.Error(err))
			return client{broken: err}, nil
		}
		return client{name: grants.subject, grants: grants, proved: true}, nil
	case strings.EqualFold(scheme, "Bearer"):
		name, err := p.verifyOwn(strings.TrimSpace(token))
		return client{name: name, proved: err == nil, broken: err}, nil
	}
	name, password, ok := r.BasicAuth()
	switch {
	case !ok:
		return client{}, mirror.Errorf(mirror.CodeUnauthorized, "the request's authorization cannot be read: log in with a name and password")
	case name == "" && password == "": // as some clients write that they have none
		return p.certified(r), nil
	}
	if err := p.login(r, name, password); err != nil {
		return client{}, err
	}
	return client{name: name, proved: true}, nil
}

// certified is who a client is by its certificate.
func (p *policy) certified(r *http.Request) client {
	if !p.certs || r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return client{}
	}
	name := r.TLS.VerifiedChains[0][0].Subject.CommonName
	if !ValidUser(name) {
		return client{}
	}
	return client{name: name, proved: true}
}

// refuse says why a client may not do what it asks, and what can be done about it.
func (p *policy) refuse(r *http.Request, c client, ask registry.Ask) error {
	what := wording(ask)
	switch {
	case c.broken != nil:
		return &mirror.Error{Code: mirror.CodeUnauthorized, Message: "the token is not accepted, and without one nobody may " + what}
	case c.grants != nil: // another token may say more
		return mirror.Errorf(mirror.CodeUnauthorized, "the token does not say that its holder may %s", what)
	case c.name != "":
		return mirror.Errorf(mirror.CodeDenied, "%s may not %s: no rule of this mirror says so", c.name, what)
	case p.logins():
		return mirror.Errorf(mirror.CodeUnauthorized, "nobody may %s without a login: use 'docker login' or what your client has for it", what)
	case p.certs:
		return mirror.Errorf(mirror.CodeDenied, "nobody may %s without a certificate: show one", what)
	case !p.open:
		return mirror.Errorf(mirror.CodeDenied, "no rule of this mirror says that anybody may %s", what)
	}
	why := "as long as the mirror has no users, only who reaches it as localhost, on its own machine, may " + what
	switch {
	case !p.loopback:
		why = "as long as the mirror has no users, nobody may " + what
	case fromHere(r):
		why += ", and what sent this request may have passed it on for somebody else: the mirror's log says why, and auth.loopbackPush can trust it"
	case loopback(r):
		why += ", and this request was passed on by a proxy or a browser"
	}
	setting := "auth.anonymousPull" // which is on if nobody switched it off
	if ask.Action == registry.Push || ask.Action == registry.Delete {
		setting = "auth.anonymousPush"
	}
	return mirror.Errorf(mirror.CodeDenied, "%s: make a user there with 'mirror user add NAME' and log in, or set %s to let everybody in", why, setting)
}

// wording is what somebody may not do.
func wording(ask registry.Ask) string {
	switch ask.Action {
	case registry.Push:
		return "push to " + ask.Repo.String()
	case registry.Delete:
		return "delete from " + ask.Repo.String()
	case registry.Pull:
		return "pull from " + ask.Repo.String()
	case registry.List:
		return "list repositories"
	}
	return "use this mirror"
}

// fromHere reports whether a request comes from a loopback address, was sent to one, and shows no sign of a proxy or a
// browser. What a proxy on this machine passes on untouched looks the same: see [Options.Loopback].
func fromHere(r *http.Request) bool { return loopback(r) && toLoopback(r.Host) && !forwarded(r) }

// toLoopback reports whether a Host header names this machine as localhost or by a loopback address. A page whose name
// was made to lead to this machine has its own name there.
func toLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.Unmap().IsLoopback()
}

// loopback reports whether the other end of a connection is this machine: a loopback address, or a socket of its.
func loopback(r *http.Request) bool {
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	return overSocket(r) || err == nil && addr.Addr().Unmap().IsLoopback()
}

// overSocket reports whether a request came by a socket of this machine, which its file's permissions guard.
func overSocket(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && local.Network() == "unix"
}

// forwarded reports whether a request shows signs of somebody else who sent it: the headers of proxies, what they say
// being no matter; HTTP/1.0, which older nginx speaks and clients do not; or the headers by which browsers say whose page
// has made them do it.
func forwarded(r *http.Request) bool {
	return !r.ProtoAtLeast(1, 1) || len(r.Header["Origin"]) > 0 || len(r.Header["Sec-Fetch-Site"]) > 0 || middleware.IsForwarded(r.Header)
}

var errNotOwn = errors.New("it is not of this mirror, or has expired")
