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

// maxGrants is for how many repositories of one endpoint it is remembered what to send with requests.
const maxGrants = 1024

// authorizer signs in. A request is sent as it is, or with what its host took the last time; where that is answered with
// a challenge, the challenge is met, and the request sent again. What /v2/ would say does not count: registries challenge
// there and not on the repository, or the other way round. It may be used concurrently.
type authorizer struct {
	endpoint Endpoint
	keychain authn.Keychain // for the endpoint
	others   authn.Keychain // for the hosts that it sends its clients to
	next     http.RoundTripper
	opts     Options
	parts    *parts
	grants   *lru.Cache[grantKey, grant]
	opening  shared[grant]
}

// grantKey says what a grant is good for.
type grantKey struct {
	server string // scheme, host and port
	scope  string // path of the repository; empty for all of the registry
}

// grant is what a server wants to see with requests.
type grant struct {
	header string // Authorization
	user   string // whose password is in header, if one is
	scopes string // that a token was asked for with
	asked  bool   // /v2/ was asked for a challenge, since the request itself met none
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

func newAuthorizer(e Endpoint, keychain authn.Keychain, next http.RoundTripper, p *parts, opts Options) (*authorizer, error) {
	grants, err := lru.New[grantKey, grant](maxGrants)
	if err != nil {
		return nil, err // only for a size below 1
	}
	return &authorizer{endpoint: e, keychain: keychain, others: opts.Keychain, next: next, opts: opts, parts: p, grants: grants}, nil
}

func keyOf(r *http.Request) grantKey {
	return grantKey{r.URL.Scheme + "://" + canonicalAuthority(r.URL), scopeOf(r.Context())}
}

// RoundTrip sends r, which has no body, and meets up to two challenges: the second one may be of a registry that wants
// another scope than it said at first. A grant from an earlier request that is refused now counts for nothing: its token
// has expired, or the password has changed.
func (a *authorizer) RoundTrip(r *http.Request) (*http.Response, error) {
	key := keyOf(r)
	held, _ := a.grants.Get(key)
	resp, err := a.send(r, held)
	if err == nil && resp.StatusCode == http.StatusForbidden && held.header != "" {
		a.forget(key, held)
		discard(resp)
		held = grant{}
		resp, err = a.send(r, held)
	}
	held.scopes = "" // it is from earlier: that it is refused says nothing about its scopes
	for round := 0; ; round++ {
		if err != nil {
			return nil, err
		}
		next, found, why := grant{}, false, error(nil)
		if round < 2 {
			next, found, why = a.meet(r, key, held, resp)
		}
		if resp.StatusCode == http.StatusUnauthorized && !found {
			a.forget(key, held)
		}
		switch {
		case why != nil:
			discard(resp)
			return nil, why
		case !found:
			return resp, nil
		}
		discard(resp)
		held = next
		resp, err = a.send(r, held)
	}
}

// send sends r with a grant.
func (a *authorizer) send(r *http.Request, with grant) (*http.Response, error) {
	if with.header != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", with.header)
	}
	return a.next.RoundTrip(r)
}

// meet returns what to send r with after resp, the answer to it with held. found is false if there is nothing better.
func (a *authorizer) meet(r *http.Request, key grantKey, held grant, resp *http.Response) (next grant, found bool, err error) {
	challenges := challengesOf(resp)
	switch unasked := held.header == "" && !held.asked && a.endpoint.owns(r.URL); {
	case resp.StatusCode == http.StatusUnauthorized && len(challenges) > 0:
		return a.answer(r, key, held, challenges)
	case unasked && (resp.StatusCode == http.StatusUnauthorized || hidden(resp.StatusCode)):
		return a.hint(r, key, resp.StatusCode)
	}
	return grant{}, false, nil
}

// signInError is why a challenge could not be met. It says nothing about what was asked for.
type signInError struct{ error }

func (e signInError) Unwrap() error { return e.error }

// answer meets one of the challenges, and remembers the grant. Whoever needs the same one waits for it together, each as
// long as its own context allows; the sign-in goes on for those who stay, within the timeout. Clients do not share that
// of work in the background, which may be held back.
func (a *authorizer) answer(r *http.Request, key grantKey, held grant, challenges []challenge) (grant, bool, error) {
	if newer, ok := a.grants.Get(key); ok && newer.header != "" && newer.header != held.header {
		return newer, true, nil
	}
	what := fmt.Sprint(key.server, " ", key.scope, " ", mirror.IsBackground(r.Context()))
	next, err := a.opening.do(r.Context(), what, func(ctx context.Context) (grant, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, a.opts.Timeout, timeoutError(a.opts.Timeout))
		defer cancel()
		next, err := a.pick(ctx, r.URL, held, challenges)
		if err == nil && next.header != "" {
			a.grants.Add(key, next)
		}
		return next, err
	})
	if err != nil {
		return grant{}, false, signInError{err}
	}
	return next, next.header != "", nil
}

// pick meets the first challenge that can be met. If none can, its error is that of the first.
func (a *authorizer) pick(ctx context.Context, asker *url.URL, held grant, challenges []challenge) (next grant, err error) {
	account, err := a.account(ctx, asker)
	if err != nil {
		return grant{}, err
	}
	for _, c := range challenges {
		meet := a.basic
		if c.scheme == "bearer" {
			meet = a.bearer
		}
		met, why := meet(ctx, asker, account, held, c)
		if why == nil && met.header != "" {
			return met, nil
		}
		if err == nil {
			err = why
		}
	}
	return grant{}, err
}

// forget drops a grant, unless another one has taken its place.
func (a *authorizer) forget(key grantKey, held grant) {
	if now, ok := a.grants.Peek(key); ok && now.header == held.header && now.header != "" {
		a.grants.Remove(key)
	}
}
