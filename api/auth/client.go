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
	name          string
	grants        *grants // what a token of an issuer allows; rules about users are not for who has one
	authenticated bool    // it showed something that is good, be it a token that makes nobody of it
	tokenError    error   // why a token that it showed is not
	local         bool    // it sits at this machine, which may do everything
}

var errLogin = mirror.Errorf(mirror.CodeUnauthorized, "the name or the password is wrong")

// identify finds out who a request is from. A token that is no good makes a client nobody, who may still do what anybody
// may: it takes nothing away. A wrong password is an error, since somebody is waiting to hear of it.
func (p *policy) identify(r *http.Request) (client, error) {
	given := r.Header["Authorization"]
	if len(given) == 0 || !p.hasLogins() {
		return p.identifyByCertificate(r), nil
	}
	if len(given) > 1 { // a proxy in between may have looked at another one
		return client{}, mirror.Errorf(mirror.CodeUnauthorized, "the request has %d headers of authorization: send one", len(given))
	}
	authorization := given[0]
	if authorization == "" {
		return p.identifyByCertificate(r), nil
	}
	scheme, token, _ := strings.Cut(authorization, " ")
	switch {
	case strings.EqualFold(scheme, "Bearer") && p.issuer != nil:
		grants, err := p.issuer.verify(strings.TrimSpace(token))
		if err != nil {
			p.log.Info("a token is no good", zap.String("address", mirror.HostOf(r.RemoteAddr)), zap.Error(err))
			return client{tokenError: err}, nil
		}
		return client{name: grants.subject, grants: grants, authenticated: true}, nil
	case strings.EqualFold(scheme, "Bearer"):
		name, err := p.verifyOwn(strings.TrimSpace(token))
		return client{name: name, authenticated: err == nil, tokenError: err}, nil
	}
	name, password, ok := r.BasicAuth()
	switch {
	case !ok:
		return client{}, mirror.Errorf(mirror.CodeUnauthorized, "the request's authorization cannot be read: log in with a name and password")
	case name == "" && password == "": // as some clients write that they have none
		return p.identifyByCertificate(r), nil
	}
	if err := p.login(r, name, password); err != nil {
		return client{}, err
	}
	return client{name: name, authenticated: true}, nil
}

// certified is who a client is by its certificate.
func (p *policy) identifyByCertificate(r *http.Request) client {
	if !p.certs || r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return client{}
	}
	name := r.TLS.VerifiedChains[0][0].Subject.CommonName
	if !ValidUser(name) {
		return client{}
	}
	return client{name: name, authenticated: true}
}

// refuse says why a client may not do what it asks, and what can be done about it.
func (p *policy) denial(r *http.Request, c client, op registry.Operation) error {
	what := describe(op)
	switch {
	case c.tokenError != nil:
		return &mirror.Error{Code: mirror.CodeUnauthorized, Message: "the token is not accepted, and without one nobody may " + what}
	case c.grants != nil: // another token may say more
		return mirror.Errorf(mirror.CodeUnauthorized, "the token does not say that its holder may %s", what)
	case c.name != "":
		return mirror.Errorf(mirror.CodeDenied, "%s may not %s: no rule of this mirror says so", c.name, what)
	case p.hasLogins():
		return mirror.Errorf(mirror.CodeUnauthorized, "nobody may %s without a login: use 'docker login' or what your client has for it", what)
	case p.certs:
		return mirror.Errorf(mirror.CodeDenied, "nobody may %s without a certificate: show one", what)
	case !p.defaultRules:
		return mirror.Errorf(mirror.CodeDenied, "no rule of this mirror says that anybody may %s", what)
	}
	why := "as long as the mirror has no users, only who reaches it as localhost, on its own machine, may " + what
	switch {
	case !p.loopback:
		why = "as long as the mirror has no users, nobody may " + what
	case isLocal(r):
		why += ", and what sent this request may have passed it on for somebody else: the mirror's log says why, and auth.loopbackPush can trust it"
	case isLoopbackPeer(r):
		why += ", and this request was passed on by a proxy or a browser"
	}
	setting := "auth.anonymousPull" // which is on if nobody switched it off
	if op.Action == registry.Push || op.Action == registry.Delete {
		setting = "auth.anonymousPush"
	}
	return mirror.Errorf(mirror.CodeDenied, "%s: make a user there with 'mirror user add NAME' and log in, or set %s to let everybody in", why, setting)
}

// wording is what somebody may not do.
func describe(op registry.Operation) string {
	switch op.Action {
	case registry.Push:
		return "push to " + op.Repo.String()
	case registry.Delete:
		return "delete from " + op.Repo.String()
	case registry.Pull:
		return "pull from " + op.Repo.String()
	case registry.List:
		return "list repositories"
	}
	return "use this mirror"
}

// isLocal reports whether a request comes from a loopback address, was sent to one, and shows no sign of a proxy or a
// browser. What a proxy on this machine passes on untouched looks the same: see [Options.CheckPeer].
func isLocal(r *http.Request) bool {
	return isLoopbackPeer(r) && isLoopbackHost(r.Host) && !isForwarded(r)
}

// isLoopbackHost reports whether a Host header names this machine as localhost or by a loopback address. A page whose name
// was made to lead to this machine has its own name there.
func isLoopbackHost(host string) bool {
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
func isLoopbackPeer(r *http.Request) bool {
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	return isUnixSocket(r) || err == nil && addr.Addr().Unmap().IsLoopback()
}

// isUnixSocket reports whether a request came by a socket of this machine, which its file's permissions guard.
func isUnixSocket(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && local.Network() == "unix"
}

// forwarded reports whether a request shows signs of somebody else who sent it: the headers of proxies, what they say
// being no matter; HTTP/1.0, which older nginx speaks and clients do not; or the headers by which browsers say whose page
// has made them do it.
func isForwarded(r *http.Request) bool {
	return !r.ProtoAtLeast(1, 1) || len(r.Header["Origin"]) > 0 || len(r.Header["Sec-Fetch-Site"]) > 0 || middleware.IsForwarded(r.Header)
}

var errInvalidToken = errors.New("it is not of this mirror, or has expired")
