package upstream

import (
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

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

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
	status  int
	message string
	denies  bool // it is the registry's own word that this mirror may not have something
	signIn  bool // it came while signing in: it says nothing about the target
}

func (e *statusError) Error() string {
	s := fmt.Sprintf("%d %s", e.status, http.StatusText(e.status))
	if e.message != "" {
		s += ": " + e.message
	}
	return s
}

// Refused reports whether the registry may have what it does not give; see [mirror.Refused].
func (e *statusError) Refused() bool { return e.denies }

// statusOf reads the error that an answer is. A 401 or 403 with a page of markup is not the registry's word: firewalls
// send those, and storage services for a link that has expired.
func statusOf(a *answer) *statusError {
	e := &statusError{status: a.StatusCode, denies: deniedStatus(a.StatusCode) && !isMarkup(a.Response)}
	body, err := io.ReadAll(io.LimitReader(a.Body, maxErrorBody)) // while the watchdog waits for the answer
	var doc transport.Error
	if err == nil && json.Unmarshal(body, &doc) == nil {
		e.message = messageOf(doc.Errors)
	}
	return e
}

// signInStatus is the error that signing in ended with. Token services word theirs as they like; a ping that is
// forbidden is the registry's word if it is worded as one.
func signInStatus(err *transport.Error) *statusError {
	ping := err.Request != nil && err.Request.URL.Path == "/v2/"
	denies := deniedStatus(err.StatusCode) && (!ping || len(err.Errors) > 0)
	return &statusError{status: err.StatusCode, message: messageOf(err.Errors), denies: denies, signIn: true}
}

func deniedStatus(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden
}

// messageOf is what a registry's error says.
func messageOf(errs []transport.Diagnostic) string {
	if len(errs) == 0 {
		return ""
	}
	if errs[0].Message == "" {
		return brief(string(errs[0].Code))
	}
	return brief(errs[0].Message)
}

// brief makes a short line of what somebody else wrote.
func brief(s string) string {
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

// answered is the error for an answer that is no success.
func (t target) answered(e *statusError) error {
	host := t.repo.Host
	switch {
	case e.denies:
		return mirror.Errorf(t.unknown(), "upstream %s refused %s, which does not exist there or needs a login: %w", host, t, e)
	case e.signIn && e.status >= http.StatusInternalServerError:
		return mirror.Errorf(mirror.CodeUnavailable, "signing in to upstream %s failed with %w", host, e)
	case e.signIn && e.status != http.StatusTooManyRequests:
		return mirror.Errorf(mirror.CodeUnavailable, "upstream %s does not let this mirror sign in: %w", host, e)
	case e.status == http.StatusNotFound || e.status == http.StatusGone:
		return mirror.Errorf(t.unknown(), "upstream %s does not have %s: %w", host, t, e)
	case e.status == http.StatusTooManyRequests:
		return mirror.Errorf(mirror.CodeUnavailable, "upstream %s limits how often it may be asked: %w", host, e)
	}
	return mirror.Errorf(mirror.CodeUnavailable, "upstream %s answered %w", host, e)
}

// failed is the error for a request that was not answered.
func (t target) failed(err error) error {
	var status *transport.Error
	if errors.As(err, &status) {
		return t.answered(signInStatus(status))
	}
	var network networkError
	if errors.As(err, &network) {
		return mirror.Errorf(mirror.CodeUnavailable, "%s does not answer: %w", t.repo.Host, network.error)
	}
	var notAsked *notAskedError
	if errors.As(err, &notAsked) {
		return mirror.Errorf(mirror.CodeUnavailable, "%s is not asked: %w", t.repo.Host, notAsked)
	}
	var timeout timeoutError
	if errors.As(err, &timeout) || errors.Is(err, context.DeadlineExceeded) {
		return mirror.Errorf(mirror.CodeUnavailable, "%s does not answer: %w", t.repo.Host, err)
	}
	var wrapped *url.Error // its URL may hold a signature
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return mirror.Errorf(mirror.CodeUnavailable, "%s cannot be asked: %w", t.repo.Host, briefError{err})
}

// briefError is an error whose text may be long, like that of a token service that sent a page and no token.
type briefError struct{ error }

func (e briefError) Error() string { return brief(e.error.Error()) }

func (e briefError) Unwrap() error { return e.error }

// brokenOff is the error for an answer that ended too early.
func (t target) brokenOff(err error) error {
	return mirror.Errorf(mirror.CodeUnavailable, "%s broke off %s: %w", t.repo.Host, t, err)
}

// unusable is the error for an answer that cannot be right.
func (t target) unusable(format string, args ...any) error {
	return mirror.Errorf(mirror.CodeUnavailable, "%s sent for %s %w", t.repo.Host, t, fmt.Errorf(format, args...))
}
