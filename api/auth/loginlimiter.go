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
	// Each address may fail this many logins at once, and then one more per interval.
	maxFailures     = 10
	failureInterval = 6 * time.Second
	// maxAddresses limits how many addresses are remembered.
	maxAddresses = 4096
)

// loginLimiter slows down guessing of passwords. It checks one password at a time for each address, regardless of the
// number of its connections, and makes an address wait after too many failures.
type loginLimiter struct {
	mu        sync.Mutex
	addresses *lru.Cache[netip.Prefix, *addressLimit]
}

type addressLimit struct {
	turn     chan struct{} // full while a login is being checked
	failures *rate.Limiter
}

func newLoginLimiter() *loginLimiter {
	addresses, err := lru.New[netip.Prefix, *addressLimit](maxAddresses)
	if err != nil { // the size is positive
		panic(err)
	}
	return &loginLimiter{addresses: addresses}
}

// acquire waits until no other login of an address is being checked. The caller calls done with the result of the
// check. The error is [mirror.CodeTooManyRequests] after too many failures.
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
			Code: mirror.CodeTooManyRequests, Message: "too many failed logins from this address: try again later",
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

// loginDelay is the time to wait before the next login.
type loginDelay struct{ wait time.Duration }

func (d *loginDelay) Error() string { return "try again in " + mirror.FormatRetryAfter(d.wait) + "s" }
