package upstream

import (
	"context"
	"hash/crc32"
	"io"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// The wait before a transfer is resumed doubles, with jitter, after each attempt without new bytes. The longest wait is
// short enough to notice soon that an upstream is back.
const (
	firstBackoff = 200 * time.Millisecond
	maxBackoff   = 10 * time.Second
)

// castagnoli is the polynomial of CRC-32C, which processors compute at several times the speed of other checksums.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// transfer is the body of a blob, read from one or more responses. When a response is interrupted or stalls, Read resumes
// the transfer with another one (see resume.go); the caller only notices a pause. It is for one goroutine.
type transfer struct {
	ctx      context.Context
	registry *registry
	target   target // from, etag and query are those of the next request
	release  func()

	response *response    // nil while the transfer is interrupted
	body     *stallReader // of response
	err      error        // why the transfer ended

	size int64  // -1 while it is unknown
	off  int64  // bytes that were read
	sum  uint32 // CRC-32C of these bytes

	noRanges     bool      // the upstream gets ranges wrong: request the whole blob
	lastErr      error     // why the transfer is interrupted
	stalledSince time.Time // the first interruption since the last progress; zero if there was none
	newBytes     int       // since then
	backoff      *backoff.ExponentialBackOff
}

func newTransfer(ctx context.Context, r *registry, resp *response, release func()) *transfer {
	t := &transfer{ctx: ctx, registry: r, target: resp.target, release: release, size: resp.ContentLength}
	if etag := resp.Header.Get("ETag"); strings.HasPrefix(etag, `"`) { // a weak one does not identify bytes
		t.target.etag, t.target.etagEndpoint = etag, resp.endpoint
	}
	t.backoff = &backoff.ExponentialBackOff{
		InitialInterval: firstBackoff, MaxInterval: maxBackoff, Multiplier: 2, RandomizationFactor: 0.5,
	}
	t.use(resp)
	return t
}

// use continues the transfer with resp.
func (t *transfer) use(resp *response) {
	t.response, t.body = resp, newStallReader(resp, t.registry.opts.StallTimeout)
}

// Read implements [io.Reader].
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
			t.err = t.target.invalid("more than %d bytes", t.size)
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

// record accounts for bytes that were read.
func (t *transfer) record(p []byte) {
	t.off += int64(len(p))
	t.sum = crc32.Update(t.sum, castagnoli, p)
	if t.newBytes += len(p); t.newBytes >= t.registry.opts.StallBytes {
		t.newBytes, t.stalledSince = 0, time.Time{}
		t.backoff.Reset()
	}
}

// bodyEnded ends or interrupts the transfer after the body of a response ended with err.
func (t *transfer) bodyEnded(err error) {
	switch {
	case t.off == t.size, t.size < 0 && err == io.EOF:
		t.err = io.EOF
	case err == io.EOF:
		err = io.ErrUnexpectedEOF // the response was shorter than the rest of the blob
		fallthrough
	default:
		t.interrupt(t.target.interrupted(t.response.watchdog.cause(err)))
	}
}

// interrupt closes the response. It ends the transfer if the caller has left or if transfers are not resumed.
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
