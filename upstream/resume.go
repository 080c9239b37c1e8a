package upstream

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"airmirror/mirror"
)

// permanentError is how a transfer ends that cannot be taken up again.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// resume takes the transfer up where it stopped, however many attempts that takes, until the configured time has passed
// without progress. Each attempt goes the whole way from the registry on: tokens and the links that it redirects to
// have expired by then.
func (t *transfer) resume() error {
	for {
		if err := t.pause(); err != nil {
			return err
		}
		a, err := t.reopen()
		switch {
		case err == io.EOF:
			return err
		case err == nil:
			t.use(a)
			return nil
		case context.Cause(t.ctx) != nil:
			return t.target.interrupted(context.Cause(t.ctx))
		case isPermanent(err):
			return err
		}
		t.lastErr = err
	}
}

// pause waits before the next attempt, or gives up.
func (t *transfer) pause() error {
	wait := t.backoff.NextBackOff()
	var notAsked *notSentError
	if errors.As(t.lastErr, &notAsked) {
		wait = max(wait, time.Until(notAsked.until)+jitter(firstBackoff))
	}
	if patience := t.registry.opts.RetryFor; time.Since(t.stalledSince)+wait > patience {
		return mirror.Errorf(mirror.CodeUnavailable, "%s brought nothing new of %s for %v: %w", t.target.repo.Host, t.target,
			time.Since(t.stalledSince).Round(time.Second), t.lastErr)
	}
	if err := sleep(t.ctx, wait); err != nil {
		return t.target.interrupted(err)
	}
	return nil
}

// attempt asks for the rest and returns an answer whose next byte is the one that was read last, plus one; [io.EOF] if
// there is no rest.
func (t *transfer) reopen() (*response, error) {
	t.target.from = t.off
	if t.noRanges {
		t.target.from = 0
	}
	a, err := t.registry.do(t.ctx, http.MethodGet, t.target)
	if err != nil {
		return nil, err
	}
	if !a.watchdog.stop() {
		err = t.target.failed(a.watchdog.cause(nil))
	} else {
		err = t.checkResponse(a)
	}
	if err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

// accept makes sure that a goes on where the transfer stopped.
func (t *transfer) checkResponse(a *response) error {
	switch a.StatusCode {
	case http.StatusPartialContent:
		if err := t.checkPart(a); err != nil {
			t.noRanges = true
			return t.target.invalid("a part that was not asked for: %w", err)
		}
		return nil
	case http.StatusRequestedRangeNotSatisfiable:
		if t.size < 0 && a.Header.Get("Content-Range") == fmt.Sprintf("bytes */%d", t.off) {
			return io.EOF
		}
		t.noRanges = true
		return t.target.invalid("no bytes from %d on", t.off)
	}
	return t.checkRestart(a)
}

// checkPart checks that a 206 begins at the right byte of a blob of the right size.
func (t *transfer) checkPart(a *response) error {
	first, total, err := parseContentRange(a.Header.Get("Content-Range"))
	switch {
	case err != nil:
		return err
	case first != t.off:
		return fmt.Errorf("it begins at byte %d, not %d", first, t.off)
	case t.size >= 0 && total >= 0 && total != t.size:
		return fmt.Errorf("it is of %d bytes in all, not %d", total, t.size)
	case total >= 0 && a.ContentLength > total-t.off, total >= 0 && total < t.off:
		return fmt.Errorf("it has %d bytes from %d on, of %d in all", a.ContentLength, t.off, total)
	}
	if t.size < 0 {
		t.size = total
	}
	return nil
}

// checkRestart reads again what was read before, and compares: an upstream that starts over may have other bytes by now.
func (t *transfer) checkRestart(a *response) error {
	if isMarkup(a.Response) && t.off > 0 {
		return t.target.invalid("a web page in place of the rest: is there a sign-in page in between?")
	}
	if t.size >= 0 && a.ContentLength >= 0 && a.ContentLength != t.size {
		return permanentError{t.target.invalid("another blob of %d bytes, after one of %d that broke off", a.ContentLength, t.size)}
	}
	var again maphash.Hash
	again.SetSeed(t.sum.Seed())
	body := newStallReader(a, t.registry.opts.StallTimeout)
	buf := make([]byte, 64<<10)
	for left := t.off; left > 0; {
		n, err := body.Read(buf[:min(left, int64(len(buf)))])
		_, _ = again.Write(buf[:n]) // never fails
		left -= int64(n)
		if err == io.EOF && left > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil && err != io.EOF {
			return t.target.interrupted(a.watchdog.cause(err))
		}
	}
	if again.Sum64() != t.sum.Sum64() {
		return permanentError{t.target.invalid("other bytes than before it broke off")}
	}
	t.size = max(t.size, a.ContentLength)
	return nil
}

// final reports whether there is no use in another attempt.
func isPermanent(err error) bool {
	var end permanentError
	var unsure uncertainError
	switch {
	case errors.As(err, &end), mirror.CodeOf(err) == mirror.CodeDenied:
		return true
	case errors.As(err, &unsure):
		return false
	}
	return isUnknown(err)
}

// parseContentRange reads "bytes first-last/total"; total is -1 if it is not told.
func parseContentRange(s string) (first, total int64, err error) {
	bounds, size, ok := strings.Cut(strings.TrimPrefix(s, "bytes "), "/")
	begin, end, ok2 := strings.Cut(bounds, "-")
	first, err1 := strconv.ParseInt(begin, 10, 64)
	last, err2 := strconv.ParseInt(end, 10, 64)
	total = -1
	var err3 error
	if size != "*" {
		total, err3 = strconv.ParseInt(size, 10, 64)
	}
	if !ok || !ok2 || !strings.HasPrefix(s, "bytes ") || errors.Join(err1, err2, err3) != nil || first > last || first < 0 {
		return 0, 0, fmt.Errorf("its Content-Range is %q", sanitize(s))
	}
	return first, total, nil
}
