package events

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"airmirror/mirror"
)

// maxResponse is how much is read of what an endpoint says.
const maxResponse = 4 << 10

// statusError is an answer that is none of 2xx.
type statusError struct {
	status     int
	retryAfter time.Duration // 0 if the endpoint did not say
}

func (e *statusError) Error() string {
	text := "it answered " + strconv.Itoa(e.status) + " " + http.StatusText(e.status)
	if e.status >= 300 && e.status < 400 {
		text += "; redirects are not followed"
	}
	return text
}

// unacceptable are the statuses that are about what was sent, and that the same events would get again. All others are
// about the endpoint, its address or what it lets in, which somebody can put in order: events wait for that.
var permanentStatuses = []int{
	http.StatusBadRequest, http.StatusNotAcceptable, http.StatusConflict, http.StatusRequestEntityTooLarge,
	http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity,
}

// isPermanent reports whether an endpoint does not want what it was sent.
func isPermanent(err error) bool {
	answer := (*statusError)(nil)
	return errors.As(err, &answer) && slices.Contains(permanentStatuses, answer.status)
}

// envelope is what a batch is sent in.
func envelope(events [][]byte) []byte {
	var body bytes.Buffer
	body.WriteString(`{"events":[`)
	for i, event := range events {
		if i > 0 {
			body.WriteByte(',')
		}
		body.Write(event)
	}
	body.WriteString("]}\n")
	return body.Bytes()
}

// post sends events, and returns nil if the endpoint has them now. No error says what the URL or a header is.
func (s *sink) post(ctx context.Context, events [][]byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, bytes.NewReader(envelope(events)))
	if err != nil {
		return withoutURL(err)
	}
	req.Header.Set("User-Agent", s.agent)
	for _, h := range s.Headers {
		value, err := h.read()
		if err != nil {
			return err
		}
		req.Header.Set(h.Name, value)
	}
	req.Header.Set("Content-Type", MediaType)
	resp, err := s.client.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxResponse) // the status has said it all
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		wait, _ := mirror.RetryAfter(resp.Header, time.Now())
		return &statusError{resp.StatusCode, wait}
	}
	return nil
}

// withoutURL is an error of net/http without the URL, which may hold what nobody is to see.
func withoutURL(err error) error {
	u := (*url.Error)(nil)
	if !errors.As(err, &u) {
		return err
	}
	if u.Timeout() {
		return fmt.Errorf("it did not answer in time: %w", u.Err)
	}
	return u.Err
}
