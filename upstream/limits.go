package upstream

import (
	"context"
	"net/http"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"airmirror/mirror"
)

const (
	maxLimits = 4096 // circuit breakers, and as many rate limits, of an endpoint
	maxHosts  = 256  // that an endpoint refers to
)

// limitKey names the requests that share a circuit breaker or a rate limit. A failure or limit of some requests says
// nothing about others: a repository whose storage is damaged, a list that is too long, an API that is missing.
type limitKey struct {
	kind   kind
	method string // empty for the circuit breaker of all methods
	path   string // of the repository; empty for all repositories
	// background separates the requests that no client waits for: their failures delay no client.
	background bool
}

// limits are the circuit breakers and rate limits of one endpoint, and of the hosts that it refers to. It is safe for
// concurrent use.
type limits struct {
	mu        sync.Mutex
	breakers  *lru.Cache[limitKey, *breaker]
	throttles *lru.Cache[limitKey, *throttle]
	hosts     *lru.Cache[limitKey, *hostLimits]
	budget    throttle // shared by the kinds of request whose responses report it
}

// hostLimits are those of another host: of redirects or of a token service.
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

// getOr returns the value of key, a new one if there is none.
func getOr[V any](l *limits, cache *lru.Cache[limitKey, *V], key limitKey) *V {
	l.mu.Lock()
	defer l.mu.Unlock()
	if v, ok := cache.Get(key); ok {
		return v
	}
	v := new(V)
	cache.Add(key, v)
	return v
}

// breaker returns the circuit breaker of t's kind and repository.
func (l *limits) breaker(ctx context.Context, e *endpointClient, t target) *breaker {
	return getOr(l, l.breakers, limitKey{kind: t.kind, path: e.endpoint.path(t.repo), background: mirror.IsBackground(ctx)})
}

// tokenBreaker returns the circuit breaker of token requests for one repository, to any token service.
func (l *limits) tokenBreaker(ctx context.Context) *breaker {
	return getOr(l, l.breakers, limitKey{kind: tokenKind, path: scopeOf(ctx), background: mirror.IsBackground(ctx)})
}

// throttle returns the rate limit of a kind and method: of all requests or, with a path, of those for one repository.
func (l *limits) throttle(ctx context.Context, kind kind, method, path string) *throttle {
	return getOr(l, l.throttles, limitKey{kind, method, path, mirror.IsBackground(ctx)})
}

func (l *limits) host(ctx context.Context, authority string) *hostLimits {
	return getOr(l, l.hosts, limitKey{path: authority, background: mirror.IsBackground(ctx)})
}

// recordLimit records the rate limits that a response of the endpoint itself reports. A 429 is about the client, so it
// applies to all requests of the same kind and method. A 503 is about the repository.
func (l *limits) recordLimit(r *http.Request, resp *http.Response) {
	kind := kindOf(r.Context())
	path := ""
	if resp.StatusCode == http.StatusServiceUnavailable {
		path = scopeOf(r.Context())
	}
	l.throttle(r.Context(), kind, r.Method, path).recordLimit(resp)
	if l.budget.recordRemaining(resp) {
		l.throttle(r.Context(), kind, r.Method, "").setBudgeted()
	}
}

// blocked returns the reason why some requests may not be sent now, or nil.
func (l *limits) blocked() *notSentError {
	l.mu.Lock()
	throttles := l.throttles.Values()
	l.mu.Unlock()
	for _, t := range throttles {
		if blocked := t.blocked(); blocked != nil {
			return blocked
		}
	}
	return nil
}

// waitForLimits waits until t may be requested, at most until halfway to the deadline of w.
func (e *endpointClient) waitForLimits(w *watchdog, method string, t target) error {
	all := e.limits.throttle(w.ctx, t.kind, method, "")
	for _, limit := range []*throttle{all, e.limits.throttle(w.ctx, t.kind, method, e.endpoint.path(t.repo))} {
		if err := limit.wait(w.ctx, w.halfway()); err != nil {
			return err
		}
	}
	if all.isBudgeted() {
		return e.limits.budget.wait(w.ctx, w.halfway())
	}
	return nil
}
