package upstream

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"time"

	"airmirror/mirror"
)

// permanentError ends a transfer that cannot be resumed.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// resume continues the transfer where it stopped, after any number of attempts, until [Options.RetryFor] has passed without
// progress. Each attempt goes through the registry again: tokens and signed links may have expired.
func (t *transfer) resume() error {
	for {
		if err := t.pause(); err != nil {
			return err
		}
		resp, err := t.reopen()
		switch {
		case err == io.EOF:
			return err
		case err == nil:
			t.use(resp)
			return nil
		case context.Cause(t.ctx) != nil:
			return t.target.interrupted(context.Cause(t.ctx))
		case isPermanent(err):
			return err
		}
		t.lastErr = err
	}
}

// pause waits before the next attempt. It returns an error if the wait would exceed [Options.RetryFor].
func (t *transfer) pause() error {
	wait := t.backoff.NextBackOff()
	var notSent *notSentError
	if errors.As(t.lastErr, &notSent) {
		wait = max(wait, time.Until(notSent.until)+jitter(firstBackoff))
	}
	if time.Since(t.stalledSince)+wait > t.registry.opts.RetryFor {
		return mirror.Errorf(mirror.CodeUnavailable, "%s sent no more of %s for %v: %w", t.target.repo.Host, t.target,
			time.Since(t.stalledSince).Round(time.Second), t.lastErr)
	}
	if err := sleep(t.ctx, wait); err != nil {
		return t.target.interrupted(err)
	}
	return nil
}

// reopen requests the rest and returns a response whose next byte is the one at t.off. It returns [io.EOF] if there is no
// rest.
func (t *transfer) reopen() (*response, error) {
	t.target.from = t.off
	if t.noRanges {
		t.target.from = 0
	}
	resp, err := t.registry.do(t.ctx, http.MethodGet, t.target)
	if err != nil {
		return nil, err
	}
	if !resp.watchdog.stop() {
		err = t.target.failed(resp.watchdog.cause(nil))
	} else {
		err = t.checkResponse(resp)
	}
	if err != nil {
		resp.close()
		return nil, err
	}
	return resp, nil
}

// checkResponse makes sure that resp continues where the transfer stopped.
func (t *transfer) checkResponse(resp *response) error {
	switch resp.StatusCode {
	case http.StatusPartialContent:
		if err := t.checkPart(resp); err != nil {
			t.noRanges = true
			return t.target.invalid("a range that was not requested: %w", err)
		}
		return nil
	case http.StatusRequestedRangeNotSatisfiable:
		if t.size < 0 && resp.Header.Get("Content-Range") == fmt.Sprintf("bytes */%d", t.off) {
			return io.EOF
		}
		t.noRanges = true
		return t.target.invalid("no bytes from %d on", t.off)
	}
	return t.checkRestart(resp)
}

// checkPart checks that a 206 begins at the right byte of a blob of the right size.
func (t *transfer) checkPart(resp *response) error {
	first, total, err := parseContentRange(resp.Header.Get("Content-Range"))
	switch {
	case err != nil:
		return err
	case first != t.off:
		return fmt.Errorf("it begins at byte %d, not %d", first, t.off)
	case t.size >= 0 && total >= 0 && total != t.size:
		return fmt.Errorf("the blob has %d bytes, not %d", total, t.size)
	case total >= 0 && resp.ContentLength > total-t.off, total >= 0 && total < t.off:
		return fmt.Errorf("it has %d bytes from byte %d on, of a blob of %d", resp.ContentLength, t.off, total)
	}
	if t.size < 0 {
		t.size = total
	}
	return nil
}

// checkRestart reads the first t.off bytes again and compares their checksum: an upstream that starts over may have other
// bytes now. The checksum only saves the transfer of the rest: the digest of the blob is verified at the end.
func (t *transfer) checkRestart(resp *response) error {
	if isMarkup(resp.Response) && t.off > 0 {
		return t.target.invalid("%w", errWebPage)
	}
	if t.size >= 0 && resp.ContentLength >= 0 && resp.ContentLength != t.size {
		return permanentError{t.target.invalid("a blob of %d bytes, after the interruption of one of %d", resp.ContentLength, t.size)}
	}
	sum := uint32(0)
	body := newStallReader(resp, t.registry.opts.StallTimeout)
	buf := make([]byte, 64<<10)
	for left := t.off; left > 0; {
		n, err := body.Read(buf[:min(left, int64(len(buf)))])
		sum = crc32.Update(sum, castagnoli, buf[:n])
		left -= int64(n)
		if err == io.EOF && left > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil && err != io.EOF {
			return t.target.interrupted(resp.watchdog.cause(err))
		}
	}
	if sum != t.sum {
		return permanentError{t.target.invalid("the bytes differ from those before the interruption")}
	}
	t.size = max(t.size, resp.ContentLength)
	return nil
}

// isPermanent reports whether another attempt cannot succeed.
func isPermanent(err error) bool {
	var permanent permanentError
	var uncertain uncertainError
	switch {
	case errors.As(err, &permanent), mirror.CodeOf(err) == mirror.CodeDenied:
		return true
	case errors.As(err, &uncertain):
		return false
	}
	return isUnknown(err)
}
