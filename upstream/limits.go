package upstream

import (
	"context"
	"net/http"
	"slices"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"airmirror/mirror"
)

const (
	maxLimits = 4096 // of an endpoint, of which circuit breakers and rate limits are kept
	maxHosts  = 256  // that an endpoint leads to
)

// limitKey names a part of what an endpoint is asked for. What fails or is limited in one part says nothing about the
// others: a repository whose storage is damaged, a list that is too long, an API that is not there.
type limitKey struct {
	kind   kind
	method string // empty for the circuit breaker of all methods
	path   string // of the repository; empty for all of them
	// background parts are those of work that no client waits for, whose failures hold no client back.
	background bool
}

// parts are the circuit breakers and rate limits of one endpoint, and of the hosts that it leads to. They may be used
// concurrently.
type limits struct {
	mu        sync.Mutex
	breakers  *lru.Cache[limitKey, *breaker]
	throttles *lru.Cache[limitKey, *throttle]
	hosts     *lru.Cache[limitKey, *hostLimits]
	budget    throttle // that the endpoint says it grants to all requests of some kinds together
}

// host is one that an endpoint leads to: by redirects, or for tokens.
type hostLimits struct {
	breaker  breaker
	throttle throttle
}

func newLimits() *limits {
	return &limits{breakers: newLRU[*breaker](maxLimits), throttles: newLRU[*throttle](maxLimits), hosts: newLRU[*hostLimits](maxHosts)}
}

func newLRU[V any](size int) *lru.Cache[limitKey, V] {
	cache, err := lru.New[limitKey, V](size)
	if err != nil { // the size is below 1
		panic(err)
	}
	return cache
}

// getOr returns what is under key, made new if there is nothing.
func getOr[V any](p *limits, cache *lru.Cache[limitKey, *V], key limitKey) *V {
	p.mu.Lock()
	defer p.mu.Unlock()
	if v, ok := cache.Get(key); ok {
		return v
	}
	v := new(V)
	cache.Add(key, v)
	return v
}

func (p *limits) breaker(ctx context.Context, e *endpointClient, t target) *breaker {
	return getOr(p, p.breakers, limitKey{kind: t.kind, path: e.endpoint.path(t.repo), background: mirror.IsBackground(ctx)})
}

// tokens is the circuit breaker of requests for tokens to one repository, whichever service gives them.
func (p *limits) tokenBreaker(ctx context.Context) *breaker {
	return getOr(p, p.breakers, limitKey{kind: tokenKind, path: scopeOf(ctx), background: mirror.IsBackground(ctx)})
}

// pace is the rate limit of all requests of a kind and method or, with a path, of those for one repository.
func (p *limits) throttle(ctx context.Context, kind kind, method, path string) *throttle {
	return getOr(p, p.throttles, limitKey{kind, method, path, mirror.IsBackground(ctx)})
}

func (p *limits) host(ctx context.Context, authority string) *hostLimits {
	return getOr(p, p.hosts, limitKey{path: authority, background: mirror.IsBackground(ctx)})
}

// note reads what an answer of the endpoint itself says about limits. A 429 is about the client, and so about all
// requests of that kind and method; a 503 is about the repository.
func (p *limits) recordLimit(r *http.Request, resp *http.Response) {
	kind := kindOf(r.Context())
	path := ""
	if resp.StatusCode == http.StatusServiceUnavailable {
		path = scopeOf(r.Context())
	}
	p.throttle(r.Context(), kind, r.Method, path).recordLimit(resp)
	if p.budget.recordRemaining(resp) {
		p.throttle(r.Context(), kind, r.Method, "").setBudgeted()
	}
}

// held returns why something is not asked for now, or nil.
func (p *limits) blocked() *notSentError {
	p.mu.Lock()
	all := slices.Concat(p.throttles.Values())
	p.mu.Unlock()
	for _, t := range all {
		if blocked := t.blocked(); blocked != nil {
			return blocked
		}
	}
	return nil
}

// wait waits until t may be asked for.
func (e *endpointClient) waitForLimits(w *watchdog, method string, t target) error {
	all := e.limits.throttle(w.ctx, t.kind, method, "")
	for _, p := range []*throttle{all, e.limits.throttle(w.ctx, t.kind, method, e.endpoint.path(t.repo))} {
		if err := p.wait(w.ctx, w.halfway()); err != nil {
			return err
		}
	}
	if all.isBudgeted() {
		return e.limits.budget.wait(w.ctx, w.halfway())
	}
	return nil
}
