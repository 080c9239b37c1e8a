package auth

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"go.uber.org/zap"

	"airmirror/api/middleware"
	"airmirror/api/registry"
	"airmirror/mirror"
)

// client is the sender of a request. The zero value is anonymous.
type client struct {
	name          string
	grants        *grants // permissions from an issuer's token; rules for users do not apply then
	authenticated bool    // it sent valid credentials, possibly a token of an anonymous client
	tokenError    error   // why the token that it sent is invalid
	local         bool    // it is on this machine and has all rights
	token         *rules  // permissions of an API token; rules for users do not apply then
}

// loginError returns the error for a wrong password. It does not tell whether the user exists.
func loginError(name string) error {
	return mirror.Errorf(mirror.CodeUnauthorized, "wrong name or password for the user %.100q", name)
}

// identify returns the sender of a request. A client with an invalid token is anonymous and keeps the rights of
// anonymous clients. A wrong password is an error, because a user is waiting for the result.
func (p *policy) identify(r *http.Request) (client, error) {
	given := r.Header["Authorization"]
	if len(given) == 0 || !p.hasLogins() {
		return p.identifyByCertificate(r), nil
	}
	if len(given) > 1 { // a proxy may have checked only one of them
		return client{}, mirror.Errorf(mirror.CodeUnauthorized, "the request has %d Authorization headers: send one", len(given))
	}
	authorization := given[0]
	if authorization == "" {
		return p.identifyByCertificate(r), nil
	}
	scheme, token, _ := strings.Cut(authorization, " ")
	if strings.EqualFold(scheme, "Bearer") {
		if c, ok, err := p.identifyBySecret(r, "", strings.TrimSpace(token)); ok {
			if mirror.CodeOf(err) == mirror.CodeUnauthorized {
				return client{tokenError: errInvalidToken}, nil
			}
			return c, err
		}
	}
	switch {
	case strings.EqualFold(scheme, "Bearer") && p.issuer != nil:
		grants, err := p.issuer.verify(strings.TrimSpace(token))
		if err != nil {
			p.log.Info("a client sent an invalid token", zap.String("address", mirror.HostOf(r.RemoteAddr)), zap.Error(err))
			return client{tokenError: err}, nil
		}
		return client{name: grants.subject, grants: grants, authenticated: true}, nil
	case strings.EqualFold(scheme, "Bearer"):
		name, err := p.verifyOwn(strings.TrimSpace(token))
		if c, ok := p.clientNamed(r, name); ok && err == nil {
			return c, nil
		}
		return client{tokenError: errInvalidToken}, nil
	}
	name, password, ok := r.BasicAuth()
	switch {
	case !ok:
		return client{}, mirror.Errorf(mirror.CodeUnauthorized, "the Authorization header is malformed: log in with a name and password")
	case name == "" && password == "": // some clients send this without credentials
		return p.identifyByCertificate(r), nil
	}
	if c, ok, err := p.identifyBySecret(r, name, password); ok {
		return c, err
	}
	if err := p.login(r, name, password); err != nil {
		return client{}, err
	}
	return client{name: name, authenticated: true}, nil
}

// identifyByCertificate returns the client that a verified TLS certificate names.
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

// denial returns the error for a client that may not perform an operation. The message says what would help.
func (p *policy) denial(r *http.Request, c client, op registry.Operation) error {
	what := describe(op)
	switch {
	case c.tokenError != nil:
		return &mirror.Error{Code: mirror.CodeUnauthorized, Message: "the token is invalid, and a valid one is required to " + what}
	case c.grants != nil: // another token may grant more
		return mirror.Errorf(mirror.CodeUnauthorized, "the token does not allow its holder to %s", what)
	case c.token != nil:
		return mirror.Errorf(mirror.CodeDenied, "the API token %s does not allow its holder to %s", strings.TrimPrefix(c.name, tokenUser), what)
	case c.name != "":
		return mirror.Errorf(mirror.CodeDenied, "%s may not %s: no rule of this mirror allows it", c.name, what)
	case p.hasLogins() && op.Action == registry.Ping && p.rules.allowsAny("", registry.Pull):
		return mirror.Errorf(mirror.CodeUnauthorized, "pulls need no login, only a token that clients fetch by themselves; for everything else, %s", loginAdvice(r))
	case p.hasLogins():
		return mirror.Errorf(mirror.CodeUnauthorized, "nobody may %s without a login: %s", what, loginAdvice(r))
	case p.certs:
		return mirror.Errorf(mirror.CodeDenied, "nobody may %s without a client certificate: present one", what)
	case !p.defaultRules:
		return mirror.Errorf(mirror.CodeDenied, "no rule of this mirror allows anonymous clients to %s", what)
	}
	why := "as long as the mirror has no users, only clients on its own machine that connect to localhost may " + what
	switch {
	case !p.loopback:
		why = "as long as the mirror has no users, nobody may " + what
	case isLocal(r):
		why += ", and the sender of this request may be a proxy: the mirror's log has the reason, and auth.loopbackPush can allow it"
	case isLoopbackPeer(r):
		why += ", and this request was forwarded by a proxy or sent by a browser"
	}
	setting := "auth.anonymousPull" // the default is on
	if op.Action == registry.Push || op.Action == registry.Delete {
		setting = "auth.anonymousPush"
	}
	return mirror.Errorf(mirror.CodeDenied, "%s: create a user there with 'mirror user add NAME' and log in, or set %s to allow it for everybody", why, setting)
}

// loginAdvice says how a client logs in.
func loginAdvice(r *http.Request) string {
	host := "HOST"
	if mirror.ValidHost(r.Host) {
		host = r.Host
	}
	return fmt.Sprintf("use docker login %[1]s, podman login %[1]s, or the option --user of ctr", host)
}

// describe returns the operation in words, for messages.
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

// isLocal reports whether a request comes from a loopback address, was sent to one, and has no header of a proxy or
// browser. A request that a proxy on this machine forwards unchanged looks the same: see [Options.CheckPeer].
func isLocal(r *http.Request) bool {
	return isLoopbackPeer(r) && isLoopbackHost(r.Host) && !isForwarded(r)
}

// isLoopbackHost reports whether a Host header is localhost or a loopback address. A web page that resolved its own
// name to a loopback address (DNS rebinding) sends its own name instead.
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

// isLoopbackPeer reports whether a request comes from a loopback address or over a Unix socket.
func isLoopbackPeer(r *http.Request) bool {
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	return isUnixSocket(r) || err == nil && addr.Addr().Unmap().IsLoopback()
}

// isUnixSocket reports whether a request came over a Unix socket, which file permissions protect.
func isUnixSocket(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && local.Network() == "unix"
}

// isForwarded reports whether a request may have been sent on behalf of somebody else. It looks for headers of proxies,
// whatever their values; for HTTP/1.0, which older nginx uses and clients do not; and for headers with which browsers
// name the page that caused the request.
func isForwarded(r *http.Request) bool {
	return !r.ProtoAtLeast(1, 1) || len(r.Header["Origin"]) > 0 || len(r.Header["Sec-Fetch-Site"]) > 0 || middleware.IsForwarded(r.Header)
}

var errInvalidToken = errors.New("it is not a token of this mirror, or it has expired")
