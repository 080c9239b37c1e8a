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

// maxAuthorizations is for how many repositories of one endpoint it is remembered what to send with requests.
const maxAuthorizations = 1024

// authorizer signs in. A request is sent as it is, or with what its host took the last time; where that is answered with
// a challenge, the challenge is met, and the request sent again. What /v2/ would say does not count: registries challenge
// there and not on the repository, or the other way round. It may be used concurrently.
type authorizer struct {
	endpoint   Endpoint
	keychain   authn.Keychain // for the endpoint
	otherHosts authn.Keychain // for the hosts that it sends its clients to
	next       http.RoundTripper
	opts       Options
	limits     *limits
	cache      *lru.Cache[authKey, authorization]
	signIns    callGroup[authorization]
}

// authKey says what a grant is good for.
type authKey struct {
	server string // scheme, host and port
	scope  string // path of the repository; empty for all of the registry
}

// grant is what a server wants to see with requests.
type authorization struct {
	header string // Authorization
	user   string // whose password is in header, if one is
	scopes string // that a token was asked for with
	pinged bool   // /v2/ was asked for a challenge, since the request itself met none
}

type scopeKey struct{}

// withScope returns a context of requests that are about the repository at path, as the endpoint calls it.
func withScope(ctx context.Context, path string) context.Context {
	return context.WithValue(ctx, scopeKey{}, path)
}

func scopeOf(ctx context.Context) string {
	path, _ := ctx.Value(scopeKey{}).(string)
	return path
}

func newAuthorizer(e Endpoint, keychain authn.Keychain, next http.RoundTripper, p *limits, opts Options) (*authorizer, error) {
	grants, err := lru.New[authKey, authorization](maxAuthorizations)
	if err != nil {
		return nil, err // only for a size below 1
	}
	return &authorizer{endpoint: e, keychain: keychain, otherHosts: opts.Keychain, next: next, opts: opts, limits: p, cache: grants}, nil
}

func keyOf(r *http.Request) authKey {
	return authKey{r.URL.Scheme + "://" + canonicalAuthority(r.URL), scopeOf(r.Context())}
}

// RoundTrip sends r, which has no body, and meets up to two challenges: the second one may be of a registry that wants
// another scope than it said at first. A grant from an earlier request that is refused now counts for nothing: its token
// has expired, or the password has changed.
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
	current.scopes = "" // it is from earlier: that it is refused says nothing about its scopes
	for round := 0; ; round++ {
		if err != nil {
			return nil, err
		}
		next, found, why := authorization{}, false, error(nil)
		if round < 2 {
			next, found, why = a.respond(r, key, current, resp)
		}
		if resp.StatusCode == http.StatusUnauthorized && !found {
			a.invalidate(key, current)
		}
		switch {
		case why != nil:
			discard(resp)
			return nil, why
		case !found:
			return resp, nil
		}
		discard(resp)
		current = next
		resp, err = a.send(r, current)
	}
}

// send sends r with a grant.
func (a *authorizer) send(r *http.Request, with authorization) (*http.Response, error) {
	if with.header != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", with.header)
	}
	return a.next.RoundTrip(r)
}

// meet returns what to send r with after resp, the answer to it with held. found is false if there is nothing better.
func (a *authorizer) respond(r *http.Request, key authKey, current authorization, resp *http.Response) (next authorization, found bool, err error) {
	challenges := challengesOf(resp)
	switch unasked := current.header == "" && !current.pinged && a.endpoint.owns(r.URL); {
	case resp.StatusCode == http.StatusUnauthorized && len(challenges) > 0:
		return a.signIn(r, key, current, challenges)
	case unasked && (resp.StatusCode == http.StatusUnauthorized || maybeHidden(resp.StatusCode)):
		return a.challengeFromPing(r, key, resp.StatusCode)
	}
	return authorization{}, false, nil
}

// signInError is why a challenge could not be met. It says nothing about what was asked for.
type signInError struct{ error }

func (e signInError) Unwrap() error { return e.error }

// answer meets one of the challenges, and remembers the grant. Whoever needs the same one waits for it together, each as
// long as its own context allows; the sign-in goes on for those who stay, within the timeout. Clients do not share that
// of work in the background, which may be held back.
func (a *authorizer) signIn(r *http.Request, key authKey, current authorization, challenges []challenge) (authorization, bool, error) {
	if newer, ok := a.cache.Get(key); ok && newer.header != "" && newer.header != current.header {
		return newer, true, nil
	}
	what := fmt.Sprint(key.server, " ", key.scope, " ", mirror.IsBackground(r.Context()))
	next, err := a.signIns.do(r.Context(), what, func(ctx context.Context) (authorization, error) {
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

// pick meets the first challenge that can be met. If none can, its error is that of the first.
func (a *authorizer) choose(ctx context.Context, asker *url.URL, current authorization, challenges []challenge) (next authorization, err error) {
	account, err := a.credentialsFor(ctx, asker)
	if err != nil {
		return authorization{}, err
	}
	for _, c := range challenges {
		meet := a.basic
		if c.scheme == "bearer" {
			meet = a.bearer
		}
		met, why := meet(ctx, asker, account, current, c)
		if why == nil && met.header != "" {
			return met, nil
		}
		if err == nil {
			err = why
		}
	}
	return authorization{}, err
}

// forget drops a grant, unless another one has taken its place.
func (a *authorizer) invalidate(key authKey, current authorization) {
	if now, ok := a.cache.Peek(key); ok && now.header == current.header && now.header != "" {
		a.cache.Remove(key)
	}
}
