package upstream

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/google/go-containerregistry/pkg/authn"
	lru "github.com/hashicorp/golang-lru/v2"

	"airmirror/mirror"
)

// maxAuthorizations is how many hosts and repositories of one endpoint keep their authorization.
const maxAuthorizations = 1024

// authorizer signs in. It sends a request without an authorization, or with the one that the host accepted last. If the
// response is a challenge, it responds to the challenge and sends the request again. It does not rely on /v2/: registries
// challenge there and not at the repository, or the other way round. It is safe for concurrent use.
type authorizer struct {
	endpoint   Endpoint
	keychain   authn.Keychain // for the endpoint
	otherHosts authn.Keychain // for the hosts that it refers to
	next       http.RoundTripper
	opts       Options
	limits     *limits
	cache      *lru.Cache[authKey, authorization]
	signIns    callGroup[authorization]
}

// authKey says which requests an authorization is for.
type authKey struct {
	server string // scheme, host and port
	scope  string // path of the repository; empty for the whole registry
}

// authorization is what a host accepts, or what is known about its sign-in.
type authorization struct {
	header string // Authorization
	user   string // whose password is in header
	scopes string // of the token
	pinged bool   // /v2/ was requested for a challenge, since the response had none
}

type scopeKey struct{}

// withScope returns a context for requests about the repository at path, as the endpoint calls it.
func withScope(ctx context.Context, path string) context.Context {
	return context.WithValue(ctx, scopeKey{}, path)
}

func scopeOf(ctx context.Context) string {
	path, _ := ctx.Value(scopeKey{}).(string)
	return path
}

func newAuthorizer(e Endpoint, keychain authn.Keychain, next http.RoundTripper, l *limits, opts Options) (*authorizer, error) {
	cache, err := lru.New[authKey, authorization](maxAuthorizations)
	if err != nil {
		return nil, err // only for a size below 1
	}
	return &authorizer{endpoint: e, keychain: keychain, otherHosts: opts.Keychain, next: next, opts: opts, limits: l, cache: cache}, nil
}

func keyOf(r *http.Request) authKey {
	return authKey{r.URL.Scheme + "://" + canonicalAuthority(r.URL), scopeOf(r.Context())}
}

// RoundTrip sends r, which has no body, and responds to up to two challenges: the second one may ask for another scope than
// the first. It drops a cached authorization that is refused: the token has expired, or the password has changed.
func (a *authorizer) RoundTrip(r *http.Request) (*http.Response, error) {
	key := keyOf(r)
	current, _ := a.cache.Get(key)
	resp, err := a.send(r, current)
	if err == nil && resp.StatusCode == http.StatusForbidden && current.header != "" {
		a.invalidate(key, current)
		discard(resp)
		current = authorization{}
		resp, err = a.send(r, current)
	}
	current.scopes = "" // the refusal of a cached token says nothing about its scopes
	for round := 0; ; round++ {
		if err != nil {
			return nil, err
		}
		next, found, signInErr := authorization{}, false, error(nil)
		if round < 2 {
			next, found, signInErr = a.respond(r, key, current, resp)
		}
		if resp.StatusCode == http.StatusUnauthorized && !found {
			a.invalidate(key, current)
		}
		switch {
		case signInErr != nil:
			discard(resp)
			return nil, signInErr
		case !found:
			return resp, nil
		}
		discard(resp)
		current = next
		resp, err = a.send(r, current)
	}
}

// send sends r with an authorization.
func (a *authorizer) send(r *http.Request, with authorization) (*http.Response, error) {
	if with.header != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", with.header)
	}
	return a.next.RoundTrip(r)
}

// respond returns the authorization to send r with after resp, the response to r with current. found is false if there is
// no better one.
func (a *authorizer) respond(r *http.Request, key authKey, current authorization, resp *http.Response) (next authorization, found bool, err error) {
	challenges := challengesOf(resp)
	switch mayPing := current.header == "" && !current.pinged && a.endpoint.owns(r.URL); {
	case resp.StatusCode == http.StatusUnauthorized && len(challenges) > 0:
		return a.signIn(r, key, current, challenges)
	case mayPing && (resp.StatusCode == http.StatusUnauthorized || maybeHidden(resp.StatusCode)):
		return a.challengeFromPing(r, key, resp.StatusCode)
	}
	return authorization{}, false, nil
}

// signInError is the reason why the response to a challenge failed. It says nothing about the content.
type signInError struct{ error }

func (e signInError) Unwrap() error { return e.error }

// signIn responds to one of the challenges and caches the authorization. Requests that need the same one share the
// sign-in; each waits as long as its own context allows. The sign-in itself has the timeout. Clients do not share that of
// background work, which may be delayed.
func (a *authorizer) signIn(r *http.Request, key authKey, current authorization, challenges []challenge) (authorization, bool, error) {
	if newer, ok := a.cache.Get(key); ok && newer.header != "" && newer.header != current.header {
		return newer, true, nil
	}
	call := fmt.Sprint(key.server, " ", key.scope, " ", mirror.IsBackground(r.Context()))
	next, err := a.signIns.do(r.Context(), call, func(ctx context.Context) (authorization, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, a.opts.Timeout, timeoutError(a.opts.Timeout))
		defer cancel()
		next, err := a.choose(ctx, r.URL, current, challenges)
		if err == nil && next.header != "" {
			a.cache.Add(key, next)
		}
		return next, err
	})
	if err != nil {
		return authorization{}, false, signInError{err}
	}
	return next, next.header != "", nil
}

// choose responds to the first challenge that it can. If it cannot respond to any, it returns the error of the first.
func (a *authorizer) choose(ctx context.Context, asker *url.URL, current authorization, challenges []challenge) (next authorization, err error) {
	account, err := a.credentialsFor(ctx, asker)
	if err != nil {
		return authorization{}, err
	}
	for _, c := range challenges {
		respond := a.basic
		if c.scheme == "bearer" {
			respond = a.bearer
		}
		next, respondErr := respond(ctx, asker, account, current, c)
		if respondErr == nil && next.header != "" {
			return next, nil
		}
		if err == nil {
			err = respondErr
		}
	}
	return authorization{}, err
}

// invalidate drops an authorization from the cache, unless another one has replaced it.
func (a *authorizer) invalidate(key authKey, current authorization) {
	if cached, ok := a.cache.Peek(key); ok && cached.header == current.header && cached.header != "" {
		a.cache.Remove(key)
	}
}
