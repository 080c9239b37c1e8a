package upstream

import (
	"io"
	"net/http"

	"airmirror/mirror"
)

// answer is a good answer under way. It is for one goroutine, which must close it.
type response struct {
	*http.Response
	target   target
	endpoint *endpointClient
	watchdog *watchdog
}

// check turns an answer with a status other than 200 into an error, and a web page as well: someone in between answers
// in the upstream's place, like the sign-in page of a network. A blob may be a web page: its digest tells. Where part of
// a blob was asked for, what the answer has to say about parts is left to the caller.
func (a *response) check() error {
	part := a.StatusCode == http.StatusPartialContent || a.StatusCode == http.StatusRequestedRangeNotSatisfiable
	switch {
	case part && a.target.from+a.target.to > 0:
		return nil
	case a.StatusCode != http.StatusOK:
		return a.target.rejected(newStatusError(a))
	case isMarkup(a.Response) && (a.target.kind != blobKind || a.Request.Method == http.MethodHead):
		return a.target.invalid("%w", errWebPage)
	}
	return nil
}

// close ends the answer and everything that waits for it.
func (a *response) close() {
	_ = a.Body.Close()
	a.watchdog.close()
}

// read returns the rest of the body, up to limit bytes and one more, unless that stalls for the timeout or there is no room
// in memory.
func (a *response) read(limit int) ([]byte, error) {
	if !a.watchdog.stop() {
		return nil, a.target.interrupted(a.watchdog.cause(nil))
	}
	body := &bufferedReader{Reader: newStallReader(a, a.endpoint.opts.Timeout), host: a.endpoint.endpoint.Host, shares: a.endpoint.opts.buffers}
	defer body.release()
	b, err := io.ReadAll(io.LimitReader(body, int64(limit)+1))
	if mirror.CodeOf(err) == mirror.CodeUnavailable {
		return nil, err // the upstream is not to blame
	}
	if err != nil {
		return nil, a.target.interrupted(a.watchdog.cause(err))
	}
	return b, nil
}
