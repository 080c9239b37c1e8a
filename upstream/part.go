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
	maxParts = 4096 // of an endpoint, of which circuit breakers and rate limits are kept
	maxHosts = 256  // that an endpoint leads to
)

// partKey names a part of what an endpoint is asked for. What fails or is limited in one part says nothing about the
// others: a repository whose storage is damaged, a list that is too long, an API that is not there.
type partKey struct {
	kind   kind
	method string // empty for the circuit breaker of all methods
	path   string // of the repository; empty for all of them
	// background parts are those of work that no client waits for, whose failures hold no client back.
	background bool
}

// parts are the circuit breakers and rate limits of one endpoint, and of the hosts that it leads to. They may be used
// concurrently.
type parts struct {
	mu       sync.Mutex
	breakers *lru.Cache[partKey, *breaker]
	paces    *lru.Cache[partKey, *pace]
	hosts    *lru.Cache[partKey, *host]
	budget   pace // that the endpoint says it grants to all requests of some kinds together
}

// host is one that an endpoint leads to: by redirects, or for tokens.
type host struct {
	breaker breaker
	pace    pace
}

func newParts() *parts {
	return &parts{breakers: newLRU[*breaker](maxParts), paces: newLRU[*pace](maxParts), hosts: newLRU[*host](maxHosts)}
}

func newLRU[V any](size int) *lru.Cache[partKey, V] {
	cache, err := lru.New[partKey, V](size)
	if err != nil { // the size is below 1
		panic(err)
	}
	return cache
}

// getOr returns what is under key, made new if there is nothing.
func getOr[V any](p *parts, cache *lru.Cache[partKey, *V], key partKey) *V {
	p.mu.Lock()
	defer p.mu.Unlock()
	if v, ok := cache.Get(key); ok {
		return v
	}
	v := new(V)
	cache.Add(key, v)
	return v
}

func (p *parts) breaker(ctx context.Context, o *origin, t target) *breaker {
	return getOr(p, p.breakers, partKey{kind: t.kind, path: o.endpoint.path(t.repo), background: mirror.IsBackground(ctx)})
}

// tokens is the circuit breaker of requests for tokens to one repository, whichever service gives them.
func (p *parts) tokens(ctx context.Context) *breaker {
	return getOr(p, p.breakers, partKey{kind: token, path: scopeOf(ctx), background: mirror.IsBackground(ctx)})
}

// pace is the rate limit of all requests of a kind and method or, with a path, of those for one repository.
func (p *parts) pace(ctx context.Context, kind kind, method, path string) *pace {
	return getOr(p, p.paces, partKey{kind, method, path, mirror.IsBackground(ctx)})
}

func (p *parts) host(ctx context.Context, authority string) *host {
	return getOr(p, p.hosts, partKey{path: authority, background: mirror.IsBackground(ctx)})
}

// note reads what an answer of the endpoint itself says about limits. A 429 is about the client, and so about all
// requests of that kind and method; a 503 is about the repository.
func (p *parts) note(r *http.Request, resp *http.Response) {
	kind := kindOf(r.Context())
	path := ""
	if resp.StatusCode == http.StatusServiceUnavailable {
		path = scopeOf(r.Context())
	}
	p.pace(r.Context(), kind, r.Method, path).note(resp)
	if p.budget.noteRemaining(resp) {
		p.pace(r.Context(), kind, r.Method, "").setCounted()
	}
}

// held returns why something is not asked for now, or nil.
func (p *parts) held() *notAskedError {
	p.mu.Lock()
	all := slices.Concat(p.paces.Values())
	p.mu.Unlock()
	for _, pace := range all {
		if held := pace.held(); held != nil {
			return held
		}
	}
	return nil
}

// wait waits until t may be asked for.
func (o *origin) wait(w *watchdog, method string, t target) error {
	all := o.parts.pace(w.ctx, t.kind, method, "")
	for _, p := range []*pace{all, o.parts.pace(w.ctx, t.kind, method, o.endpoint.path(t.repo))} {
		if err := p.wait(w.ctx, w.midst()); err != nil {
			return err
		}
	}
	if all.isCounted() {
		return o.parts.budget.wait(w.ctx, w.midst())
	}
	return nil
}
