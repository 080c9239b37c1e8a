package auth

import (
	"net/http"
	"strings"

	"go.uber.org/zap"

	"airmirror/mirror"
)

// clientOfToken returns the client that an API token stands for.
func (p *policy) clientOfToken(r *http.Request, token *apiToken) client {
	p.tokens.used(r.Context(), token)
	allowed, err := tokenRules(token.Token, p.names)
	if err != nil { // it was checked when the token was created
		p.log.Error("the API token has no rights", zap.String("token", token.Name), zap.Error(err))
	}
	return client{name: tokenUser + token.Name, authenticated: true, token: &allowed}
}

// identifyBySecret identifies a client by the secret of an API token, and by its name unless that is empty. ok is false if
// the secret is none of an API token. A wrong secret counts as a failed login.
func (p *policy) identifyBySecret(r *http.Request, name, secret string) (c client, ok bool, err error) {
	if !strings.HasPrefix(secret, secretPrefix) || !p.tokens.exist() {
		return c, false, nil
	}
	token := p.tokens.bySecret(secret)
	if token != nil && (name == "" || name == token.Name) {
		return p.clientOfToken(r, token), true, nil
	}
	done, err := p.limiter.acquire(r.Context(), mirror.NetworkOf(r.RemoteAddr))
	if err != nil {
		return c, true, err
	}
	done(false)
	p.log.Warn("login with an API token failed", zap.String("token", name[:min(len(name), maxLoggedName)]), zap.String("address", mirror.HostOf(r.RemoteAddr)))
	return c, true, loginError(name)
}

// clientNamed returns the client that a token of [Guard.Handler] was signed for: a user, an API token, or an anonymous client
// for "". ok is false if an API token has been revoked or has expired.
func (p *policy) clientNamed(r *http.Request, name string) (c client, ok bool) {
	if token, isToken := strings.CutPrefix(name, tokenUser); isToken {
		found := p.tokens.byName(token)
		if found == nil {
			return c, false
		}
		return p.clientOfToken(r, found), true
	}
	return client{name: name, authenticated: true}, true
}
