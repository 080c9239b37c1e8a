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
	"net/url"
	"strings"
	"time"
	"unicode"

	"airmirror/mirror"
)

const (
	maxErrorBody    = 16 << 10 // bytes that are read of an error's body
	maxErrorMessage = 300      // characters that are repeated of what it says
)

// timeoutError: nothing came for this long.
type timeoutError time.Duration

func (e timeoutError) Error() string { return fmt.Sprintf("no answer within %v", time.Duration(e)) }

// keychainError: credentials could not be looked up.
type keychainError struct {
	host string
	err  error
}

func (e *keychainError) Error() string {
	return fmt.Sprintf("looking up the credentials for %s: %v", e.host, e.err)
}

func (e *keychainError) Unwrap() error { return e.err }

// statusError is an answer that is no success.
type statusError struct {
	status    int
	message   string
	denied    bool // it is the registry's own word that this mirror may not have something
	unknown   bool // it is the registry's own word that it does not have something
	otherHost bool // it is the answer of a host that the endpoint led to
	temporary bool // a mirror does not have it now, and cannot tell whether it exists
	signIn    bool // it came while signing in: it says nothing about the target
	// host is who was asked while signing in, or whom the endpoint led to, and user whose password was refused, if one was.
	host, user string
}

func (e *statusError) Error() string {
	s := fmt.Sprintf("%d %s", e.status, http.StatusText(e.status))
	if e.message != "" {
		s += ": " + e.message
	}
	return s
}

// Refused reports whether the registry may have what it does not give; see [mirror.UpstreamRefused].
func (e *statusError) Refused() bool { return e.denied }

// newStatusError reads the error that an answer is. A 401 or 403 with a page of markup is not the registry's word: firewalls
// send those, and storage services for a link that has expired.
func newStatusError(a *response) *statusError {
	e := &statusError{status: a.StatusCode, denied: deniedStatus(a.StatusCode) && !isMarkup(a.Response)}
	if e.otherHost = !a.endpoint.endpoint.owns(a.Request.URL); e.otherHost {
		e.host = a.Request.URL.Host
	}
	e.temporary = a.StatusCode == http.StatusNotFound && a.Header.Get(mirror.MissHeader) == mirror.MissUnavailable
	e.unknown = a.StatusCode == http.StatusNotFound && isJSON(a.Response) && a.endpoint.endpoint.owns(a.Request.URL)
	body, err := io.ReadAll(io.LimitReader(a.Body, maxErrorBody)) // while the watchdog waits for the answer
	if err == nil {
		e.message = errorMessage(body)
	}
	if e.message == "" && speaksTLS(body) {
		e.message = tlsAdvice(a.Request.URL)
	}
	return e
}

func deniedStatus(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden
}

// errorMessage is what the body of a registry's or a token service's error says.
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

// brief makes a short line of what somebody else wrote.
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

// isMarkup reports whether an answer is HTML or XML, which no registry sends of its own.
func isMarkup(resp *http.Response) bool {
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch mediaType {
	case "text/html", "application/xhtml+xml", "text/xml", "application/xml":
		return true
	}
	return false
}

// isJSON reports whether an answer says that it is JSON, as the errors of registries are.
func isJSON(resp *http.Response) bool {
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return mediaType == "application/json" || strings.HasSuffix(mediaType, "+json")
}

// answered is the error for an answer that is no success.
func (t target) rejected(e *statusError) error {
	host := t.repo.Host
	switch {
	case e.signIn && e.user != "":
		return mirror.Errorf(mirror.CodeUnavailable, "upstream %s cannot be asked: %s does not accept user %q with this password: %w", host, e.host, e.user, e)
	case e.denied:
		return mirror.Errorf(t.unknownCode(), "upstream %s refused %s, which does not exist there or needs a login: %w", host, t, e)
	case e.signIn && e.status >= http.StatusInternalServerError:
		return mirror.Errorf(mirror.CodeUnavailable, "signing in to upstream %s failed with %w", host, e)
	case e.signIn && e.status != http.StatusTooManyRequests:
		return mirror.Errorf(mirror.CodeUnavailable, "upstream %s does not let this mirror sign in: %w", host, e)
	case e.temporary:
		return mirror.Errorf(mirror.CodeUnavailable, "upstream %s is a mirror that cannot have %s now: %w", host, t, e)
	case e.status == http.StatusNotFound || e.status == http.StatusGone:
		return mirror.Errorf(t.unknownCode(), "upstream %s does not have %s: %w", host, t, e)
	case e.status == http.StatusTooManyRequests:
		return mirror.Errorf(mirror.CodeUnavailable, "%s limits how often it may be asked: %w", e.sender(host), e)
	}
	return mirror.Errorf(mirror.CodeUnavailable, "%s answered %w", e.sender(host), e)
}

// who answered, of those whom an upstream is made of.
func (e *statusError) sender(upstream string) string {
	if e.otherHost {
		return fmt.Sprintf("%s, which upstream %s leads to,", e.host, upstream)
	}
	return "upstream " + upstream
}

// failed is the error for a request that was not answered.
func (t target) failed(err error) error {
	var notAsked *notSentError
	if errors.As(err, &notAsked) {
		return mirror.Errorf(mirror.CodeUnavailable, "%s is not asked: %w", t.repo.Host, notAsked)
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
	var wrapped *url.Error // its URL may hold a signature
	if errors.As(err, &wrapped) {
		err = wrapped.Err
		if strings.Contains(err.Error(), "Location header") {
			err = errors.New("it redirects to what is no URL")
		}
	}
	return mirror.Errorf(mirror.CodeUnavailable, "%s cannot be asked: %w", t.repo.Host, sanitizedError{err})
}

// sanitizedError is an error whose text may be long, like that of a token service that sent a page and no token.
type sanitizedError struct{ error }

func (e sanitizedError) Error() string { return sanitize(e.error.Error()) }

func (e sanitizedError) Unwrap() error { return e.error }

// interrupted is the error for an answer that ended too early.
func (t target) interrupted(err error) error {
	return mirror.Errorf(mirror.CodeUnavailable, "%s broke off %s: %w", t.repo.Host, t, err)
}

// unusable is the error for an answer that cannot be right.
func (t target) invalid(format string, args ...any) error {
	return mirror.Errorf(mirror.CodeUnavailable, "%s sent for %s %w", t.repo.Host, t, fmt.Errorf(format, args...))
}
