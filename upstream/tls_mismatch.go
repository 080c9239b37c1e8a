package upstream

import (
	"bytes"
	"crypto/x509"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"airmirror/mirror"
)

// otherHostError is the error of a request to another host that the endpoint refers to, if that host did not answer.
type otherHostError struct{ error }

func (e otherHostError) Unwrap() error { return e.error }

// networkFailed returns the error for a request that was sent and got no response. If only one side speaks TLS, it says
// which URL to configure.
func (t target) networkFailed(e networkError) error {
	host, unknown := t.repo.Host, x509.UnknownAuthorityError{}
	switch {
	case errors.Is(e, http.ErrSchemeMismatch), strings.Contains(e.Error(), "first record does not look like a TLS handshake"):
		return mirror.Errorf(mirror.CodeUnavailable, "%s does not answer by TLS: write http://%s if it is plain HTTP: %w", host, e.url.Host, e.error)
	case e.url != nil && e.url.Scheme == "http" && strings.Contains(e.Error(), `malformed HTTP response "\x15\x03`):
		return mirror.Errorf(mirror.CodeUnavailable, "%s does not answer by plain HTTP: %s: %w", host, tlsAdvice(e.url), e.error)
	case errors.As(e, &unknown) && !e.otherHost:
		return mirror.Errorf(mirror.CodeUnavailable, "the certificate of %s is not trusted: set the file of its authority as tls.caFile of the endpoint: %w", host, e.error)
	case e.otherHost:
		return mirror.Errorf(mirror.CodeUnavailable, "%s refers to %s, which does not answer: %w", host, e.url.Host, otherHostError{e.error})
	}
	return mirror.Errorf(mirror.CodeUnavailable, "%s does not answer: %w", host, e.error)
}

// networkFailed returns the error for a request without a response, for this reason. An endpoint that closed the
// connection and has never answered over plain HTTP may speak TLS: load balancers close such connections silently.
func (e *endpointClient) networkFailed(t target, err, reason error) error {
	var network networkError
	if e.answered.Load() || e.endpoint.URL.Scheme != "http" || !errors.As(err, &network) || network.otherHost || !connectionBroken(err) {
		return t.failed(reason)
	}
	return mirror.Errorf(mirror.CodeUnavailable, "%s does not answer: write https://%s if it speaks TLS: %w",
		t.repo.Host, e.endpoint.URL.Host, network.error)
}

// speaksTLS reports whether the body of a 400 is that of servers that got plain HTTP on a TLS port.
func speaksTLS(body []byte) bool {
	body = bytes.ToLower(body)
	return bytes.Contains(body, []byte("http request to an https server")) ||
		bytes.Contains(body, []byte("plain http request was sent to https port")) ||
		bytes.Contains(body, []byte("speaking plain http to an ssl-enabled server port"))
}

func tlsAdvice(u *url.URL) string { return "it speaks TLS: write https://" + u.Host }
