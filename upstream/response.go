package upstream

import (
	"io"
	"net/http"

	"airmirror/mirror"
)

// response is a response whose body has not been read yet. It is for one goroutine, which must close it.
type response struct {
	*http.Response
	target   target
	endpoint *endpointClient
	watchdog *watchdog
}

// check returns an error for a status other than 200 and for a web page, which a proxy or the sign-in page of a network
// sends in place of the upstream. A blob may be a web page: its digest tells. Where a part of a blob was requested, the
// caller checks the range.
func (r *response) check() error {
	part := r.StatusCode == http.StatusPartialContent || r.StatusCode == http.StatusRequestedRangeNotSatisfiable
	switch {
	case part && r.target.from+r.target.to > 0:
		return nil
	case r.StatusCode != http.StatusOK:
		return r.target.rejected(newStatusError(r))
	case isMarkup(r.Response) && (r.target.kind != blobKind || r.Request.Method == http.MethodHead):
		return r.target.invalid("%w", errWebPage)
	}
	return nil
}

// close ends the response and its watchdog.
func (r *response) close() {
	_ = r.Body.Close()
	r.watchdog.close()
}

// read returns the body, up to limit+1 bytes. It fails if the body stalls for the timeout, or if responses take too much
// memory.
func (r *response) read(limit int) ([]byte, error) {
	if !r.watchdog.stop() {
		return nil, r.target.interrupted(r.watchdog.cause(nil))
	}
	body := &bufferedReader{Reader: newStallReader(r, r.endpoint.opts.Timeout), host: r.endpoint.endpoint.Host, shares: r.endpoint.opts.buffers}
	defer body.release()
	b, err := io.ReadAll(io.LimitReader(body, int64(limit)+1))
	if mirror.CodeOf(err) == mirror.CodeUnavailable {
		return nil, err // memory is short, which is no failure of the upstream
	}
	if err != nil {
		return nil, r.target.interrupted(r.watchdog.cause(err))
	}
	return b, nil
}

// discard ends a response that is not needed. It keeps the connection if the rest of the body is short.
func discard(resp *http.Response) {
	if resp.ContentLength >= 0 && resp.ContentLength <= maxErrorBody {
		_, _ = io.Copy(io.Discard, resp.Body)
	}
	_ = resp.Body.Close()
}
