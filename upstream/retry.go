package upstream

import (
	"context"
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
		if err := o.pace.wait(w.ctx, w.midst()); err != nil {
			return nil, err
		}
		resp, err := o.send(w, method, t)
		if attempt > 1 || !o.passing(resp, err) || !o.worthwhile(w) {
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
func (o *origin) worthwhile(w *watchdog) bool {
	begin := time.Now().Add(retryPause + retryJitter)
	if held := o.pace.held(); held != nil && held.until.After(begin) {
		begin = held.until
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
	var signIn *statusError
	if errors.As(err, &signIn) {
		return passingStatus(signIn.status)
	}
	var network networkError
	if !errors.As(err, &network) {
		return false
	}
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

// judge tells what came of a request says about the endpoint.
func judge(ctx context.Context, resp *http.Response, err error) outcome {
	var patience timeoutError
	if cause := context.Cause(ctx); cause != nil && !errors.As(cause, &patience) {
		return saysNothing
	}
	if err == nil {
		return judgeStatus(resp.StatusCode, isMarkup(resp))
	}
	var signIn *statusError
	var network networkError
	switch {
	case errors.As(err, &signIn):
		return judgeStatus(signIn.status, false)
	case errors.As(err, &network), errors.As(err, &patience):
		return fails
	}
	return isUnclear
}

func judgeStatus(status int, markup bool) outcome {
	switch {
	case status >= http.StatusInternalServerError && status != http.StatusNotImplemented:
		return fails
	case status == http.StatusOK && markup: // somebody in between may have answered
		return isUnclear
	}
	return answers
}
