package upstream

import (
	"context"
	"errors"
	"sync"
	"time"
)

// watchdog cancels a request whose answer takes too long to begin: at the deadline or, if somebody vouched for whoever
// is asked by then, after the limit.
type watchdog struct {
	caller   context.Context // whose request it is
	ctx      context.Context // of the request
	cancel   context.CancelCauseFunc
	deadline time.Time
	maxWait  time.Duration // after the beginning
	timeout  time.Duration

	mu         sync.Mutex
	timer      *time.Timer
	aliveTimer *time.Timer // asks for somebody to vouch; nil if nobody can
	alive      bool
	extended   bool
	stopped    bool
}

// watchdog returns one for a request to o. Half of the time is for an answer; then /v2/ is asked whether there is
// anybody. Only the last of several endpoints may take longer: before it the next one is asked.
func (e *endpointClient) newWatchdog(ctx context.Context, patience time.Duration, k kind, last bool) *watchdog {
	w := &watchdog{caller: ctx, deadline: time.Now().Add(patience), timeout: patience, maxWait: patience}
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
	w.aliveTimer = time.AfterFunc(patience/2, func() {
		if e.checkAlive(w.caller, begun) == nil {
			w.mu.Lock()
			w.alive = true
			w.mu.Unlock()
		}
	})
	w.timer = time.AfterFunc(patience, w.expire)
	return w
}

// expire ends the request, unless it may go on.
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

// arrived is for when the answer has begun: no more is waited for the rest of it than for any.
func (w *watchdog) headersReceived() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.aliveTimer.Stop()
	if w.extended && !w.stopped {
		w.timer.Reset(w.timeout)
	}
	w.maxWait = w.timeout
}

// reason is why the request ended, if the watchdog or the caller ended it, and err otherwise.
func (w *watchdog) cause(err error) error {
	if cause := context.Cause(w.ctx); cause != nil {
		return cause
	}
	return err
}

// dismiss leaves the rest of the answer to its caller, and reports whether that was in time.
func (w *watchdog) stop() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	inTime := !w.stopped
	w.stopped = true
	w.timer.Stop()
	w.aliveTimer.Stop()
	return inTime
}

// midst is until when the request may be held back, so that there is as much time left for its answer to begin.
func (w *watchdog) halfway() time.Time { return time.Now().Add(time.Until(w.deadline) / 2) }

// end lets go of the request.
func (w *watchdog) close() {
	w.stop()
	w.cancel(context.Canceled)
}

func isTimeout(err error) bool {
	var silence timeoutError
	return errors.As(err, &silence)
}
