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
	about    target // from, etag and query are those of the next attempt
	release  func()

	answer *answer // nil while it is interrupted
	body   *stall  // of answer
	err    error   // why it ended

	size int64        // -1 while nobody knows
	off  int64        // bytes that were read
	sum  maphash.Hash // of them

	whole   bool      // it is not asked for from the middle: the upstream got that wrong
	lost    error     // why it is interrupted
	since   time.Time // when it was, first, since the last progress; zero if it was not
	fresh   int       // bytes since then
	backoff *backoff.ExponentialBackOff
}

func newTransfer(ctx context.Context, r *registry, a *answer, release func()) *transfer {
	t := &transfer{ctx: ctx, registry: r, about: a.about, release: release, size: a.ContentLength}
	if etag := a.Header.Get("ETag"); strings.HasPrefix(etag, `"`) { // weak ones do not vouch for bytes
		t.about.etag, t.about.etagAt = etag, a.from
	}
	t.backoff = &backoff.ExponentialBackOff{
		InitialInterval: firstBackoff, MaxInterval: longestBackoff, Multiplier: 2, RandomizationFactor: 0.5,
	}
	t.reads(a)
	return t
}

// reads has the transfer go on with a.
func (t *transfer) reads(a *answer) {
	t.answer, t.body = a, newStall(a, t.registry.opts.StallTimeout)
}

// Read reads what has arrived, or waits for it.
func (t *transfer) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for t.err == nil {
		if t.answer == nil {
			t.err = t.resume()
			continue
		}
		n, err := t.body.Read(p)
		if t.size >= 0 && t.off+int64(n) > t.size {
			t.err = t.about.unusable("more than the %d bytes of it", t.size)
			break
		}
		t.took(p[:n])
		if err != nil {
			t.ended(err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, t.err
}

// took accounts for bytes that were read.
func (t *transfer) took(p []byte) {
	t.off += int64(len(p))
	_, _ = t.sum.Write(p) // never fails
	if t.fresh += len(p); t.fresh >= t.registry.opts.StallBytes {
		t.fresh, t.since = 0, time.Time{}
		t.backoff.Reset()
	}
}

// ended makes of the end of an answer the end of the transfer or an interruption.
func (t *transfer) ended(err error) {
	switch {
	case t.off == t.size, t.size < 0 && err == io.EOF:
		t.err = io.EOF
	case err == io.EOF:
		err = io.ErrUnexpectedEOF // of a part that was shorter than the rest
		fallthrough
	default:
		t.interrupted(t.about.brokenOff(t.answer.watch.reason(err)))
	}
}

// interrupted gives the answer up. If the caller has left, that is the end.
func (t *transfer) interrupted(err error) {
	t.answer.close()
	t.answer, t.lost = nil, err
	if t.since.IsZero() {
		t.since, t.fresh = time.Now(), 0
	}
	if cause := context.Cause(t.ctx); cause != nil {
		t.err = t.about.brokenOff(cause)
	} else if t.registry.opts.RetryFor < 0 {
		t.err = err
	}
}

// Close ends the transfer.
func (t *transfer) Close() error {
	if t.answer != nil {
		t.answer.close()
		t.answer = nil
	}
	if t.release != nil {
		t.release()
		t.release = nil
	}
	t.err = io.ErrClosedPipe
	return nil
}
