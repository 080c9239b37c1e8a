package auth

import (
	"context"
	"net/netip"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"airmirror/mirror"
)

const (
	// An address may have so many logins fail at once, and then one more in each interval.
	maxFailures     = 10
	failureInterval = 6 * time.Second
	// maxAddresses is how many addresses are remembered.
	maxAddresses = 4096
)

// slowdown has those wait who try passwords. Each address has its turn, one password at a time, so that no number of
// connections gets more of them checked.
type loginLimiter struct {
	mu        sync.Mutex
	addresses *lru.Cache[netip.Prefix, *addressLimit]
}

type addressLimit struct {
	turn     chan struct{} // full while somebody has it
	failures *rate.Limiter
}

func newLoginLimiter() *loginLimiter {
	addresses, err := lru.New[netip.Prefix, *addressLimit](maxAddresses)
	if err != nil { // the size is positive
		panic(err)
	}
	return &loginLimiter{addresses: addresses}
}

// begin waits for the turn of an address. The caller says with done whether the password was right.
func (s *loginLimiter) acquire(ctx context.Context, address netip.Prefix) (done func(right bool), err error) {
	a := s.get(address)
	select {
	case a.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, mirror.Errorf(mirror.CodeUnavailable, "the request was cancelled")
	}
	if left := a.failures.Tokens(); left < 1 {
		<-a.turn
		wait := time.Duration((1 - left) * float64(failureInterval))
		return nil, &mirror.Error{
			Code: mirror.CodeTooManyRequests, Message: "too many logins from this address failed: wait a little",
			Cause: &loginDelay{wait},
		}
	}
	return func(right bool) {
		if !right {
			a.failures.Allow()
		}
		<-a.turn
	}, nil
}

func (s *loginLimiter) get(address netip.Prefix) *addressLimit {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.addresses.Get(address)
	if !ok {
		a = &addressLimit{turn: make(chan struct{}, 1), failures: rate.NewLimiter(rate.Every(failureInterval), maxFailures)}
		s.addresses.Add(address, a)
	}
	return a
}

// loginDelay says how long to wait.
type loginDelay struct{ wait time.Duration }

func (d *loginDelay) Error() string { return "try again in " + mirror.FormatRetryAfter(d.wait) + "s" }
