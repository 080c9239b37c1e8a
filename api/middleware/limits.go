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

// Settings can change while a [Handler] works. The zero value has no limits.
type Settings struct {
	// Requests is how many are answered at a time; the others are told to come again. No limit if zero. One address has no
	// more of them under way than are left for others, see [mirror.Shares].
	Requests int
	// RequestsPerSecond is how many one address may send, and Burst how many at once, one at least. No limit if zero.
	RequestsPerSecond float64
	Burst             int
	// Uploads is how many requests of one address may bring content at a time. No limit if zero.
	Uploads int
	// Proxies are trusted to say in X-Forwarded-For who they forward for: what is said here of an address is then that of
	// the client, and so it is for everybody behind. Nobody is trusted if there are none.
	Proxies []netip.Prefix
	// StallTimeout is how long a client may take no byte of an answer, or send none of a request; for ever if zero.
	StallTimeout time.Duration
}

// maxAddresses is for how many addresses the rate is known. Who has been away for so long may begin anew.
const maxAddresses = 16 << 10

// Configure changes the settings, for requests that come from then on.
func (f *Handler) Configure(settings Settings) {
	if old := f.settings.Load(); old != nil && (old.RequestsPerSecond != settings.RequestsPerSecond || old.Burst != settings.Burst) {
		f.rates.reset()
	}
	f.requests.SetMost(int64(settings.Requests))
	f.settings.Store(&settings)
}

// begin takes a place among the requests under way, or answers a request for which there is none. end gives it back.
func (f *Handler) acquire(settings *Settings, w *writer, r *http.Request) (end func(), ok bool) {
	network := mirror.NetworkOf(r.RemoteAddr)
	if f.requests.Take(network, 1) {
		return func() { f.requests.Give(network, 1) }, true
	}
	if _, full := f.requests.Used(); full {
		registry.Refuse(w, r, mirror.Errorf(mirror.CodeUnavailable, "the mirror is answering %d requests, and no more at a time: try again in a moment", settings.Requests))
		return nil, false
	}
	registry.Refuse(w, r, mirror.Errorf(mirror.CodeTooManyRequests, "%s has %d requests under way, and the rest of the %d that the mirror answers at a time is for others: try again in a moment",
		mirror.NetworkName(r.RemoteAddr), f.requests.Of(network), settings.Requests))
	return nil, false
}

// admitAddress answers a request of which its address sends too many. leave is called when the request has ended.
func (f *Handler) admitAddress(settings *Settings, w *writer, r *http.Request) (leave func(), ok bool) {
	address := mirror.NetworkName(r.RemoteAddr)
	if settings.RequestsPerSecond > 0 {
		if wait := f.rates.wait(address, settings); wait > 0 {
			w.Header().Set("Retry-After", mirror.FormatRetryAfter(wait))
			registry.Refuse(w, r, mirror.Errorf(mirror.CodeTooManyRequests, "%s sends more than the %v requests per second that the mirror answers: try again in %s",
				address, settings.RequestsPerSecond, wait.Round(time.Millisecond)))
			return nil, false
		}
	}
	if settings.Uploads == 0 || r.Method != http.MethodPut && r.Method != http.MethodPost && r.Method != http.MethodPatch {
		return func() {}, true
	}
	if !f.uploads.begin(address, settings.Uploads) {
		registry.Refuse(w, r, mirror.Errorf(mirror.CodeTooManyRequests, "%s pushes in %d requests, and no more at a time: try again when one has ended", address, settings.Uploads))
		return nil, false
	}
	return func() { f.uploads.end(address) }, true
}

// rates are what addresses may send.
type rates struct {
	mu       sync.Mutex // so that an address has one limiter
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

// wait returns how long an address has to wait; 0 if it has not.
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

// uploads are the requests under way that bring content, by address. The zero value is ready.
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
