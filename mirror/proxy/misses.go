package proxy

import (
	"context"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"airmirror/mirror"
)

const (
	// missBurst is for how many seconds of misses a client may have at once.
	missBurst = 10
	// maxMissClients is for how many clients the rate is known. Who has been away for so long may begin anew.
	maxMissClients = 16 << 10
)

// errMisses is why a miss is not asked about. It is none that lasts: what is missed is wanted.
var errMisses = mirror.Errorf(mirror.CodeUnavailable, "this client asks for more of what is not stored than upstreams are asked for a client: it may come again in a moment")

// misses bound how many new questions and transfers a client causes at upstreams in a second. Those that join one that is
// under way cause none. What the mirror does by itself is not counted.
type misses struct {
	perSecond func() float64

	mu      sync.Mutex // so that a client has one limiter
	clients *lru.Cache[string, *rate.Limiter]
}

func newMisses(perSecond func() float64) *misses {
	clients, err := lru.New[string, *rate.Limiter](maxMissClients)
	if err != nil { // only for a size below 1
		panic(err)
	}
	return &misses{perSecond: perSecond, clients: clients}
}

// allow reports whether the client of ctx may cause one more.
func (m *misses) allow(ctx context.Context) bool {
	client, most := mirror.ClientOf(ctx), m.perSecond()
	if client == "" || most <= 0 {
		return true
	}
	who := mirror.NetworkName(client)
	m.mu.Lock()
	defer m.mu.Unlock()
	limiter, known := m.clients.Get(who)
	if !known || limiter.Limit() != rate.Limit(most) {
		limiter = rate.NewLimiter(rate.Limit(most), max(1, int(missBurst*most)))
		m.clients.Add(who, limiter)
	}
	return limiter.Allow()
}
