package proxy

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// A client that requests the last bytes of a large blob does not wait for all of it: a span far ahead of what has arrived
// is transferred by itself, beside the download. A digest covers the complete blob, so the bytes of a span cannot be
// verified. They are not stored, and a span is all that the client gets of them: a client that assembles a blob from spans
// verifies it itself, as with any registry. If the download fails meanwhile, the span breaks off.
//
// A span transfers the same bytes a second time, so spans are limited. Requests beyond the limits wait for the download.
// A client that fetches a blob in parallel pieces therefore does not double the traffic, and gets at least three quarters
// of a large blob verified.
const (
	minSpanDistance = 1 << 20 // bytes that are still to arrive before the span
	maxSpans        = 64      // spans per blob
	maxSpanBytes    = 1 << 20 // bytes of all spans of a blob, or a quarter of the blob if that is more
)

// spanBudget counts the spans of a download.
type spanBudget struct {
	count    int
	bytes    int64
	disabled bool // the upstream serves no spans, at least now
}

// spanTransfer is the transfer of a span.
type spanTransfer struct {
	body      io.ReadCloser
	end       func()
	left      int64
	cancelled func() bool // whether the download made it unnecessary
}

// AddTotal announces the spans that will be read, each from its beginning to its end.
func (r *downloadReader) Expect(spans []mirror.Span) { r.spans = spans }

// inSpan reports whether the next bytes are read from a span. It opens the span if necessary.
func (r *downloadReader) inSpan() bool {
	if r.current != nil || r.fallback != nil || r.span == nil {
		return r.current != nil
	}
	for _, s := range r.spans {
		rest := mirror.Span{Off: r.off, Len: s.Off + s.Len - r.off}
		if s.Off <= r.off && rest.Len > 0 && r.download.reserveSpan(rest) {
			r.openSpan(rest)
			break
		}
	}
	return r.current != nil
}

// reserveSpan reports whether a span may be transferred by itself, and counts it.
func (d *download) reserveSpan(s mirror.Span) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := &d.spans
	limit := max(maxSpanBytes, d.size/4)
	if d.err != nil || d.state != downloadRunning || b.disabled || s.Off-d.received < minSpanDistance || b.count >= maxSpans || b.bytes+s.Len > limit {
		return false
	}
	b.count++
	b.bytes += s.Len
	return true
}

func (d *download) disableSpans() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.spans.disabled = true
}

// openSpan requests a span from the upstream. It gives up when the download reaches the span first.
func (r *downloadReader) openSpan(s mirror.Span) {
	net, cancel := context.WithCancel(r.ctx)
	waiting, stop := context.WithCancel(net)
	go func() {
		_, _ = r.download.waitReadable(waiting, s.Off)
		if waiting.Err() == nil {
			cancel()
		}
	}()
	body, err := r.span(net, s)
	stop()
	if err != nil {
		if net.Err() == nil {
			r.download.disableSpans()
		}
		cancel()
		return
	}
	r.current = &spanTransfer{body: body, end: cancel, left: s.Len, cancelled: func() bool { return net.Err() != nil }}
}

// readSpan reads from the current span. At its end, and when it fails, it returns 0 bytes and no error: the download has
// the same bytes.
func (r *downloadReader) readSpan(p []byte) (int, error) {
	s := r.current
	n, err := s.body.Read(p[:min(int64(len(p)), s.left)])
	if s.left -= int64(n); err != nil && n == 0 && !s.cancelled() {
		r.download.disableSpans()
	}
	if s.left == 0 || n == 0 {
		r.closeSpan()
	}
	if err := r.download.failure(); err != nil && !isStoreError(err) {
		return 0, err
	}
	return n, nil
}

func (r *downloadReader) closeSpan() {
	if r.current != nil {
		_ = r.current.body.Close()
		r.current.end()
		r.current = nil
	}
}

// span opens a span of a blob of size bytes at its upstream, for one client.
func (ds *downloads) span(ctx context.Context, repo mirror.Repo, d digest.Digest, s mirror.Span, size int64) (io.ReadCloser, error) {
	net, end := ds.network.during(ctx)
	body, total, err := ds.upstream.BlobPart(net, repo, d, s.Off, s.Len)
	if err == nil && total >= 0 && total != size {
		_ = body.Close()
		err = mirror.Errorf(mirror.CodeUnavailable, "the upstream has a blob of %d bytes, not %d", total, size)
	}
	if err != nil {
		end()
		return nil, err
	}
	return spanBody{body, end}, nil
}

// spanBody is the body of a span. Closing it ends its transfer.
type spanBody struct {
	io.ReadCloser
	end func()
}

// Close implements [io.Closer].
func (b spanBody) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}
