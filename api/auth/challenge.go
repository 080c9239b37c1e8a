package auth

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"airmirror/api/registry"
	"airmirror/mirror"
)

// challenge sets the headers that tell a client how it can proceed after err.
//
// All clients support Basic. But dockerd begins with GET /v2/. If the status is not 401, it never sends credentials, whatever
// headers the answer has: pushes fail, and a login succeeds with any password. If the answer demands Basic, it cannot pull
// without credentials. So where anonymous clients may pull and others may push, GET /v2/ is not answered with 200: the
// mirror asks for a token, which anonymous clients get as well, see [Guard.Handler]. Where anonymous clients may push too, or
// there is nobody to log in as, the answer is 200.
//
// A push or deletion without any credentials does not come from dockerd, which has a token by then. It is answered with
// Basic: buildkit lets its client, on another machine, fetch tokens, and that machine may not trust the mirror's
// certificate authority.
func (p *policy) challenge(header http.Header, r *http.Request, op registry.Operation, c client, err error) {
	if p.setRetryAfter(header, err) || mirror.CodeOf(err) != mirror.CodeUnauthorized {
		return
	}
	switch {
	case p.issuer != nil:
		header.Set("WWW-Authenticate", bearer(p.issuer.token.Realm, p.issuer.token.Service, p.scope(op), c))
	case p.rules.allowsAny("", registry.Pull) && !changesAnonymously(r, op):
		header.Set("WWW-Authenticate", bearer(p.realm(r), service, p.scope(op), c))
	default:
		header.Set("WWW-Authenticate", basic)
	}
}

// setRetryAfter tells a client how long it has to wait after too many failed logins, and reports whether err is about that.
func (p *policy) setRetryAfter(header http.Header, err error) bool {
	delay := (*loginDelay)(nil)
	if !errors.As(err, &delay) {
		return false
	}
	header.Set("Retry-After", mirror.FormatRetryAfter(delay.wait))
	return true
}

// changesAnonymously reports whether a request wants to change something and has no credentials.
func changesAnonymously(r *http.Request, op registry.Operation) bool {
	return (op.Action == registry.Push || op.Action == registry.Delete) && r.Header.Get("Authorization") == ""
}

const basic = `Basic realm="mirror", charset="UTF-8"`

// bearer returns a challenge of the token scheme: https://distribution.github.io/distribution/spec/auth/token/
func bearer(realm, service, scope string, c client) string {
	text := "Bearer realm=" + quoted(realm) + ",service=" + quoted(service)
	if scope != "" {
		text += ",scope=" + quoted(scope)
	}
	switch {
	case c.tokenError != nil:
		text += `,error="invalid_token"`
	case c.grants != nil:
		text += `,error="insufficient_scope"`
	}
	return text
}

var quoting = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func quoted(s string) string { return `"` + quoting.Replace(s) + `"` }

// scope returns the scope that a token needs for an operation. It contains the names under which this mirror serves
// repositories, so that a repository selected with ns is not mistaken for one of the default registry.
func (p *policy) scope(op registry.Operation) string {
	switch op.Action {
	case registry.Ping, registry.Admin:
		return ""
	case registry.List:
		return "registry:catalog:*"
	}
	actions := string(op.Action)
	if op.Action == registry.Push {
		actions = "pull,push"
	}
	scope := "repository:" + p.names.Served(op.Repo) + ":" + actions
	if op.From != (mirror.Repo{}) && op.From != op.Repo {
		scope += " repository:" + p.names.Served(op.From) + ":pull"
	}
	return scope
}

// realm returns the URL where clients get a token: this mirror, under the address that the client used. The headers of
// proxies are trusted for that. A client that forges them only misdirects itself.
func (p *policy) realm(r *http.Request) string {
	if p.url != "" {
		return strings.TrimSuffix(p.url, "/") + TokenPath
	}
	at := url.URL{Scheme: "http", Host: r.Host, Path: TokenPath}
	if r.TLS != nil {
		at.Scheme = "https"
	}
	if scheme := first(r.Header.Get("X-Forwarded-Proto")); scheme == "https" || scheme == "http" {
		at.Scheme = scheme
	}
	if host := first(r.Header.Get("X-Forwarded-Host")); mirror.ValidHost(host) {
		at.Host = host
	}
	return at.String()
}

// first returns the first entry of a list header.
func first(list string) string {
	item, _, _ := strings.Cut(list, ",")
	return strings.ToLower(strings.TrimSpace(item))
}
