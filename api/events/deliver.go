package events

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// maxBody is about how large an envelope becomes, in bytes.
	maxBody = 256 << 10
	// Between attempts there is a wait that begins with minBackoff and grows to maxBackoff, for ever.
	minBackoff = time.Second
	maxBackoff = 5 * time.Minute
	// patience is the longest wait that an endpoint may ask for.
	maxRetryAfter = 15 * time.Minute
	// attempts is how often an event is sent that is refused for what it is.
	maxRefusals = 5
)

// Link returns a context for what is dialled beyond the gap, which has ended while that is not to be, and what is closed
// when that may have changed; see the NetworkContext of proxy.Proxy.
type Link func() (ctx context.Context, changed <-chan struct{})

// delivery is the work of sending what is in the queue of a sink.
type delivery struct {
	*sink
	link    Link
	wait    *backoff.ExponentialBackOff
	refused int // how often the oldest event was refused
	single  int // how many events are sent one by one, since one of them was refused with the others
}

// deliver sends what is in the queue, and what will be, until ctx ends.
func (s *sink) deliver(ctx context.Context, link Link) {
	d := delivery{sink: s, link: link, wait: &backoff.ExponentialBackOff{
		InitialInterval: minBackoff, Multiplier: 2, RandomizationFactor: .2, MaxInterval: maxBackoff,
	}}
	for ctx.Err() == nil {
		limit := s.Batch
		if d.single > 0 {
			limit = 1
		}
		b, err := s.peek(limit, maxBody)
		switch {
		case err != nil:
			s.deliveryFailed(err)
			d.pause(ctx, err)
		case len(b.events) > 0:
			d.send(ctx, b)
		case b.unreadable > 0:
			d.remove(b)
		default:
			select {
			case <-s.queues[changes].more:
			case <-s.queues[others].more:
			case <-ctx.Done():
			}
		}
	}
}

// send sends a batch once, when that may be, and takes it off if that was the end of it.
func (d *delivery) send(ctx context.Context, b batch) {
	open, end, err := d.waitForNetwork(ctx)
	if err != nil {
		return
	}
	defer end()
	err = d.post(open, b.events)
	switch {
	case err == nil:
		d.deliverySucceeded(len(b.events))
		d.remove(b)
	case open.Err() != nil || ctx.Err() != nil: // it was broken off, and that is not the endpoint's fault
	case isPermanent(err) && len(b.events) > 1:
		d.single = len(b.events)
	case isPermanent(err) && d.refused+1 >= maxRefusals:
		d.deliveryFailed(err)
		d.drop(len(b.events), Refused, err)
		d.remove(b)
	default:
		if isPermanent(err) {
			d.refused++
		}
		d.deliveryFailed(err)
		end()
		d.pause(ctx, err)
	}
}

// remove takes off a batch that was sent, or was given up.
func (d *delivery) remove(b batch) {
	d.drop(b.unreadable, Unreadable, nil)
	if err := d.queues[b.lane].done(b); err != nil {
		d.deliveryFailed(err) // after a restart they come again
	}
	d.wait.Reset()
	d.refused, d.single = 0, max(0, d.single-len(b.events))
}

// passage waits until the endpoint may be dialled. The context ends when that is over, or with ctx.
func (d *delivery) waitForNetwork(ctx context.Context) (open context.Context, end func(), err error) {
	if d.Offline {
		open, cancel := context.WithCancel(ctx)
		return open, cancel, nil
	}
	for {
		network, changed := d.link()
		if network.Err() == nil {
			open, cancel := context.WithCancel(network)
			stop := context.AfterFunc(ctx, cancel)
			return open, func() { stop(); cancel() }, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// pause waits before the next attempt: as long as the endpoint wants, within reason, or as it has failed so far. When the
// mode changes there is an attempt at once.
func (d *delivery) pause(ctx context.Context, err error) {
	wait := d.wait.NextBackOff()
	if answer := (*statusError)(nil); errors.As(err, &answer) && answer.retryAfter > 0 {
		wait = min(answer.retryAfter, maxRetryAfter)
	}
	_, changed := d.link()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
		d.wait.Reset()
	case <-ctx.Done():
	}
}
