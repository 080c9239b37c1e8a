package proxy

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// A client that wants the last bytes of a large blob is not to wait for all of it: a span that lies far ahead of what has
// arrived is transferred as that, beside the flight. Its bytes pass through. They cannot be verified, since a digest is
// of the whole, so they are stored nowhere and end nothing but the span: a client that puts a blob together from spans
// verifies it, as it must with any registry. If the flight has failed by then, the span breaks off.
//
// All of this is a second transfer of the same bytes, so there is little of it: what goes beyond these limits waits for
// the flight. So a client that fetches a blob in parallel pieces does not double the traffic, and at least three quarters
// of what it gets of a large blob were verified, or are about to be.
const (
	farAhead   = 1 << 20 // bytes that are still to arrive before a span, at least
	asideParts = 64      // spans of a blob
	asideBytes = 1 << 20 // of all of them together, or a quarter of the blob
)

// aside is what was transferred beside a flight.
type aside struct {
	parts int
	bytes int64
	ended bool // the upstream gives no spans, or not now
}

// ahead is a span that is being transferred beside the flight.
type ahead struct {
	body io.ReadCloser
	end  func()
	left int64
	done func() bool // the transfer was ended because it was needed no more
}

// Expect tells which spans will be read, each from its beginning to its end.
func (r *flightReader) Expect(spans []mirror.Span) { r.spans = spans }

// isAhead reports whether what comes next is read from a span beside the flight, which it opens if need be.
func (r *flightReader) isAhead() bool {
	if r.ahead != nil || r.instead != nil || r.part == nil {
		return r.ahead != nil
	}
	for _, s := range r.spans {
		rest := mirror.Span{Off: r.off, Len: s.Off + s.Len - r.off}
		if s.Off <= r.off && rest.Len > 0 && r.flight.mayPass(rest) {
			r.openAhead(rest)
			break
		}
	}
	return r.ahead != nil
}

// mayPass reports whether a span is worth a transfer of its own, and counts it if it is.
func (f *flight) mayPass(s mirror.Span) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := &f.aside
	most := max(asideBytes, f.size/4)
	if f.err != nil || f.state != flightUnderWay || a.ended || s.Off-f.arrived < farAhead || a.parts >= asideParts || a.bytes+s.Len > most {
		return false
	}
	a.parts++
	a.bytes += s.Len
	return true
}

// passNothing has no more spans transferred beside the flight.
func (f *flight) passNothing() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.aside.ended = true
}

// failure is why the flight ended early, or nil.
func (f *flight) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// openAhead asks the upstream for a span. Whichever comes first is taken: that, or the flight.
func (r *flightReader) openAhead(s mirror.Span) {
	asking, cancel := context.WithCancel(r.ctx)
	waiting, stop := context.WithCancel(asking)
	go func() {
		_, _ = r.flight.readable(waiting, s.Off)
		if waiting.Err() == nil {
			cancel()
		}
	}()
	body, err := r.part(asking, s)
	stop()
	if err != nil {
		if asking.Err() == nil {
			r.flight.passNothing()
		}
		cancel()
		return
	}
	r.ahead = &ahead{body: body, end: cancel, left: s.Len, done: func() bool { return asking.Err() != nil }}
}

// readAhead reads from the span that is being transferred. It returns nothing where that fails or is at its end: the
// flight has the same bytes.
func (r *flightReader) readAhead(p []byte) (int, error) {
	a := r.ahead
	n, err := a.body.Read(p[:min(int64(len(p)), a.left)])
	if a.left -= int64(n); err != nil && n == 0 && !a.done() {
		r.flight.passNothing()
	}
	if a.left == 0 || n == 0 {
		r.closeAhead()
	}
	if err := r.flight.failure(); err != nil && !isStoreFault(err) {
		return 0, err
	}
	return n, nil
}

func (r *flightReader) closeAhead() {
	if r.ahead != nil {
		_ = r.ahead.body.Close()
		r.ahead.end()
		r.ahead = nil
	}
}

// part opens a span of a blob of so many bytes at its upstream, for one client.
func (m *Proxy) part(ctx context.Context, repo mirror.Repo, d digest.Digest, s mirror.Span, size int64) (io.ReadCloser, error) {
	net, end := m.network.until(ctx)
	body, total, err := m.upstream.BlobPart(net, repo, d, s.Off, s.Len)
	if err == nil && total >= 0 && total != size {
		_ = body.Close()
		err = mirror.Errorf(mirror.CodeUnavailable, "the upstream has a blob of %d bytes, not %d", total, size)
	}
	if err != nil {
		end()
		return nil, err
	}
	return partOfBlob{body, end}, nil
}

// partOfBlob ends its transfer when it is closed.
type partOfBlob struct {
	io.ReadCloser
	end func()
}

// Close ends the transfer.
func (p partOfBlob) Close() error {
	defer p.end()
	return p.ReadCloser.Close()
}
