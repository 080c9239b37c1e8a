package upstream

import (
	"context"
	"hash/maphash"
	"io"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// How long to wait before a transfer is taken up again: it doubles, half of it random, with each attempt that brings
// nothing. The longest is short enough that an upstream which comes back is noticed soon.
const (
	firstBackoff   = 200 * time.Millisecond
	longestBackoff = 10 * time.Second
)

// transfer is the body of a blob, from as many answers as it takes: when one breaks off or stalls, Read takes the
// transfer up again, see resume.go, and its caller sees a pause. Like most readers it is for one goroutine.
type transfer struct {
	ctx      context.Context
	registry *registry
	target   target // from, etag and query are those of the next attempt
	release  func()

	response *response    // nil while it is interrupted
	body     *stallReader // of answer
	err      error        // why it ended

	size int64        // -1 while nobody knows
	off  int64        // bytes that were read
	sum  maphash.Hash // of them

	noRanges     bool      // it is not asked for from the middle: the upstream got that wrong
	lastErr      error     // why it is interrupted
	stalledSince time.Time // when it was, first, since the last progress; zero if it was not
	newBytes     int       // bytes since then
	backoff      *backoff.ExponentialBackOff
}

func newTransfer(ctx context.Context, r *registry, a *response, release func()) *transfer {
	t := &transfer{ctx: ctx, registry: r, target: a.target, release: release, size: a.ContentLength}
	if etag := a.Header.Get("ETag"); strings.HasPrefix(etag, `"`) { // weak ones do not vouch for bytes
		t.target.etag, t.target.etagEndpoint = etag, a.endpoint
	}
	t.backoff = &backoff.ExponentialBackOff{
		InitialInterval: firstBackoff, MaxInterval: longestBackoff, Multiplier: 2, RandomizationFactor: 0.5,
	}
	t.use(a)
	return t
}

// reads has the transfer go on with a.
func (t *transfer) use(a *response) {
	t.response, t.body = a, newStallReader(a, t.registry.opts.StallTimeout)
}

// Read reads what has arrived, or waits for it.
func (t *transfer) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for t.err == nil {
		if t.response == nil {
			t.err = t.resume()
			continue
		}
		n, err := t.body.Read(p)
		if t.size >= 0 && t.off+int64(n) > t.size {
			t.err = t.target.invalid("more than the %d bytes of it", t.size)
			break
		}
		t.record(p[:n])
		if err != nil {
			t.bodyEnded(err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, t.err
}

// took accounts for bytes that were read.
func (t *transfer) record(p []byte) {
	t.off += int64(len(p))
	_, _ = t.sum.Write(p) // never fails
	if t.newBytes += len(p); t.newBytes >= t.registry.opts.StallBytes {
		t.newBytes, t.stalledSince = 0, time.Time{}
		t.backoff.Reset()
	}
}

// ended makes of the end of an answer the end of the transfer or an interruption.
func (t *transfer) bodyEnded(err error) {
	switch {
	case t.off == t.size, t.size < 0 && err == io.EOF:
		t.err = io.EOF
	case err == io.EOF:
		err = io.ErrUnexpectedEOF // of a part that was shorter than the rest
		fallthrough
	default:
		t.interrupt(t.target.interrupted(t.response.watchdog.cause(err)))
	}
}

// interrupted gives the answer up. If the caller has left, that is the end.
func (t *transfer) interrupt(err error) {
	t.response.close()
	t.response, t.lastErr = nil, err
	if t.stalledSince.IsZero() {
		t.stalledSince, t.newBytes = time.Now(), 0
	}
	if cause := context.Cause(t.ctx); cause != nil {
		t.err = t.target.interrupted(cause)
	} else if t.registry.opts.RetryFor < 0 {
		t.err = err
	}
}

// Close ends the transfer.
func (t *transfer) Close() error {
	if t.response != nil {
		t.response.close()
		t.response = nil
	}
	if t.release != nil {
		t.release()
		t.release = nil
	}
	t.err = io.ErrClosedPipe
	return nil
}
