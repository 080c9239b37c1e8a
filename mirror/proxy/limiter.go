package proxy

import (
	"context"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"airmirror/mirror"
)

const (
	// missBurst is the burst of a client, in seconds of its rate.
	missBurst = 10
	// maxMissClients is the number of clients with a limiter. A client that was not seen for long may lose its limiter
	// and begin with a new one.
	maxMissClients = 16 << 10
)

// errMisses is the error of a miss over the limit. It is temporary, so the miss becomes a want.
var errMisses = mirror.Errorf(mirror.CodeUnavailable, "this client causes more upstream requests than a client may: try again in a moment")

// missLimiter limits how many requests and transfers a client causes at upstreams per second. A client that joins one
// that is under way causes none. Work that no client asked for is not limited.
type missLimiter struct {
	perSecond func() float64 // see [Options.MissesPerSecond]

	mu      sync.Mutex
	clients *lru.Cache[string, *rate.Limiter]
}

func newMissLimiter(perSecond func() float64) *missLimiter {
	clients, err := lru.New[string, *rate.Limiter](maxMissClients)
	if err != nil { // maxMissClients is not positive
		panic(err)
	}
	return &missLimiter{perSecond: perSecond, clients: clients}
}

// allow reports whether the client of ctx may cause one more miss, and counts it.
func (l *missLimiter) allow(ctx context.Context) bool {
	client, limit := mirror.ClientOf(ctx), l.perSecond()
	if client == "" || limit <= 0 {
		return true
	}
	network := mirror.NetworkName(client)
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter, known := l.clients.Get(network)
	if !known || limiter.Limit() != rate.Limit(limit) {
		limiter = rate.NewLimiter(rate.Limit(limit), max(1, int(missBurst*limit)))
		l.clients.Add(network, limiter)
	}
	return limiter.Allow()
}
