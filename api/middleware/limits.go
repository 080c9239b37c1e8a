package middleware

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"airmirror/api/registry"
	"airmirror/mirror"
)

// Settings can be changed while a [Handler] serves. The zero value has no limits.
type Settings struct {
	// Requests limits the requests in flight. Further requests are refused with a Retry-After. One address may only use
	// what [mirror.Shares] leaves for others. Zero means no limit.
	Requests int
	// RequestsPerSecond limits the rate per address. Burst is how many may arrive at once; at least one. Zero means no
	// limit.
	RequestsPerSecond float64
	Burst             int
	// Uploads limits how many requests of one address may upload content at the same time. Zero means no limit.
	Uploads int
	// Proxies are the addresses whose X-Forwarded-For header is trusted. Requests from them count for the client that
	// the header names, here and in all handlers. If it is empty, no header is trusted.
	Proxies []netip.Prefix
	// StallTimeout is how long a client may receive or send nothing during a request. Zero means no limit.
	StallTimeout time.Duration
}

// maxAddresses limits how many addresses have a rate limiter. The least recently seen address loses its limiter first.
const maxAddresses = 16 << 10

// Configure replaces the settings for requests that arrive from now on.
func (h *Handler) Configure(settings Settings) {
	if old := h.settings.Load(); old != nil && (old.RequestsPerSecond != settings.RequestsPerSecond || old.Burst != settings.Burst) {
		h.rates.reset()
	}
	h.requests.SetMost(int64(settings.Requests))
	h.settings.Store(&settings)
}

// acquire reserves a place among the requests in flight for a network, or refuses the request. The caller gives the place
// back when the request has ended.
func (h *Handler) acquire(settings *Settings, network netip.Prefix, w *writer, r *http.Request) (ok bool) {
	if h.requests.Take(network, 1) {
		return true
	}
	if _, full := h.requests.Used(); full {
		registry.Refuse(w, r, mirror.Errorf(mirror.CodeUnavailable, "the mirror is at its limit of %d requests at a time: try again in a moment", settings.Requests))
		return false
	}
	registry.Refuse(w, r, mirror.Errorf(mirror.CodeTooManyRequests, "%s has %d requests in flight; the rest of the limit of %d is reserved for other clients: try again in a moment",
		mirror.NetworkName(r.RemoteAddr), h.requests.Of(network), settings.Requests))
	return false
}

// admitAddress applies the limits per address, or refuses the request. The caller calls leave when the request has
// ended.
func (h *Handler) admitAddress(settings *Settings, w *writer, r *http.Request) (leave func(), ok bool) {
	address := mirror.NetworkName(r.RemoteAddr)
	if settings.RequestsPerSecond > 0 {
		if wait := h.rates.wait(address, settings); wait > 0 {
			w.Header().Set("Retry-After", mirror.FormatRetryAfter(wait))
			registry.Refuse(w, r, mirror.Errorf(mirror.CodeTooManyRequests, "%s exceeds the limit of %v requests per second: try again in %s",
				address, settings.RequestsPerSecond, wait.Round(time.Millisecond)))
			return nil, false
		}
	}
	if settings.Uploads == 0 || r.Method != http.MethodPut && r.Method != http.MethodPost && r.Method != http.MethodPatch {
		return func() {}, true
	}
	if !h.uploads.begin(address, settings.Uploads) {
		registry.Refuse(w, r, mirror.Errorf(mirror.CodeTooManyRequests, "%s exceeds the limit of %d uploads at a time: try again when one of them has ended", address, settings.Uploads))
		return nil, false
	}
	return func() { h.uploads.end(address) }, true
}

// rates are the rate limiters of addresses.
type rates struct {
	mu       sync.Mutex // for adding a limiter only once
	limiters *lru.Cache[string, *rate.Limiter]
}

func newRates() *rates {
	limiters, err := lru.New[string, *rate.Limiter](maxAddresses)
	if err != nil { // only for a size below 1
		panic(err)
	}
	return &rates{limiters: limiters}
}

func (r *rates) reset() { r.limiters.Purge() }

// wait returns how long the address has to wait, or 0 if the request may proceed.
func (r *rates) wait(address string, settings *Settings) time.Duration {
	r.mu.Lock()
	limiter, known := r.limiters.Get(address)
	if !known {
		limiter = rate.NewLimiter(rate.Limit(settings.RequestsPerSecond), max(1, settings.Burst))
		r.limiters.Add(address, limiter)
	}
	r.mu.Unlock()
	turn := limiter.Reserve()
	wait := turn.Delay()
	if wait > 0 {
		turn.Cancel()
	}
	return wait
}

// uploads counts the upload requests in flight by address. The zero value is ready to use.
type uploads struct {
	mu    sync.Mutex
	count map[string]int
}

func (u *uploads) begin(address string, most int) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.count[address] >= most {
		return false
	}
	if u.count == nil {
		u.count = make(map[string]int)
	}
	u.count[address]++
	return true
}

func (u *uploads) end(address string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.count[address]--; u.count[address] <= 0 {
		delete(u.count, address)
	}
}
