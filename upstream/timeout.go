package upstream

import (
	"context"
	"errors"
	"sync"
	"time"
)

// watchdog cancels a request whose response does not begin in time: within the timeout or, if /v2/ has answered by then,
// within maxWait. It is safe for concurrent use.
type watchdog struct {
	caller   context.Context // of the caller
	ctx      context.Context // of the request
	cancel   context.CancelCauseFunc
	deadline time.Time
	timeout  time.Duration
	maxWait  time.Duration // from the beginning, for an endpoint that is alive

	mu         sync.Mutex
	timer      *time.Timer
	aliveTimer *time.Timer // begins the request of /v2/
	alive      bool        // /v2/ has answered
	extended   bool        // the timer runs until maxWait
	stopped    bool
}

// newWatchdog returns a watchdog for a request to e. It requests /v2/ after half of the timeout. Only the last of
// several endpoints may take longer than the timeout: if another one does, the client tries the next endpoint.
func (e *endpointClient) newWatchdog(ctx context.Context, timeout time.Duration, k kind, last bool) *watchdog {
	w := &watchdog{caller: ctx, deadline: time.Now().Add(timeout), timeout: timeout, maxWait: timeout}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	begun := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if last {
		w.maxWait = 4 * e.opts.Timeout
		if k == blobKind {
			w.maxWait = max(w.maxWait, e.opts.BlobTimeout)
		}
	}
	w.aliveTimer = time.AfterFunc(timeout/2, func() {
		if e.checkAlive(w.caller, begun) == nil {
			w.mu.Lock()
			w.alive = true
			w.mu.Unlock()
		}
	})
	w.timer = time.AfterFunc(timeout, w.expire)
	return w
}

// expire cancels the request, unless the endpoint is alive and maxWait has not passed.
func (w *watchdog) expire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	waited := w.timeout
	switch {
	case w.stopped:
		return
	case w.alive && !w.extended && w.maxWait > w.timeout:
		w.extended = true
		w.timer.Reset(w.maxWait - w.timeout)
		return
	case w.extended:
		waited = w.maxWait
	}
	w.stopped = true
	w.cancel(timeoutError(waited.Round(time.Millisecond)))
}

// headersReceived records that the response has begun. From then on, the timeout is not extended for an endpoint that
// is alive. If it was extended before, it starts again with its normal length.
func (w *watchdog) headersReceived() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.aliveTimer.Stop()
	if w.extended && !w.stopped {
		w.timer.Reset(w.timeout)
	}
	w.maxWait = w.timeout
}

// cause returns why the watchdog or the caller ended the request, and err if neither did.
func (w *watchdog) cause(err error) error {
	if cause := context.Cause(w.ctx); cause != nil {
		return cause
	}
	return err
}

// stop ends the supervision and leaves the rest of the response to the caller. It reports false if the watchdog has
// already canceled the request or was stopped.
func (w *watchdog) stop() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	inTime := !w.stopped
	w.stopped = true
	w.timer.Stop()
	w.aliveTimer.Stop()
	return inTime
}

// halfway returns the latest time to send the request: as much time remains for its response.
func (w *watchdog) halfway() time.Time { return time.Now().Add(time.Until(w.deadline) / 2) }

// close ends the request.
func (w *watchdog) close() {
	w.stop()
	w.cancel(context.Canceled)
}

func isTimeout(err error) bool {
	var timeout timeoutError
	return errors.As(err, &timeout)
}
