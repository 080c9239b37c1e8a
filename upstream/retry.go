package upstream

import (
	"errors"
	"io"
	"net/http"
	"syscall"
	"time"
)

const (
	retryPause  = 50 * time.Millisecond  // before a request is sent again
	retryJitter = 200 * time.Millisecond // added to it, at most
)

// persist sends the request, and sends it again if what went wrong may be a matter of a moment: the connection broke,
// a gateway found nobody behind it, or the endpoint asks for a pause that the caller has time for. It does so once.
func (o *origin) persist(w *watchdog, method string, t target) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		if err := o.wait(w, method, t); err != nil {
			return nil, err
		}
		resp, err := o.send(w, method, t)
		if attempt > 1 || !o.passing(resp, err) || !o.worthwhile(w, method, t, resp, err) {
			return resp, err
		}
		if resp != nil {
			_ = resp.Body.Close()
		}
		if err := sleep(w.ctx, retryPause+jitter(retryJitter)); err != nil {
			return nil, err
		}
	}
}

// worthwhile reports whether there is time for a second attempt.
func (o *origin) worthwhile(w *watchdog, method string, t target, resp *http.Response, err error) bool {
	begin := time.Now().Add(retryPause + retryJitter)
	paces := []*pace{o.parts.pace(w.ctx, t.kind, method, ""), o.parts.pace(w.ctx, t.kind, method, o.endpoint.path(t.repo))}
	if resp != nil && !o.endpoint.owns(resp.Request.URL) {
		paces = append(paces, &o.parts.host(w.ctx, canonicalAuthority(resp.Request.URL)).pace)
	}
	var signIn *statusError
	if errors.As(err, &signIn) { // by whichever method was limited
		for _, path := range []string{"", o.endpoint.path(t.repo)} {
			paces = append(paces, o.parts.pace(w.ctx, token, http.MethodGet, path), o.parts.pace(w.ctx, token, http.MethodPost, path))
		}
		paces = append(paces, &o.parts.host(w.ctx, signIn.host).pace)
	}
	for _, p := range paces {
		if held := p.held(); held != nil && held.until.After(begin) {
			begin = held.until
		}
	}
	return w.ctx.Err() == nil && begin.Before(w.midst())
}

// passing reports whether what went wrong may be over in a moment. A link to storage that is refused or leads to nothing
// may be one that has expired, or came too early: the endpoint has others.
func (o *origin) passing(resp *http.Response, err error) bool {
	if err == nil {
		elsewhere := !o.endpoint.owns(resp.Request.URL) && isMarkup(resp) && (deniedStatus(resp.StatusCode) || resp.StatusCode == http.StatusNotFound)
		return elsewhere || passingStatus(resp.StatusCode)
	}
	var notAsked *notAskedError
	if errors.As(err, &notAsked) {
		return false
	}
	var signIn *statusError
	if errors.As(err, &signIn) {
		return passingStatus(signIn.status)
	}
	var network networkError
	return errors.As(err, &network) && brokeOff(err)
}

// brokeOff reports whether a connection ended in place of an answer.
func brokeOff(err error) bool {
	for _, broken := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, broken) {
			return true
		}
	}
	return false
}

func passingStatus(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}
