package upstream

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"airmirror/mirror"
)

// otherHostError is what became of a request to a host that an endpoint led to, if that did not answer.
type otherHostError struct{ error }

func (e otherHostError) Unwrap() error { return e.error }

// unanswered is the error for a request that was sent and came to nothing. Where one end speaks TLS and the other does
// not, it says what to write.
func (t target) networkFailed(e networkError) error {
	host := t.repo.Host
	switch {
	case errors.Is(e, http.ErrSchemeMismatch), strings.Contains(e.Error(), "first record does not look like a TLS handshake"):
		return mirror.Errorf(mirror.CodeUnavailable, "%s does not answer by TLS: write http://%s if it is plain HTTP: %w", host, e.url.Host, e.error)
	case e.url != nil && e.url.Scheme == "http" && strings.Contains(e.Error(), `malformed HTTP response "\x15\x03`):
		return mirror.Errorf(mirror.CodeUnavailable, "%s does not answer by plain HTTP: %s: %w", host, tlsAdvice(e.url), e.error)
	case e.otherHost:
		return mirror.Errorf(mirror.CodeUnavailable, "%s leads to %s, which does not answer: %w", host, e.url.Host, otherHostError{e.error})
	}
	return mirror.Errorf(mirror.CodeUnavailable, "%s does not answer: %w", host, e.error)
}

// unanswered is the error for a request that was not answered, as reason says. An endpoint that has answered nothing by plain
// HTTP yet, and ended the connection, may speak TLS: load balancers do so without a word.
func (e *endpointClient) networkFailed(t target, err, reason error) error {
	var network networkError
	if e.answered.Load() || e.endpoint.URL.Scheme != "http" || !errors.As(err, &network) || network.otherHost || !connectionBroken(err) {
		return t.failed(reason)
	}
	return mirror.Errorf(mirror.CodeUnavailable, "%s does not answer: write https://%s if it speaks TLS: %w",
		t.repo.Host, e.endpoint.URL.Host, network.error)
}

// speaksTLS reports whether the body of a 400 is what servers say to plain HTTP on a port of TLS.
func speaksTLS(body []byte) bool {
	body = bytes.ToLower(body)
	return bytes.Contains(body, []byte("http request to an https server")) ||
		bytes.Contains(body, []byte("plain http request was sent to https port")) ||
		bytes.Contains(body, []byte("speaking plain http to an ssl-enabled server port"))
}

func tlsAdvice(u *url.URL) string { return "it speaks TLS: write https://" + u.Host }
