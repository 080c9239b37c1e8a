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
	"strings"
	"time"

	"airmirror/mirror"
)

// maxResponse is how many bytes of a response are read.
const maxResponse = 4 << 10

// statusError is a response with another status than 2xx.
type statusError struct {
	status     int
	retryAfter time.Duration // 0 if the endpoint did not ask for a wait
}

func (e *statusError) Error() string {
	text := "the endpoint answered " + strconv.Itoa(e.status) + " " + http.StatusText(e.status)
	if e.status >= 300 && e.status < 400 {
		text += "; redirects are not followed"
	}
	return text
}

// permanentStatuses mean that the endpoint would refuse the same events again. All other statuses are about the
// endpoint or its configuration, which somebody can correct: events wait for that.
var permanentStatuses = []int{
	http.StatusBadRequest, http.StatusNotAcceptable, http.StatusConflict, http.StatusRequestEntityTooLarge,
	http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity,
}

// isPermanent reports whether the endpoint refused the content of a request.
func isPermanent(err error) bool {
	answer := (*statusError)(nil)
	return errors.As(err, &answer) && slices.Contains(permanentStatuses, answer.status)
}

// envelope encodes a batch of events.
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

// post sends events. It returns nil if the endpoint accepted them. Errors contain neither the URL nor header values.
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
	_, _ = io.CopyN(io.Discard, resp.Body, maxResponse) // only the status matters
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		wait, _ := mirror.RetryAfter(resp.Header, time.Now())
		return &statusError{resp.StatusCode, wait}
	}
	return nil
}

// withoutURL removes the URL, which may contain a secret, from an error of net/http.
func withoutURL(err error) error {
	u := (*url.Error)(nil)
	if !errors.As(err, &u) {
		return err
	}
	if u.Timeout() {
		return fmt.Errorf("the endpoint did not answer in time: %w", u.Err)
	}
	if strings.Contains(u.Err.Error(), "Location header") { // the text quotes it
		return errors.New("it redirects to an invalid URL; redirects are not followed")
	}
	return u.Err
}
