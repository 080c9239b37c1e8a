package upstream

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode"

	"airmirror/mirror"
)

const (
	maxErrorBody    = 16 << 10 // bytes of the body of an error that are read
	maxErrorMessage = 300      // characters of it that are shown
)

// timeoutError says that nothing arrived for this long.
type timeoutError time.Duration

func (e timeoutError) Error() string { return fmt.Sprintf("no answer within %v", time.Duration(e)) }

// keychainError says that looking up credentials failed.
type keychainError struct {
	host string
	err  error
}

func (e *keychainError) Error() string {
	return fmt.Sprintf("looking up the credentials for %s: %v", e.host, e.err)
}

func (e *keychainError) Unwrap() error { return e.err }

// errWebPage says that something else answered in place of the registry.
var errWebPage = errors.New("a web page: is there a proxy or a sign-in page in between?")

// statusError is a response with an error status.
type statusError struct {
	status    int
	message   string
	denied    bool // the registry itself says that this mirror may not have the content
	unknown   bool // the registry itself says that it does not have the content
	otherHost bool // the response is from another host that the endpoint refers to
	temporary bool // a mirror does not have the content at present, and cannot tell whether it exists
	signIn    bool // the response is to a token request: it says nothing about the content
	// host is that of the token service or of the redirect. user is the one whose password was refused.
	host, user string
}

func (e *statusError) Error() string {
	s := fmt.Sprintf("%d %s", e.status, http.StatusText(e.status))
	if e.message != "" {
		s += ": " + e.message
	}
	return s
}

// Refused reports whether the registry may have the content and does not give it; see [mirror.UpstreamRefused].
func (e *statusError) Refused() bool { return e.denied }

// newStatusError reads the error in a response. A 401 or 403 with markup is not from the registry: firewalls send
// it, and storage services for links that have expired.
func newStatusError(r *response) *statusError {
	e := &statusError{status: r.StatusCode, denied: deniedStatus(r.StatusCode) && !isMarkup(r.Response)}
	if e.otherHost = !r.endpoint.endpoint.owns(r.Request.URL); e.otherHost {
		e.host = r.Request.URL.Host
	}
	e.temporary = r.StatusCode == http.StatusNotFound && r.Header.Get(mirror.MissHeader) == mirror.MissUnavailable
	e.unknown = r.StatusCode == http.StatusNotFound && isJSON(r.Response) && !e.otherHost
	body, err := io.ReadAll(io.LimitReader(r.Body, maxErrorBody)) // the watchdog still runs
	if err == nil {
		e.message = errorMessage(body)
	}
	if speaksTLS(body) {
		e.message = tlsAdvice(r.Request.URL)
	}
	return e
}

func deniedStatus(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden
}

// errorMessage returns the message in the body of an error of a registry or a token service, or "".
func errorMessage(body []byte) string {
	var doc struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
		Details     string `json:"details"` // of Docker Hub's token service
		Description string `json:"error_description"`
	}
	if json.Unmarshal(body, &doc) != nil {
		return ""
	}
	for _, e := range doc.Errors {
		return sanitize(cmp.Or(e.Message, e.Code))
	}
	return sanitize(cmp.Or(doc.Details, doc.Description))
}

// sanitize returns text from another server as one short line of printable characters.
func sanitize(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
	if runes := []rune(s); len(runes) > maxErrorMessage {
		s = string(runes[:maxErrorMessage]) + "…"
	}
	return strings.TrimSpace(s)
}

// sanitizedError is an error whose text may be long, such as one that quotes the body of a response.
type sanitizedError struct{ error }

func (e sanitizedError) Error() string { return sanitize(e.error.Error()) }

func (e sanitizedError) Unwrap() error { return e.error }

// isMarkup reports whether a response is HTML or XML, which no registry sends.
func isMarkup(resp *http.Response) bool {
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch mediaType {
	case "text/html", "application/xhtml+xml", "text/xml", "application/xml":
		return true
	}
	return false
}

// isJSON reports whether a response is JSON, as the errors of registries are.
func isJSON(resp *http.Response) bool {
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return mediaType == "application/json" || strings.HasSuffix(mediaType, "+json")
}

// rejected returns the error for a response with an error status.
func (t target) rejected(e *statusError) error {
	host := t.repo.Host
	switch {
	case e.signIn && e.user != "":
		return mirror.Errorf(mirror.CodeUnavailable, "signing in to upstream %s failed: %s does not accept the password of user %q: %w", host, e.host, e.user, e)
	case e.denied:
		return mirror.Errorf(t.unknownCode(), "upstream %s refused %s, which does not exist there or needs a login: %w", host, t, e)
	case e.signIn && e.status >= http.StatusInternalServerError:
		return mirror.Errorf(mirror.CodeUnavailable, "signing in to upstream %s failed: %w", host, e)
	case e.signIn && e.status != http.StatusTooManyRequests:
		return mirror.Errorf(mirror.CodeUnavailable, "upstream %s refused the sign-in of this mirror: %w", host, e)
	case e.temporary:
		return mirror.Errorf(mirror.CodeUnavailable, "upstream %s is fetched from a mirror, which does not have %s at present: %w", host, t, e)
	case e.status == http.StatusNotFound || e.status == http.StatusGone:
		return mirror.Errorf(t.unknownCode(), "upstream %s does not have %s: %w", host, t, e)
	case e.status == http.StatusTooManyRequests:
		return mirror.Errorf(mirror.CodeUnavailable, "%s limits the rate of requests: %w", e.sender(host), e)
	}
	return mirror.Errorf(mirror.CodeUnavailable, "%s answered %w", e.sender(host), e)
}

// sender names the host that sent the response.
func (e *statusError) sender(upstream string) string {
	if e.otherHost {
		return fmt.Sprintf("%s, which upstream %s refers to,", e.host, upstream)
	}
	return "upstream " + upstream
}

// failed returns the error for a request without a response.
func (t target) failed(err error) error {
	var notSent *notSentError
	if errors.As(err, &notSent) {
		return mirror.Errorf(mirror.CodeUnavailable, "no request was sent to %s: %w", t.repo.Host, notSent)
	}
	var signIn *statusError
	if errors.As(err, &signIn) {
		return t.rejected(signIn)
	}
	var network networkError
	if errors.As(err, &network) {
		return t.networkFailed(network)
	}
	var timeout timeoutError
	if errors.As(err, &timeout) || errors.Is(err, context.DeadlineExceeded) {
		return mirror.Errorf(mirror.CodeUnavailable, "%s does not answer: %w", t.repo.Host, err)
	}
	return mirror.Errorf(mirror.CodeUnavailable, "the request to %s failed: %w", t.repo.Host, sanitizedError{err})
}

// interrupted returns the error for a response that ended too early.
func (t target) interrupted(err error) error {
	return mirror.Errorf(mirror.CodeUnavailable, "the response of %s for %s was interrupted: %w", t.repo.Host, t, err)
}

// invalid returns the error for a response that cannot be right.
func (t target) invalid(format string, args ...any) error {
	return mirror.Errorf(mirror.CodeUnavailable, "%s sent an invalid response for %s: %w", t.repo.Host, t, fmt.Errorf(format, args...))
}
