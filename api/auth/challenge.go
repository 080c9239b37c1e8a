package auth

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"airmirror/api/registry"
	"airmirror/mirror"
)

// challenge says in header how a client can go on after err.
//
// Basic is what every client knows. But dockerd, which asks GET /v2/ first, sends nothing at all to a registry that does
// not want a login there, and pulls nothing without one from a registry that wants Basic. So where anonymous clients may
// pull and others push, the mirror wants a token, which is given to anonymous clients, too: see [Guard.Handler].
//
// A push or deletion that comes with no credentials at all is not dockerd's, which has a token from GET /v2/ by then. It is
// asked for Basic: buildkit has tokens fetched by its client, on another machine, which does not know the authority of a
// mirror that buildkit itself was told of.
func (p *policy) challenge(header http.Header, r *http.Request, op registry.Operation, c client, err error) {
	if delay := (*loginDelay)(nil); errors.As(err, &delay) {
		header.Set("Retry-After", mirror.FormatRetryAfter(delay.wait))
		return
	}
	if mirror.CodeOf(err) != mirror.CodeUnauthorized {
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

// changesAnonymously reports whether a request is to change something and shows no credentials.
func changesAnonymously(r *http.Request, op registry.Operation) bool {
	return (op.Action == registry.Push || op.Action == registry.Delete) && r.Header.Get("Authorization") == ""
}

const basic = `Basic realm="mirror", charset="UTF-8"`

// bearer is a challenge of the token scheme: https://distribution.github.io/distribution/spec/auth/token/
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

// scope is what a token must say for a request to be admitted. Repositories are called as this mirror serves them, so
// that one that is meant by ns is not mistaken for the default registry's.
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

// realm is where clients get a token from: this mirror, as the client that asks has reached it. What a proxy says of that
// is believed, since who makes it up sends only themselves elsewhere.
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

// first is the first of a list: what the proxy says that is nearest to the client.
func first(list string) string {
	item, _, _ := strings.Cut(list, ",")
	return strings.ToLower(strings.TrimSpace(item))
}
