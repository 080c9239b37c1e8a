package upstream

import (
	"io"
	"net/http"

	"airmirror/mirror"
)

// answer is a good answer under way. It is for one goroutine, which must close it.
type answer struct {
	*http.Response
	about target
	from  *origin
	watch *watchdog
}

// check turns an answer with a status other than 200 into an error, and a web page as well: someone in between answers
// in the upstream's place, like the sign-in page of a network. A blob may be a web page: its digest tells. Where part of
// a blob was asked for, what the answer has to say about parts is left to the caller.
func (a *answer) check() error {
	part := a.StatusCode == http.StatusPartialContent || a.StatusCode == http.StatusRequestedRangeNotSatisfiable
	switch {
	case part && a.about.from+a.about.to > 0:
		return nil
	case a.StatusCode != http.StatusOK:
		return a.about.answered(statusOf(a))
	case isMarkup(a.Response) && (a.about.kind != aBlob || a.Request.Method == http.MethodHead):
		return a.about.unusable("%w", errWebPage)
	}
	return nil
}

// close ends the answer and everything that waits for it.
func (a *answer) close() {
	_ = a.Body.Close()
	a.watch.end()
}

// read returns the rest of the body, up to limit bytes and one more, unless that stalls for the timeout or there is no room
// in memory.
func (a *answer) read(limit int) ([]byte, error) {
	if !a.watch.dismiss() {
		return nil, a.about.brokenOff(a.watch.reason(nil))
	}
	body := &arriving{Reader: newStall(a, a.from.opts.Timeout), host: a.from.endpoint.Host, shares: a.from.opts.arriving}
	defer body.end()
	b, err := io.ReadAll(io.LimitReader(body, int64(limit)+1))
	if mirror.CodeOf(err) == mirror.CodeUnavailable {
		return nil, err // the upstream is not to blame
	}
	if err != nil {
		return nil, a.about.brokenOff(a.watch.reason(err))
	}
	return b, nil
}
