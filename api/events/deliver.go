package events

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// maxBody is the approximate maximum size of an envelope, in bytes.
	maxBody = 256 << 10
	// Failed deliveries are retried forever. The wait between attempts grows from minBackoff to maxBackoff.
	minBackoff = time.Second
	maxBackoff = 5 * time.Minute
	// maxRetryAfter is the longest wait that is accepted from an endpoint.
	maxRetryAfter = 15 * time.Minute
	// maxRefusals is how often an event is sent before it is dropped because the endpoint refuses its content.
	maxRefusals = 5
)

// Link returns a context that is done while the network may not be used, and a channel that is closed when that may
// have changed; see the NetworkContext of proxy.Proxy.
type Link func() (ctx context.Context, changed <-chan struct{})

// delivery sends the events in the queues of a sink.
type delivery struct {
	*sink
	link    Link
	wait    *backoff.ExponentialBackOff
	refused int // how often the endpoint refused the oldest event
	single  int // how many events to send one by one, because the endpoint refused a batch
}

// deliver sends queued events until ctx ends.
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
			case <-s.queues[reads].more:
			case <-ctx.Done():
			}
		}
	}
}

// send sends a batch once if the endpoint may be dialled, and otherwise waits until that may have changed. It removes
// the batch if the endpoint accepted it or refused it too often.
func (d *delivery) send(ctx context.Context, b batch) {
	open, end, changed := d.network(ctx)
	defer end()
	if open.Err() != nil {
		// The caller reads the queue again afterwards: what was queued meanwhile goes out in the same envelope.
		select {
		case <-changed:
		case <-ctx.Done():
		}
		return
	}
	err := d.post(open, b.events)
	switch {
	case err == nil:
		d.deliverySucceeded(len(b.events))
		d.remove(b)
	case open.Err() != nil || ctx.Err() != nil: // interrupted, which is not a failure of the endpoint
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

// remove removes a batch from its queue.
func (d *delivery) remove(b batch) {
	d.drop(b.unreadable, Unreadable, nil)
	if err := d.queues[b.lane].finish(b); err != nil {
		d.deliveryFailed(err) // they will be sent again
	}
	d.wait.Reset()
	d.refused, d.single = 0, max(0, d.single-len(b.events))
}

// network returns a context that ends when the endpoint may no longer be dialled, or with ctx, and a channel that is
// closed when that may have changed.
func (d *delivery) network(ctx context.Context) (open context.Context, end func(), changed <-chan struct{}) {
	if d.Offline {
		open, cancel := context.WithCancel(ctx)
		return open, cancel, nil
	}
	link, changed := d.link()
	open, cancel := context.WithCancel(link)
	stop := context.AfterFunc(ctx, cancel)
	return open, func() { stop(); cancel() }, changed
}

// pause waits before the next attempt: as long as the endpoint asks for, within limits, or with exponential backoff.
// When the mode of the mirror changes, it returns at once.
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
