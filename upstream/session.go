package upstream

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"airmirror/mirror"
)

// maxSessions is for how many repositories of one upstream a session is kept.
const maxSessions = 1024

// origin is one endpoint of an upstream, and the sessions there. It may be used concurrently.
type origin struct {
	endpoint Endpoint
	base     http.RoundTripper
	keychain authn.Keychain
	opts     Options
	sessions *lru.Cache[string, *session] // by the path of the repository at the endpoint
	opening  singleflight.Group           // by the same
	breaker  breaker
	pace     pace
}

// session is a client that has signed in to pull from one repository. go-containerregistry's transport in it gets a
// new token when the old one expires, in the context of the request that finds out.
type session struct{ *http.Client }

func newOrigin(host string, c EndpointConfig, dial transports, opts Options) (*origin, error) {
	u, err := parseURL(c.URL)
	if err != nil {
		return nil, err
	}
	base, err := dial.to(c)
	if err != nil {
		return nil, err
	}
	sessions, err := lru.New[string, *session](maxSessions)
	if err != nil {
		return nil, err // only for a size below 1
	}
	o := &origin{endpoint: Endpoint{Host: host, URL: u}, keychain: c.Credentials.keychain(opts.Keychain), opts: opts, sessions: sessions}
	o.base = decorate(base, o.endpoint, &o.pace, opts)
	return o, nil
}

// session returns the session for repo or, if that has no path, for the catalog, and whether it was opened for this call. Callers who need the same one wait for
// it together, each as long as its own ctx allows; the sign-in goes on without them, within the timeout.
func (o *origin) session(ctx context.Context, repo mirror.Repo) (s *session, opened bool, err error) {
	path := o.endpoint.path(repo)
	if s, ok := o.sessions.Get(path); ok {
		return s, false, nil
	}
	done := o.opening.DoChan(path, func() (any, error) {
		ctx, cancel := context.WithTimeoutCause(context.Background(), o.opts.Timeout, timeoutError(o.opts.Timeout))
		defer cancel()
		s, err := o.open(ctx, path)
		if err != nil {
			return nil, err
		}
		o.sessions.Add(path, s)
		return s, nil
	})
	select {
	case <-ctx.Done():
		return nil, true, context.Cause(ctx)
	case result := <-done:
		if result.Err != nil {
			return nil, true, result.Err
		}
		return result.Val.(*session), true, nil
	}
}

// open signs in. Nothing of ctx stays in the session.
func (o *origin) open(ctx context.Context, path string) (*session, error) {
	account, err := o.endpoint.account()
	if err != nil {
		return nil, fmt.Errorf("naming the account: %w", err)
	}
	// A catalog is not of one repository, and names a scope of its own.
	scope, whose := "registry:catalog:*", authn.Resource(account)
	if path != "" {
		scope, whose = "repository:"+path+":"+transport.PullScope, account.Repo(path)
	}
	auth, err := authn.Resolve(ctx, o.keychain, whose)
	if err != nil {
		return nil, &keychainError{host: o.endpoint.URL.Host, err: err}
	}
	registry, err := o.endpoint.registry()
	if err != nil {
		return nil, fmt.Errorf("naming the registry: %w", err)
	}
	rt, err := transport.NewWithContext(ctx, registry, auth, o.base, []string{scope})
	if err != nil {
		return nil, err
	}
	return &session{&http.Client{Transport: rt, CheckRedirect: checkRedirect}}, nil
}

// drop forgets s, unless another session has taken its place.
func (o *origin) drop(repo mirror.Repo, s *session) {
	path := o.endpoint.path(repo)
	if held, ok := o.sessions.Peek(path); ok && held == s {
		o.sessions.Remove(path)
	}
}
