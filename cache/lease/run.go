package lease

import (
	"context"
	"errors"
	"fmt"
	"time"

	"airmirror/mirror"
)

const (
	// runTTL is how long a node that has died keeps its leases. It renews them three times as often.
	runTTL = 15 * time.Second
	// releaseTimeout limits how long the end of a lease may take. A lease that is not released expires.
	releaseTimeout = 5 * time.Second
)

var _ mirror.Leases = (*Leases)(nil)

// Run implements [mirror.Leases]. It renews the lease until f returns. If the lease is lost and f fails, the error is an
// [ErrLost] as well.
func (l *Leases) Run(ctx context.Context, name string, f func(ctx context.Context) error) error {
	began := time.Now()
	lease, err := l.Acquire(ctx, name, runTTL)
	if err != nil {
		return err
	}
	led, end := context.WithCancelCause(context.WithValue(ctx, contextKey{}, lease))
	expiry := time.AfterFunc(time.Until(began.Add(runTTL)), func() { end(fmt.Errorf("%w: it could not be renewed in time", ErrLost)) })
	ended := make(chan struct{})
	go func() { defer close(ended); l.keep(led, lease, expiry, end) }()
	err = f(led)
	lost := context.Cause(led)
	end(nil)
	<-ended
	expiry.Stop()
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	_ = l.Release(release, lease) // otherwise it expires
	if err != nil && errors.Is(lost, ErrLost) {
		return fmt.Errorf("lease %s: %w (%w)", name, lost, err)
	}
	return err
}

// keep renews a lease until ctx ends, which expiry or keep itself ends when the lease is lost.
func (l *Leases) keep(ctx context.Context, lease Lease, expiry *time.Timer, end context.CancelCauseFunc) {
	pause := runTTL / 3
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		asked := time.Now()
		switch err := l.Renew(ctx, lease, runTTL); {
		case err == nil:
			expiry.Reset(time.Until(asked.Add(runTTL)))
			pause = runTTL / 3
		case errors.Is(err, ErrLost):
			end(err)
		default: // until it expires
			pause = runTTL / 30
		}
	}
}
